// Queries, keys and values of a head [n, t, 3, heads, p.size], and what becomes of them [n, t, heads, p.size], element by element.

@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

// Four elements of a token's query (part 0), key (1) or value (2); zeros beyond the last token and the head's end.
fn part_at(head: vec2u, token: u32, part: u32, quad: u32) -> vec4f {
    let at = ((head.y * p.tokens + token) * 3u + part) * p.heads * p.size + head.x * p.size;
    var v = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) { if token < p.tokens && 4u * quad + i < p.size { v[i] = x[at + 4u * quad + i]; } } // unroll
    return v;
}

fn put(head: vec2u, token: u32, quad: u32, v: vec4f) {
    let at = ((head.y * p.tokens + token) * p.heads + head.x) * p.size;
    for (var i = 0u; i < 4u; i++) { if token < p.tokens && 4u * quad + i < p.size { y[at + 4u * quad + i] = v[i]; } } // unroll
}
