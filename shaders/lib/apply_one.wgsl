// The activation of one element.
#import activation

alias T = f32;

fn applied(v: T) -> T {
    return activated(v);
}
