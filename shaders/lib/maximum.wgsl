// max() that keeps NaN, for numbers T (f32 or vec4f) whose bits are U; tests go by bits, because drivers fold `x != x`.

fn keep_nan(v: T, otherwise: T) -> T {
    return select(otherwise, v, (bitcast<U>(v) & U(0x7fffffffu)) > U(0x7f800000u));
}

fn maximum(a: T, b: T) -> T {
    return keep_nan(a, keep_nan(b, max(a, b)));
}
