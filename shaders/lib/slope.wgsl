// The slope of ReLU or, where it ends at 6, of ReLU6, by what it gives: 1 between its ends, 0 at them. NaN stays NaN.
#import nonfinite

const TO_SIX: bool = false;

fn slope4(v: vec4f) -> vec4f {
    let above = select(vec4f(0.0), vec4f(1.0), v > vec4f(0.0));
    let slope = select(above, vec4f(0.0), v >= vec4f(6.0));
    if TO_SIX { return select(slope, v, nan4(v)); }
    return select(above, v, nan4(v));
}
