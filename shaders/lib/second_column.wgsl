// A second operand with one element for each row.

@group(0) @binding(3) var<storage, read> b: array<f32>;

fn second(i: u32) -> T {
    return T(b[i / p.cols]);
}
