// What a sum goes through before it is stored: nothing, ReLU, or ReLU6, which stops at 6 as well. NaN stays NaN.
#import nonfinite

const RELU: bool = false;
const RELU6: bool = false;

fn activated4(v: vec4f) -> vec4f {
    if RELU { return relu4(v); }
    if RELU6 { return select(min(max(v, vec4f(0.0)), vec4f(6.0)), v, nan4(v)); }
    return v;
}

fn activated(v: f32) -> f32 {
    if RELU { return relu(v); }
    if RELU6 { return select(min(max(v, 0.0), 6.0), v, nan(v)); }
    return v;
}
