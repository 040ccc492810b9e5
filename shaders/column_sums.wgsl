// y[b, c] = sum of x[r, c] over the rows r of block b     COLUMNS columns of a block per workgroup, LANES lanes to each; flat grid
#import cells_image
#import down
#import grid

alias T = f32; // or vec4f, then c counts fours
const COLUMNS: u32 = 32u;
const LANES: u32 = 8u;
const WG: u32 = COLUMNS * LANES;

struct Params {
    rows: u32, c: u32, block: u32, blocks: u32, h: u32, w: u32,
    in0_plane_w: u32, in0_plane_h: u32, in0_pad: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = flat_group(wg, grid);
    let across = (p.c + COLUMNS - 1u) / COLUMNS;
    let column = group % across * COLUMNS + lane % COLUMNS;
    let block = group / across;
    let alive = block < p.blocks && column < p.c;
    let last = min((block + 1u) * p.block, p.rows);

    var total = T(0.0);
    if alive {
        for (var r = block * p.block + lane / COLUMNS; r < last; r += LANES) { total += value_at(r, column); }
    }
    total = down(total, lane);
    if alive && lane < COLUMNS { y[block * p.c + column] = total; }
}
