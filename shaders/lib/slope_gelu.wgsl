// The slope of GELU: the share of a normal distribution below v, and v times its density there. The share is the polynomial of
// activation_gelu.wgsl, which is off by 3.5e-7 at 0 and less elsewhere.
#import nonfinite
#import power

fn slope4(v: vec4f) -> vec4f {
    let t = min(abs(v), vec4f(16.0));
    let u = 1.0 / fma(vec4f(0.4), t, vec4f(1.0));
    var s = fma(u, vec4f(0.0573114132), vec4f(-0.258047258));
    s = fma(u, s, vec4f(0.344508879));
    s = fma(u, s, vec4f(0.00979726698));
    s = fma(u, s, vec4f(0.18988642));
    s = fma(u, s, vec4f(0.156543622));
    // Of |v|: 1 - Q(t) + t phi(t); of -|v| that is less 1, with the other sign.
    let e = power2(t * t * -0.72134752);
    let beyond = e * (u * s - t * 0.39894228);
    return select(select(beyond, 1.0 - beyond, v > vec4f(0.0)), v, nan4(v));
}
