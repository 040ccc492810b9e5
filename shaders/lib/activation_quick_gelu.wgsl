// v / (1 + exp(-1.702 v)), from exp(-1.702 |v|), which never overflows.
#import nonfinite
#import power

fn activated4(v: vec4f) -> vec4f {
    let t = min(abs(v), vec4f(64.0));
    let e = power2(t * -2.4554669);
    let below = -t * e / (1.0 + e);
    return select(select(below, v / (1.0 + e), v > vec4f(0.0)), v, nan4(v));
}

fn activated(v: f32) -> f32 {
    return activated4(vec4f(v)).x;
}
