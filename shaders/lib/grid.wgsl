// Number of a workgroup in a flat grid that is folded into two axes, because one axis ends at 65,535 workgroups.

fn flat_group(wg: vec3u, grid: vec3u) -> u32 {
    return wg.y * grid.x + wg.x;
}
