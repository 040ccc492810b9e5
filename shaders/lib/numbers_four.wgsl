// The numbers of the four elements of T number i.

fn numbers(i: u32) -> U {
    return 4u * i + vec4u(0u, 1u, 2u, 3u);
}
