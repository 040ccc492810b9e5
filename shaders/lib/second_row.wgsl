// A second operand that is a vector along the last axis.

@group(0) @binding(3) var<storage, read> b: array<T>;

fn second(i: u32) -> T {
    return b[i % p.cols];
}
