// The first round: everything is wanted.

fn wanted(query: u32, key: f32, index: u32) -> bool {
    return true;
}
