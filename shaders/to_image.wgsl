// image = buffer, four channels a texel, unused channels zero     put in by the plan
// one invocation per texel, blocks.wgsl says which; flat grid
#import blocks
#import divide
#import grid
#import quad_in_one

const WG: u32 = 64u;
const PLANES: u32 = 1u;
const PICTURE: bool = true; // [n, h, w, c]; else a matrix [rows, c], wrapped at the image's width

struct Params { h: u32, w: u32, c: u32, rows: u32, row_blocks: u32, out_plane_w: u32, out_plane_h: u32, out_pad: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let place = row_and_plane(flat_group(wg, grid), lane, p.row_blocks);
    let row = place.x;
    let plane = place.y;
    if row >= p.rows || plane * 4u >= p.c { return; }
    var at = divided(row, p.out_plane_w);
    if PICTURE {
        let pixel = divided(row, p.h * p.w);
        at = divided(pixel.x, p.w) + vec2u(pixel.y * p.out_plane_w, 0u) + p.out_pad;
    }
    at.y += plane * p.out_plane_h;
    textureStore(y, at, quad_at(row, plane));
}
