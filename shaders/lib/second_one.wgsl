// A second operand of one element.

@group(0) @binding(3) var<storage, read> b: array<f32>;

fn second(i: u32) -> T {
    return T(b[0]);
}
