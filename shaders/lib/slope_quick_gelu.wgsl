// The slope of v / (1 + exp(-1.702 v)), from e = exp(-1.702 |v|), which never overflows.
#import nonfinite
#import power

fn slope4(v: vec4f) -> vec4f {
    let t = min(abs(v), vec4f(64.0));
    let e = power2(t * -2.4554669);
    let whole = 1.0 + e;
    // At -|v|: s (1 - 1.702 t (1 - s)) with s = e / (1 + e); at |v| 1 less that.
    let beyond = e / whole * (1.0 - 1.702 * t / whole);
    return select(select(beyond, 1.0 - beyond, v > vec4f(0.0)), v, nan4(v));
}
