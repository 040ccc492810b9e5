// No residual.

fn residual_at(element: u32) -> f32 {
    return 0.0;
}
