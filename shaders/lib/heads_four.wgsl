// Queries, keys and values of a head [n, t, 3, heads, 4 * D4], and what becomes of them [n, t, heads, 4 * D4], four elements at a time.

@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;

// Four elements of a token's query (part 0), key (1) or value (2); zeros beyond the last token and the head's end.
fn part_at(head: vec2u, token: u32, part: u32, quad: u32) -> vec4f {
    let inside = token < p.tokens && quad < D4;
    let at = ((head.y * p.tokens + token) * 3u + part) * p.heads * D4 + head.x * D4 + quad;
    return select(vec4f(0.0), x[select(0u, at, inside)], inside);
}

fn put(head: vec2u, token: u32, quad: u32, v: vec4f) {
    if token < p.tokens && quad < D4 { y[((head.y * p.tokens + token) * p.heads + head.x) * D4 + quad] = v; }
}
