// Sums over k in parts of p.part quads of k, so that a long sum keeps more workgroups busy. A part is summed by itself, from zero; parts are
// added in their order, then bias, residual and activation. One workgroup for each part writes y[part] and leaves the rest to sum_parts.wgsl
// (SPLIT), or one does them all and adds them up in y (WALK): the same bits, and a sum of one part needs neither.
#import activation
#import joined

const SPLIT: bool = false;
const WALK: bool = false;

// Stores four sums of a part. Where a workgroup does but one, `at` counts the parts before it.
fn store(at: u32, bias: vec4f, sum: vec4f, part: u32) {
    var s = sum;
    if WALK && part > 0u { s = y[at] + s; }
    if !WALK || part + 1u == p.parts {
        s = activated4(joined4(s + bias, residual_at(at)));
    }
    y[at] = s;
}
