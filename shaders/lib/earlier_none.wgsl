// There is no earlier part.

fn earlier(i: u32) -> f32 {
    return 0.0;
}
