//! Multi-head self-attention (Vaswani et al. 2017), fused: no matrix of tokens by tokens lies in memory beyond a tile.

mod back;
mod back_kernels;
mod cases;
mod kernels;

pub use cases::cases;

use crate::engine::{Backward, Caps, Family, Kernel, Op, Var};
use crate::tensor::{Shape, Tensor};

/// The largest head that there are kernels for.
pub const MOST: usize = 128;

/// Input `[n, t, 3, d]` as `[n, t, 3 d]`: queries, keys and values of every token, each head after head. Output `[n, t, d]`.
#[derive(Clone, Copy, Debug)]
struct Attention {
    heads: usize,
}

impl<'g> Var<'g> {
    /// Of tokens `[n, t, 3 d]`, rows q, k, v, each head after head, softmax(q k' / sqrt(d / heads)) v of every head: `[n, t, d]`. Every token
    /// attends to every token of its picture.
    pub fn attention(self, heads: usize) -> Var<'g> {
        self.apply(Attention { heads }, &[self])
    }
}

/// Sizes of an attention.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    pictures: usize,
    tokens: usize,
    heads: usize,
    /// Elements of a head.
    size: usize,
}

impl Attention {
    fn sizes(&self, x: &[Shape]) -> Result<Sizes, String> {
        let &[x] = x else { return Err("expected one input".into()) };
        Sizes::of(x, self.heads)
    }
}

impl Sizes {
    /// Of tokens `[n, t, 3 d]` with so many heads.
    fn of(x: Shape, heads: usize) -> Result<Sizes, String> {
        let parts = 3 * heads;
        let &[pictures, tokens, d] = x.dims() else { return Err(format!("expected tokens [n,t,3 d], {x} given")) };
        if x.is_empty() || parts == 0 || !d.is_multiple_of(parts) {
            return Err(format!("{x} holds no queries, keys and values of {heads} heads"));
        }
        let size = d / parts;
        if size > MOST {
            return Err(format!("heads of {size} values are larger than {MOST}"));
        }
        Ok(Sizes { pictures, tokens, heads, size })
    }

    /// What products of queries and keys are multiplied by.
    fn scale(&self) -> f64 {
        1.0 / (self.size as f64).sqrt()
    }

    /// The same where scores are powers of two.
    fn power_scale(&self) -> f64 {
        self.scale() * std::f64::consts::LOG2_E
    }
}

impl Op for Attention {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        self.sizes(x).map(|s| Shape::from([s.pictures, s.tokens, s.heads * s.size]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let Ok(s) = self.sizes(x) else { return vec![] };
        let (software, tiles) = (kernels::software(&s, caps), kernels::tiles(&s, caps));
        match caps.family {
            Family::Software => [software, tiles].concat(),
            Family::Gpu => [tiles, software].concat(),
        }
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let mut out = Tensor::zeros(y);
        let Ok(s) = self.sizes(&[x[0].shape]) else { return out };
        let d = s.heads * s.size;
        for (picture, out) in x[0].data.chunks(s.tokens * 3 * d).zip(out.data.chunks_mut(s.tokens * d)) {
            let part = |token: usize, part: usize, head: usize| {
                picture[(token * 3 + part) * d + head * s.size..].iter().take(s.size).map(|&v| f64::from(v))
            };
            for (i, of_token) in out.chunks_mut(d).enumerate() {
                for (head, out) in of_token.chunks_mut(s.size).enumerate() {
                    let score = |j| part(i, 0, head).zip(part(j, 1, head)).map(|(q, k)| q * k).sum::<f64>() * s.scale();
                    let scores: Vec<f64> = (0..s.tokens).map(score).collect();
                    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let shares: Vec<f64> = scores.iter().map(|v| (v - highest).exp()).collect();
                    let total: f64 = shares.iter().sum();
                    let mut sums = vec![0.0; s.size];
                    for (j, share) in shares.iter().enumerate() {
                        sums.iter_mut().zip(part(j, 2, head)).for_each(|(sum, v)| *sum += share * v);
                    }
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = (sum / total) as f32);
                }
            }
        }
        out
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        Some(vec![at.by(0, || at.x[0].attention_dx(at.y, at.dy, self.heads))])
    }

    /// The two products and, for each score, a subtraction, a power and a sum.
    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        self.sizes(x).map_or(0, |s| (s.pictures * s.heads * s.tokens * s.tokens * (4 * s.size + 3)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tokens_by_hand() {
        // One head of one value: scores are q k, shares of the second token exp(1) / (1 + exp(1)) for a query of 1, one half for 0.
        let x = Tensor::new([1, 2, 3], vec![1.0, 0.0, 10.0, 0.0, 1.0, 20.0]);
        let op = Attention { heads: 1 };
        let y = op.reference(&[&x], op.infer(&[x.shape]).unwrap());
        let second = 1f32.exp() / (1.0 + 1f32.exp());
        assert!((y.data[0] - (10.0 + 10.0 * second)).abs() < 1e-5 && y.data[1] == 15.0);
    }

    #[test]
    fn what_is_no_attention_is_told() {
        let says = |heads, x: &[usize]| Attention { heads }.infer(&[Shape::new(x)]).unwrap_err();
        assert!(says(5, &[1, 3, 24]).contains("5 heads"));
        assert!(says(0, &[1, 3, 24]).contains("0 heads"));
        assert!(says(1, &[3, 24]).contains("[n,t,3 d]"));
        assert!(says(1, &[1, 2, 387]).contains("larger than 128"));
    }
}
