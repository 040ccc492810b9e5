// Weights [co, ci, kh, kw] (a matrix: [co, ci]; TRANSPOSED: [ci, co]) as the texels that the software family's kernels read:
// texel e = ((block * taps*cin4 + tap * cin4 + plane) * 4 + i) * TM/4 + r holds output channels 4r..4r+3 of the block for
// input channel 4*plane+i; rows of 1024 texels; zeros beyond co and ci.     one invocation per texel; flat grid
#import grid
#import divide

const WG: u32 = 64u;
const TM: u32 = 32u;
const TRANSPOSED: bool = false;

struct Params { co: u32, ci: u32, taps: u32, cin4: u32, texels: u32, out_pad: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;
@group(0) @binding(2) var<storage, read> w: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let texel = flat_group(wg, grid) * WG + lane;
    if texel >= p.texels { return; }
    let inner = texel / (TM / 4u);
    let plane = divided(inner / 4u, p.cin4);
    let tap = divided(plane.y, p.taps);
    let c = plane.x * 4u + inner % 4u;
    let first = tap.y * TM + texel % (TM / 4u) * 4u;
    var v = vec4f(0.0);
    for (var k = 0u; k < 4u; k++) { // unroll
        if first + k < p.co && c < p.ci {
            v[k] = w[select(((first + k) * p.ci + c) * p.taps + tap.x, c * p.co + first + k, TRANSPOSED)];
        }
    }
    textureStore(y, vec2u(texel % 1024u, texel / 1024u) + p.out_pad, v);
}
