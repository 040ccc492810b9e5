// Candidates (key, index) of nearest neighbours. A key that is not a number comes before all others: it may spread, never vanish.

fn clean(key: f32) -> f32 {
    return select(key, -0x1.fffffep+127f, (bitcast<u32>(key) & 0x7fffffffu) > 0x7f800000u);
}

// No candidate: infinitely far. WGSL refuses infinity as a constant, so it is made of a param.
fn nobody() -> vec2f {
    return vec2f(bitcast<f32>(0x7f800000u | (p.q >> 31u)), 16777216.0);
}
