// The epilogue of sums of channels 4c to 4c + 3 whose outputs are vec4 `at`.
#import activation
#import bias
#import joined
#import residual4

fn finished(at: u32, c: u32, sum: vec4f) -> vec4f {
    let b = vec4f(bias_at(4u * c), bias_at(4u * c + 1u), bias_at(4u * c + 2u), bias_at(4u * c + 3u));
    return activated4(joined4(sum + b, residual_at(at)));
}
