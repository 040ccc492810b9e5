// Of the distances of a row only the smallest is kept, and what the row had before if that is smaller.

@group(0) @binding(4) var<storage, read> anchor: array<f32>;
@group(0) @binding(5) var<storage, read> picks: array<vec2f>;

// Centres come in groups of 32, and a group whose first pick has the value -1 holds nothing new.
fn left_out(centre: u32) -> bool {
    return picks[centre / 32u * 32u].x < -0.5;
}

fn before(row: u32) -> f32 {
    return anchor[row];
}

fn met(smallest: f32, squared: f32, row: u32, centre: u32) -> f32 {
    return select(smallest, -maximum(-smallest, -squared), centre < p.centres);
}

fn nearer(nearest: f32, squared: f32) -> f32 {
    return -maximum(-nearest, -keep_nan(squared, sqrt(squared)));
}

fn done(row: u32, nearest: f32) {
    if row < p.rows { y[row] = nearest; }
}
