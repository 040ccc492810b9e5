// Labels of rows, whole numbers as floats, and powers beside a row's largest number.

fn is_label(v: f32) -> bool {
    return v >= 0.0 && v < f32(p.cols) && floor(v) == v;
}

// The label as an index; 0 for what is none.
fn number(v: f32) -> u32 {
    return u32(select(0.0, v, is_label(v)));
}

// exp(v - highest); NaN where both are infinite.
fn power(v: f32, highest: f32) -> f32 {
    let d = v - highest;
    return keep_nan(d, exp(d));
}
