// y = table[channel][byte]: packed pixels as texels, the fourth channel zero     one invocation per pixel; flat grid
#import divide
#import grid
#import pixel

const WG: u32 = 64u;

struct Params { pixels: u32, h: u32, w: u32, words: u32, order: u32, out_plane_w: u32, out_pad: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.pixels { return; }
    let column = divided(i, p.w);
    let row = divided(column.y, p.h);
    let v = vec4f(number(column.y, column.x, 0u), number(column.y, column.x, 1u), number(column.y, column.x, 2u), 0.0);
    textureStore(y, vec2u(row.y * p.out_plane_w + column.x, row.x) + p.out_pad, v);
}
