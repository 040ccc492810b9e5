// Four elements of a row of p.d at element 4k, where p.d is a multiple of four.

fn query4(row: u32, k: u32) -> vec4f {
    return a[row * (p.d / 4u) + k];
}

fn bank4(row: u32, k: u32) -> vec4f {
    return b[row * (p.d / 4u) + k];
}
