// The slope of an activation at four elements.
#import slope

alias T = vec4f;

fn slope_of(v: T) -> T {
    return slope4(v);
}
