// The number of the one element of T number i.

fn numbers(i: u32) -> U {
    return i;
}
