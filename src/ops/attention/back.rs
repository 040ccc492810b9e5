//! The gradient of attention, recomputed: nothing of `[t, t]` lies in memory on the way back either.
//!
//! With shares P = softmax(scores), dP = dy v' and along = dy y' (row by row), scores have the gradient P (dP - along). Queries need a sum
//! over keys of it, keys and values need sums over queries: two nodes. The first carries its softmax along, as attention does, and leaves
//! what the second has to know of each query to have its shares again.

use super::{Sizes, back_kernels};
use crate::engine::{Caps, Family, Kernel, Op, Var};
use crate::tensor::{Shape, Tensor};

/// What the second node knows of a query and a head: the highest score as a power of two and 1 / the sum of all powers beside it, both NaN
/// where that sum is; along; nothing.
pub const FACTS: usize = 4;

/// A highest score is at least this.
const LOWEST: f64 = -3.4e38f32 as f64;

/// Inputs: tokens `[n, t, 3 d]`, the gradient by what attention made of them and that itself, `[n, t, d]`. Output `[n, t, d + 4 heads]`:
/// the gradient by queries, then facts of every head.
#[derive(Clone, Copy, Debug)]
pub struct AttentionDq {
    pub heads: usize,
}

/// Inputs: tokens `[n, t, 3 d]`, the gradient `[n, t, d]` and what [`AttentionDq`] gave, `[n, t, d + 4 heads]`. Output `[n, t, 3 d]`:
/// the gradients by queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub struct AttentionDx {
    pub heads: usize,
}

impl<'g> Var<'g> {
    /// The gradient by these tokens `[n, t, 3 d]`, given what [`Var::attention`] made of them and the gradient by that, both `[n, t, d]`.
    pub fn attention_dx(self, y: Var<'g>, dy: Var<'g>, heads: usize) -> Var<'g> {
        let rows = self.apply(AttentionDq { heads }, &[self, dy, y]);
        self.apply(AttentionDx { heads }, &[self, dy, rows])
    }
}

/// Sizes of tokens `x[0]`, where the other two inputs are of so many elements a token.
fn sizes(x: &[Shape], heads: usize, elements: impl Fn(&Sizes) -> [usize; 2]) -> Result<Sizes, String> {
    let &[tokens, a, b] = x else { return Err("expected three inputs".into()) };
    let s = Sizes::of(tokens, heads)?;
    let wanted = elements(&s).map(|e| Shape::from([s.pictures, s.tokens, e]));
    if [a, b] != wanted {
        return Err(format!("{} and {} go with tokens {tokens}, not {a} and {b}", wanted[0], wanted[1]));
    }
    Ok(s)
}

impl AttentionDq {
    fn sizes(&self, x: &[Shape]) -> Result<Sizes, String> {
        sizes(x, self.heads, |s| [s.width(); 2])
    }
}

impl AttentionDx {
    fn sizes(&self, x: &[Shape]) -> Result<Sizes, String> {
        sizes(x, self.heads, |s| [s.width(), s.row()])
    }
}

impl Sizes {
    /// Elements of a token's heads.
    pub fn width(&self) -> usize {
        self.heads * self.size
    }

    /// The same with their facts.
    pub fn row(&self) -> usize {
        self.heads * (self.size + FACTS)
    }
}

/// One head of one picture, in numbers as references have them.
struct Head<'a> {
    s: Sizes,
    /// Tokens, gradient, and the third input.
    x: [&'a [f32]; 3],
    head: usize,
}

impl Head<'_> {
    /// The query (part 0), key (1) or value (2) of a token.
    fn part(&self, token: usize, part: usize) -> Vec<f64> {
        self.of(self.x[0], (token * 3 + part) * self.s.width())
    }

    /// The gradient of a token.
    fn dy(&self, token: usize) -> Vec<f64> {
        self.of(self.x[1], token * self.s.width())
    }

    /// This head's values in a row that begins there.
    fn of(&self, values: &[f32], row: usize) -> Vec<f64> {
        let first = row + self.head * self.s.size;
        values[first..first + self.s.size].iter().map(|&v| v.into()).collect()
    }

    /// A score as a power of two.
    fn score(&self, query: &[f64], key: usize) -> f64 {
        dot(query, &self.part(key, 1)) * self.s.power_scale()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `sums += by * v`.
fn add(sums: &mut [f64], by: f64, v: &[f64]) {
    sums.iter_mut().zip(v).for_each(|(sum, v)| *sum += by * v);
}

/// Writes `values` times `by` from element `at` on.
fn put(out: &mut [f32], at: usize, values: &[f64], by: f64) {
    out[at..].iter_mut().zip(values).for_each(|(out, v)| *out = (v * by) as f32);
}

/// Calls `of` for every head of every picture with what it writes to, rows of so many elements.
fn every_head(s: Sizes, x: &[&Tensor], out: &mut Tensor, rows: usize, of: impl Fn(&Head<'_>, &mut [f32])) {
    let picture = |t: &'_ Tensor, i: usize| i * t.data.len() / s.pictures..(i + 1) * t.data.len() / s.pictures;
    for (i, out) in out.data.chunks_mut(s.tokens * rows).enumerate() {
        let x = [0, 1, 2].map(|k| &x[k].data[picture(x[k], i)]);
        (0..s.heads).for_each(|head| of(&Head { s, x, head }, out));
    }
}

impl Op for AttentionDq {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        self.sizes(x).map(|s| Shape::from([s.pictures, s.tokens, s.row()]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let Ok(s) = self.sizes(x) else { return vec![] };
        ordered(caps, back_kernels::dq_software(&s, caps), back_kernels::dq_tiles(&s, caps))
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let mut out = Tensor::zeros(y);
        let Ok(s) = self.sizes(&[x[0].shape, x[1].shape, x[2].shape]) else { return out };
        every_head(s, x, &mut out, s.row(), |h, out| {
            for i in 0..s.tokens {
                let (query, dy) = (h.part(i, 0), h.dy(i));
                let scores: Vec<f64> = (0..s.tokens).map(|j| h.score(&query, j)).collect();
                let highest = scores.iter().copied().fold(LOWEST, f64::max);
                let powers: Vec<f64> = scores.iter().map(|v| (v - highest).exp2()).collect();
                let total: f64 = powers.iter().sum();
                let along = dot(&dy, &h.of(h.x[2], i * s.width()));
                let mut sums = vec![0.0; s.size];
                for (j, power) in powers.iter().enumerate() {
                    add(&mut sums, power * (dot(&dy, &h.part(j, 2)) - along), &h.part(j, 1));
                }
                put(out, i * s.row() + h.head * s.size, &sums, s.scale() / total);
                let highest = if total.is_nan() { total } else { highest };
                put(out, i * s.row() + s.width() + h.head * FACTS, &[highest, 1.0 / total, along], 1.0);
            }
        });
        out
    }

    /// Three products and, for each score, subtractions, a power, a product and a sum.
    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        self.sizes(x).map_or(0, |s| (s.pictures * s.heads * s.tokens * s.tokens * (6 * s.size + 5)) as u64)
    }
}

impl Op for AttentionDx {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        self.sizes(x).map(|s| Shape::from([s.pictures, s.tokens, 3 * s.width()]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let Ok(s) = self.sizes(x) else { return vec![] };
        ordered(caps, back_kernels::dx_software(&s, caps), back_kernels::dx_tiles(&s, caps))
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let mut out = Tensor::zeros(y);
        let Ok(s) = self.sizes(&[x[0].shape, x[1].shape, x[2].shape]) else { return out };
        every_head(s, x, &mut out, 3 * s.width(), |h, out| {
            for j in 0..s.tokens {
                let value = h.part(j, 2);
                let (mut by_key, mut by_value) = (vec![0.0; s.size], vec![0.0; s.size]);
                for i in 0..s.tokens {
                    let (query, dy) = (h.part(i, 0), h.dy(i));
                    let facts = &h.x[2][i * s.row() + s.width() + h.head * FACTS..][..FACTS];
                    let [highest, inverse, along] = [0, 1, 2].map(|f| f64::from(facts[f]));
                    let beside = h.score(&query, j) - highest;
                    let share = if beside > 0.0 { 1.0 } else { beside.exp2() } * inverse;
                    add(&mut by_value, share, &dy);
                    add(&mut by_key, share * (dot(&dy, &value) - along), &query);
                }
                let part = |part: usize| (3 * j + part) * s.width() + h.head * s.size;
                put(out, part(0), &h.of(h.x[2], j * s.row()), 1.0);
                put(out, part(1), &by_key, s.scale());
                put(out, part(2), &by_value, 1.0);
            }
        });
        out
    }

    /// Four products and, for each score, subtractions, a power and two products.
    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        self.sizes(x).map_or(0, |s| (s.pictures * s.heads * s.tokens * s.tokens * (8 * s.size + 5)) as u64)
    }
}

fn ordered(caps: &Caps, software: Vec<Kernel>, tiles: Vec<Kernel>) -> Vec<Kernel> {
    match caps.family {
        Family::Software => [software, tiles].concat(),
        Family::Gpu => [tiles, software].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Graph;

    /// One head of one value, two tokens: equal scores, so that every share is one half, and shares of 0 and 1.
    #[test]
    fn two_tokens_by_hand() {
        let graph = Graph::new();
        let (x, dy) = (graph.input("x", [1, 2, 3]), graph.input("dy", [1, 2, 1]));
        let dx = x.attention_dx(x.attention(1), dy, 1);
        let given = Tensor::new([1, 2, 3], vec![0.0, 1.0, 10.0, 0.0, -1.0, 20.0]);
        let by = Tensor::new([1, 2, 1], vec![1.0, 2.0]);
        let got = graph.eval(&[dx], &[&given, &by]).unwrap().remove(0).data;
        // dP - along of the queries: -5, 5 and -10, 10; halves of these times keys 1 and -1; queries are nothing.
        assert_eq!(got, [-5.0, 0.0, 1.5, -10.0, 0.0, 1.5]);
        let given = Tensor::new([1, 2, 3], vec![1000.0, 1000.0, 10.0, 1000.0, -1000.0, 20.0]);
        let got = graph.eval(&[dx], &[&given, &by]).unwrap().remove(0).data;
        assert_eq!(got, [0.0, 0.0, 3.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let x = Shape::from([1, 5, 24]);
        let (d, row) = (Shape::from([1, 5, 8]), Shape::from([1, 5, 16]));
        assert_eq!(AttentionDq { heads: 2 }.infer(&[x, d, d]), Ok(row));
        assert_eq!(AttentionDx { heads: 2 }.infer(&[x, d, row]), Ok(x));
        assert!(AttentionDq { heads: 2 }.infer(&[x, d, row]).unwrap_err().contains("[1,5,8]"));
        assert!(AttentionDx { heads: 2 }.infer(&[x, d, d]).unwrap_err().contains("[1,5,16]"));
        assert!(AttentionDq { heads: 3 }.infer(&[x, d, d]).unwrap_err().contains("3 heads"));
        assert!(AttentionDq { heads: 2 }.infer(&[x, d]).is_err());
    }
}
