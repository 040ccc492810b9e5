// Four elements of a row of p.d at element 4k, one by one; zeros beyond its end.

fn query4(row: u32, k: u32) -> vec4f {
    var v = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) { if 4u * k + i < p.d { v[i] = a[row * p.d + 4u * k + i]; } } // unroll
    return v;
}

fn bank4(row: u32, k: u32) -> vec4f {
    var v = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) { if 4u * k + i < p.d { v[i] = b[row * p.d + 4u * k + i]; } } // unroll
    return v;
}
