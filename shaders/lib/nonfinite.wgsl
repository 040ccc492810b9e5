// Rules for numbers that are not finite: they may spread, never vanish. Tests go by bits, because drivers fold `x != x`.

fn nan4(v: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(v) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

fn nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

// max(0, v); max() alone drops NaN.
fn relu4(v: vec4f) -> vec4f {
    return select(max(v, vec4f(0.0)), v, nan4(v));
}

fn relu(v: f32) -> f32 {
    return select(max(v, 0.0), v, nan(v));
}
