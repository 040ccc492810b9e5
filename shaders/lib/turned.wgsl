// The left operand of a product by tiles where a vec4 of it is four steps of k of one row: rows are turned on their way in.

// Row quad and quad of k of block b.
fn block(b: u32) -> vec2u {
    return vec2u(b / K4, b % K4);
}

// Block b of the left operand: four rows, four k each.
fn put_left(b: u32, v: array<vec4f, 4>) {
    let at = block(b).y * 4u * ROW + block(b).x;
    for (var j = 0u; j < 4u; j++) { tile[at + j * ROW] = vec4f(v[0][j], v[1][j], v[2][j], v[3][j]); } // unroll
}
