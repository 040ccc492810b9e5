// GELU, v times the share of a normal distribution below v: max(0, v) - t Q(t), where t = |v| and Q(t) is the share above t. So the error
// is that of t Q(t), which is 0.17 at most. Q(t) exp(t^2 / 2) is a polynomial of degree 6 in 1 / (1 + 0.4 t), fitted for least
// absolute error of t Q(t): 7e-9, and 6e-8 as floats are rounded.
#import nonfinite
#import power

fn activated4(v: vec4f) -> vec4f {
    let t = min(abs(v), vec4f(16.0));
    let u = 1.0 / fma(vec4f(0.4), t, vec4f(1.0));
    var s = fma(u, vec4f(0.0573114132), vec4f(-0.258047258));
    s = fma(u, s, vec4f(0.344508879));
    s = fma(u, s, vec4f(0.00979726698));
    s = fma(u, s, vec4f(0.18988642));
    s = fma(u, s, vec4f(0.156543622));
    let above = t * u * s * power2(t * t * -0.72134752);
    return select(max(v, vec4f(0.0)) - above, v, nan4(v));
}

fn activated(v: f32) -> f32 {
    return activated4(vec4f(v)).x;
}
