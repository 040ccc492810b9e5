// The epilogue of a sum of channel c whose output is element `at`.
#import activation
#import bias
#import joined
#import residual

fn finished(at: u32, c: u32, sum: f32) -> f32 {
    return activated(joined(sum + bias_at(c), residual_at(at)));
}
