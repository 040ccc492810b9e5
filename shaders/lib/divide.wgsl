// x % d and x / d, for any x and 0 < d < 2^30. Drivers on the processor divide integers one lane after the other; this stays in vectors.
// The first round leaves |x - q*d| <= 2^11 + d, the second at most one d, which the comparisons mend.

fn divided(x: u32, d: u32) -> vec2u {
    let inverse = 1.0 / f32(d);
    var q = u32(f32(x) * inverse);
    q += u32(i32(f32(i32(x - q * d)) * inverse));
    let r = i32(x - q * d);
    if r < 0 { return vec2u(u32(r) + d, q - 1u); }
    if u32(r) >= d { return vec2u(u32(r) - d, q + 1u); }
    return vec2u(u32(r), q);
}
