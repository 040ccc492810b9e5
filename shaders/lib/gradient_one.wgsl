// What gradients of attention read and write, element by element: queries, keys and values x [n, t, 3, heads, p.size], the gradient dy by
// what became of them [n, t, heads, p.size], and rows of p.z_row and p.y_row elements, each head's p.size first.

@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> z: array<f32>;

// Four elements of a token's query (part 0), key (1), value (2) or gradient (3); zeros beyond the last token and the head's end.
fn part_at(head: vec2u, token: u32, part: u32, quad: u32) -> vec4f {
    let row = head.y * p.tokens + token;
    let at = head.x * p.size + 4u * quad;
    var v = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) { // unroll
        if token < p.tokens && 4u * quad + i < p.size {
            if part == 3u { v[i] = dy[row * p.heads * p.size + at + i]; } else { v[i] = x[(row * 3u + part) * p.heads * p.size + at + i]; }
        }
    }
    return v;
}

// The same of z.
fn z_at(head: vec2u, token: u32, quad: u32) -> vec4f {
    let at = (head.y * p.tokens + token) * p.z_row + head.x * p.size + 4u * quad;
    var v = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) { if token < p.tokens && 4u * quad + i < p.size { v[i] = z[at + i]; } } // unroll
    return v;
}

// What z says of a token's shares.
fn facts_at(head: vec2u, token: u32) -> vec4f {
    let at = (head.y * p.tokens + token) * p.z_row + p.heads * p.size + 4u * head.x;
    var v = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) { if token < p.tokens { v[i] = z[at + i]; } } // unroll
    return v;
}

fn put(head: vec2u, token: u32, part: u32, quad: u32, v: vec4f) {
    let at = (head.y * p.tokens + token) * p.y_row + (part * p.heads + head.x) * p.size + 4u * quad;
    for (var i = 0u; i < 4u; i++) { if token < p.tokens && 4u * quad + i < p.size { y[at + i] = v[i]; } } // unroll
}

fn put_facts(head: vec2u, token: u32, v: vec4f) {
    let at = (head.y * p.tokens + token) * p.y_row + p.heads * p.size + 4u * head.x;
    for (var i = 0u; i < 4u; i++) { if token < p.tokens { y[at + i] = v[i]; } } // unroll
}
