// What a sum becomes with the residual at its place: both together.

fn joined4(sum: vec4f, z: vec4f) -> vec4f {
    return sum + z;
}

fn joined(sum: f32, z: f32) -> f32 {
    return sum + z;
}
