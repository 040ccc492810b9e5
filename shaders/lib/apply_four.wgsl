// The activation of four elements.
#import activation

alias T = vec4f;

fn applied(v: T) -> T {
    return activated4(v);
}
