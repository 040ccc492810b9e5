// Order of pairs (value, index): NaN is larger than all, ties go to the lowest index.

fn nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

fn better(a: vec2f, b: vec2f) -> bool {
    if nan(a.x) || nan(b.x) { return nan(a.x) && (!nan(b.x) || a.y < b.y); }
    return a.x > b.x || (a.x == b.x && a.y < b.y);
}
