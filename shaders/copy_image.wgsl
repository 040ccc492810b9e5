// y = x, image to image: what memory gives at most     one invocation per texel, along the rows of all pictures
#import divide

const WG: u32 = 64u;

struct Params {
    w: u32, h: u32, width: u32, height: u32,
    in0_plane_w: u32, in0_plane_h: u32, in0_pad: u32, out_plane_w: u32, out_plane_h: u32, out_pad: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= p.width || id.y >= p.height { return; }
    let column = divided(id.x, p.w);
    let row = divided(id.y, p.h);
    let source = vec2u(column.y * p.in0_plane_w + column.x, row.y * p.in0_plane_h + row.x) + p.in0_pad;
    let target_at = vec2u(column.y * p.out_plane_w + column.x, row.y * p.out_plane_h + row.x) + p.out_pad;
    textureStore(y, target_at, textureLoad(x, source));
}
