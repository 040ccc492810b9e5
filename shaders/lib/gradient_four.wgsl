// What gradients of attention read and write, four elements at a time: queries, keys and values x [n, t, 3, heads, 4 * D4], the gradient
// dy by what became of them [n, t, heads, 4 * D4], and rows of p.z_row and p.y_row quads, each head's D4 first.

@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read> z: array<vec4f>;

// Four elements of a token's query (part 0), key (1), value (2) or gradient (3); zeros beyond the last token and the head's end.
fn part_at(head: vec2u, token: u32, part: u32, quad: u32) -> vec4f {
    let inside = token < p.tokens && quad < D4;
    let row = head.y * p.tokens + token;
    let at = head.x * D4 + quad;
    if part == 3u { return select(vec4f(0.0), dy[select(0u, row * p.heads * D4 + at, inside)], inside); }
    return select(vec4f(0.0), x[select(0u, (row * 3u + part) * p.heads * D4 + at, inside)], inside);
}

// The same of z.
fn z_at(head: vec2u, token: u32, quad: u32) -> vec4f {
    let inside = token < p.tokens && quad < D4;
    return select(vec4f(0.0), z[select(0u, (head.y * p.tokens + token) * p.z_row + head.x * D4 + quad, inside)], inside);
}

// What z says of a token's shares.
fn facts_at(head: vec2u, token: u32) -> vec4f {
    let inside = token < p.tokens;
    return select(vec4f(0.0), z[select(0u, (head.y * p.tokens + token) * p.z_row + p.heads * D4 + head.x, inside)], inside);
}

fn put(head: vec2u, token: u32, part: u32, quad: u32, v: vec4f) {
    if token < p.tokens && quad < D4 { y[(head.y * p.tokens + token) * p.y_row + (part * p.heads + head.x) * D4 + quad] = v; }
}

fn put_facts(head: vec2u, token: u32, v: vec4f) {
    if token < p.tokens { y[(head.y * p.tokens + token) * p.y_row + p.heads * D4 + head.x] = v; }
}
