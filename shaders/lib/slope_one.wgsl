// The slope of an activation at one element.
#import slope

alias T = f32;

fn slope_of(v: T) -> T {
    return slope4(vec4f(v)).x;
}
