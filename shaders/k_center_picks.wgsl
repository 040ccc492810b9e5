// y = picks (value, candidate): the largest anchor again and again, anchors lowered to the distances to it, as long as it is better
// than `last`; after that (-1, last pick)     one workgroup; N anchors in shared memory
#import better
#import maximum

alias T = f32;
alias U = u32;
const WG: u32 = 256u;
const N: u32 = 2048u;

struct Params { n: u32, steps: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> apart: array<f32>;
@group(0) @binding(3) var<storage, read> anchor: array<f32>;
@group(0) @binding(4) var<storage, read> last: array<f32>;

var<workgroup> anchors: array<f32, N>;
var<workgroup> values: array<f32, WG>;
var<workgroup> indices: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i < p.n; i += WG) { anchors[i] = anchor[i]; }
    let bound = vec2f(last[0], last[1]);
    var pick = 0u;
    var going = true;
    for (var step = 0u; step < p.steps; step++) {
        var best = vec2f(0.0, 16777216.0);
        if going && lane < p.n {
            for (var i = lane; i < p.n; i += WG) {
                var v = anchors[i];
                if step > 0u { v = -maximum(-v, -apart[pick * p.n + i]); }
                anchors[i] = v;
                if i == lane || better(vec2f(v, f32(i)), best) { best = vec2f(v, f32(i)); }
            }
        }
        values[lane] = best.x;
        indices[lane] = best.y;
        for (var half = WG / 2u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if lane < half && lane + half < p.n {
                let other = vec2f(values[lane + half], indices[lane + half]);
                if better(other, vec2f(values[lane], indices[lane])) { values[lane] = other.x; indices[lane] = other.y; }
            }
        }
        workgroupBarrier();
        let found = vec2f(values[0], indices[0]);
        going = going && (step == 0u || better(found, bound));
        if going { pick = u32(found.y); }
        if lane == 0u { y[step] = select(vec2f(-1.0, f32(pick)), found, going); }
        workgroupBarrier();
    }
}
