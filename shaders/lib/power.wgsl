// 2 to the power z, to 1e-7 of itself, and at least 2^-126: drivers' own exp() is off by up to 4e-6 of itself on one of them.

fn power2(z: vec4f) -> vec4f {
    let bounded = max(z, vec4f(-126.0));
    let whole = floor(bounded + 0.5);
    let f = bounded - whole;
    var s = fma(f, vec4f(1.5403530e-4), vec4f(1.3333558e-3));
    s = fma(f, s, vec4f(9.6181291e-3));
    s = fma(f, s, vec4f(5.5504109e-2));
    s = fma(f, s, vec4f(0.24022651));
    s = fma(f, s, vec4f(0.69314718));
    s = fma(f, s, vec4f(1.0));
    return s * bitcast<vec4f>((vec4i(whole) + 127) << vec4u(23u));
}
