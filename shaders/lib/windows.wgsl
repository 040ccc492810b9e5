// The windows along an axis that hold element `at` of the padded picture, of `out` windows in all: the first, and the one after the last.
// Below 2^20 the nearest float of a half more than an integer, times the inverse of the stride, never passes a whole number; integers are
// divided lane by lane by drivers on the processor.

fn windows(at: u32, out: u32) -> vec2u {
    let inverse = 1.0 / f32(p.stride);
    let first = u32((f32(max(at + 1u, p.k) - p.k + p.stride - 1u) + 0.5) * inverse);
    return vec2u(first, min(u32((f32(at) + 0.5) * inverse) + 1u, out));
}

// Elements of the picture along an axis in window number `window`.
fn inside(window: u32, pad: u32, size: u32) -> u32 {
    return min(window * p.stride + p.k, size + pad) - max(window * p.stride, pad);
}
