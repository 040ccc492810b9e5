// No second operand.

fn second(i: u32) -> T {
    return T(0.0);
}
