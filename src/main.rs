//! The `lupe` binary.

fn main() {}
