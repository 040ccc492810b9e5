// A texel that the lane of this number has loaded, for all lanes.

fn spread(loaded: vec4f, lane: u32, texel: u32) -> vec4f {
    return subgroupShuffle(loaded, lane);
}
