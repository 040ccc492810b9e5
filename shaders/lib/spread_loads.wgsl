// Without shuffles every lane loads every texel.

fn spread(loaded: vec4f, lane: u32, texel: u32) -> vec4f {
    return textureLoad(centres, vec2u(texel % 1024u, texel / 1024u));
}
