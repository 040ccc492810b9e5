// y[n, c] = mean of x[n, :, c]     one workgroup per picture and CHANNELS channels, WG / CHANNELS lanes to each; flat grid
#import grid

const WG: u32 = 256u;
const CHANNELS: u32 = 4u;
const LANES: u32 = WG / CHANNELS;

struct Params { pixels: u32, c: u32, n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

var<workgroup> scratch: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = flat_group(wg, grid);
    let blocks = (p.c + CHANNELS - 1u) / CHANNELS;
    let picture = group / blocks;
    let channel = group % blocks * CHANNELS + lane % CHANNELS;
    let alive = picture < p.n && channel < p.c;

    var total = 0.0;
    if alive {
        for (var i = lane / CHANNELS; i < p.pixels; i += LANES) { total += x[(picture * p.pixels + i) * p.c + channel]; }
    }
    scratch[lane] = total;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half * CHANNELS { scratch[lane] += scratch[lane + half * CHANNELS]; }
    }
    if alive && lane < CHANNELS { y[picture * p.c + channel] = scratch[lane] / f32(p.pixels); }
}
