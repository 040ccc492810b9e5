// Row and plane of an invocation: a workgroup takes WG / PLANES rows and PLANES planes of them, so that it touches whole cache lines of
// both forms.

fn row_and_plane(group: u32, lane: u32, row_blocks: u32) -> vec2u {
    let block = divided(group, row_blocks);
    return block * vec2u(WG / PLANES, PLANES) + vec2u(lane % (WG / PLANES), lane / (WG / PLANES));
}
