// As k_center_picks.wgsl     software family: one subgroup of LANES, EACH anchors a lane in registers, no barrier
#import better
#import maximum

alias T = f32;
alias U = u32;
const LANES: u32 = 8u;
const EACH: u32 = 64u;

struct Params { n: u32, steps: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> apart: array<f32>;
@group(0) @binding(3) var<storage, read> anchor: array<f32>;
@group(0) @binding(4) var<storage, read> last: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
    let bound = vec2f(last[0], last[1]);
    // Places past the end hold the last candidate once more: no better than itself.
    var anchors: array<f32, EACH>;
    for (var e = 0u; e < EACH; e++) { anchors[e] = anchor[min(e * LANES + lane, p.n - 1u)]; } // unroll
    var pick = 0u;
    var going = true;
    for (var step = 0u; step < p.steps; step++) {
        var best = vec2f(0.0);
        if going {
            for (var e = 0u; e < EACH; e++) { // unroll
                let i = min(e * LANES + lane, p.n - 1u);
                let v = select(-maximum(-anchors[e], -apart[pick * p.n + i]), anchors[e], step == 0u);
                anchors[e] = v;
                // `better` without branches: within a lane numbers rise.
                let takes = (e == 0u) | (v > best.x) | (nan(v) & !nan(best.x));
                best = select(best, vec2f(v, f32(i)), takes);
            }
        }
        for (var half = LANES / 2u; half > 0u; half /= 2u) {
            let other = vec2f(subgroupShuffle(best.x, lane ^ half), subgroupShuffle(best.y, lane ^ half));
            if better(other, best) { best = other; }
        }
        going = going && (step == 0u || better(best, bound));
        if going { pick = u32(best.y); }
        if lane == 0u { y[step] = select(vec2f(-1.0, f32(pick)), best, going); }
    }
}
