// All distances are stored, those to one centre side by side.

fn left_out(centre: u32) -> bool {
    return false;
}

fn before(row: u32) -> f32 {
    return 0.0;
}

fn met(smallest: f32, squared: f32, row: u32, centre: u32) -> f32 {
    if row < p.rows && centre < p.centres { y[centre * p.rows + row] = keep_nan(squared, sqrt(squared)); }
    return smallest;
}

fn nearer(nearest: f32, squared: f32) -> f32 {
    return nearest;
}

fn done(row: u32, nearest: f32) {
}
