// The windows along an axis that hold element `at` of the padded picture, of `out` windows in all: the first, and the one after the last.
#import divide

fn windows(at: u32, out: u32) -> vec2u {
    let first = divided(max(at + 1u, p.k) - p.k + p.stride - 1u, p.stride).y;
    return vec2u(first, min(divided(at, p.stride).y + 1u, out));
}
