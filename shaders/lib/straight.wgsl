// The left operand of a product by tiles where a vec4 of it is one step of k of four rows: it lies in workgroup memory as it comes.

// Row quad and quad of k of block b: invocations side by side load rows side by side.
fn block(b: u32) -> vec2u {
    return vec2u(b % BM4, b / BM4);
}

// Block b of the left operand: four k, four rows each.
fn put_left(b: u32, v: array<vec4f, 4>) {
    let at = block(b).y * 4u * ROW + block(b).x;
    for (var j = 0u; j < 4u; j++) { tile[at + j * ROW] = v[j]; } // unroll
}
