// A second operand of the first one's shape.

@group(0) @binding(3) var<storage, read> b: array<T>;

fn second(i: u32) -> T {
    return b[i];
}
