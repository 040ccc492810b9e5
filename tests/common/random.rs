//! Random graphs over whatever methods `Var` has, all of fitting shapes and tame values.

use super::caps::adapters;
use lupe::engine::{Graph, Var};
use lupe::ops::Pad;
use lupe::tensor::{Shape, Tensor};
use proptest::prelude::*;
use std::sync::Arc;

/// How to make a graph: steps that name what they work on by numbers, taken modulo what there is.
#[derive(Clone, Debug)]
pub struct Recipe {
    picture: [usize; 4],
    steps: Vec<[usize; 4]>,
    outputs: Vec<usize>,
    /// Which adapter to lower for.
    pub adapter: usize,
    /// Which candidates to pick; 0 is the first of each.
    pub pick: usize,
}

/// Recipes of up to a dozen ops.
pub fn recipes() -> impl Strategy<Value = Recipe> {
    let picture = [1..3usize, 1..7, 1..7, 1..10];
    let steps = prop::collection::vec([0..64usize, 0..64, 0..64, 0..64], 1..12);
    let outputs = prop::collection::vec(0..64usize, 1..4);
    (picture, steps, outputs, 0..adapters().len(), 0..8usize)
        .prop_map(|(picture, steps, outputs, adapter, pick)| Recipe { picture, steps, outputs, adapter, pick })
}

/// Numbers in [-1, 1) without a pattern.
fn noise(shape: impl Into<Shape>, seed: usize) -> Tensor {
    Tensor::from_fn(shape, |i| {
        let z = (i + 1).wrapping_add(seed << 20).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((z ^ (z >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    })
}

impl Recipe {
    /// The graph's inputs, and its outputs.
    pub fn build<'g>(&self, graph: &'g Graph) -> (Vec<Tensor>, Vec<Var<'g>>) {
        let [n, h, w, c] = self.picture;
        let given = vec![noise(self.picture, 1), noise([n * h, w * c], 2)];
        let mut vars = vec![graph.input("picture", given[0].shape), graph.input("matrix", given[1].shape)];
        for (number, step) in self.steps.iter().enumerate() {
            vars.extend(Maker { graph, vars: &vars, number, step: *step }.make());
        }
        // Late values first, so that most of the graph is alive.
        let output = |o: &usize| vars[vars.len() - 1 - o % vars.len().min(4)];
        (given, self.outputs.iter().map(output).collect())
    }
}

/// Makes one step of a recipe.
struct Maker<'a, 'g> {
    graph: &'g Graph,
    vars: &'a [Var<'g>],
    number: usize,
    step: [usize; 4],
}

impl<'g> Maker<'_, 'g> {
    /// A weight of this shape whose sums stay near one.
    fn weight(&self, name: &str, shape: &[usize]) -> Var<'g> {
        let mut tensor = noise(shape, 3 + self.number);
        let terms = shape.iter().skip(1).product::<usize>().max(1) as f32;
        tensor.data.iter_mut().for_each(|v| *v *= 2.0 / terms.sqrt());
        self.graph.weight(&format!("w{}.{name}", self.number), Arc::new(tensor))
    }

    /// The values made so far for which `fits` holds; the latest is as likely as all others together.
    fn choose(&self, which: usize, fits: impl Fn(&Var<'g>) -> bool) -> Option<Var<'g>> {
        let fitting: Vec<Var> = self.vars.iter().copied().filter(fits).collect();
        let last = fitting.last().copied();
        if which.is_multiple_of(2) { last } else { fitting.get(which / 2 % fitting.len().max(1)).copied() }
    }

    fn make(&self) -> Option<Var<'g>> {
        let [kind, which, _, _] = self.step;
        let picture = || self.choose(which, |v| v.shape().rank() == 4 && !v.shape().is_empty());
        let matrix = || self.choose(which, |v| v.shape().rank() == 2);
        match kind % 9 {
            0 | 1 => Some(self.convolution(picture()?)),
            2 => Some(self.pool(picture()?)),
            3 => Some(self.product(matrix()?)),
            4 | 5 => self.map(self.choose(which, |_| true)?),
            6 => Some(self.layout(self.choose(which, |v| v.shape().rank() > 1)?)),
            7 => Some(self.view(self.choose(which, |v| v.shape().rank() > 1)?)),
            _ => Some(self.rows(self.choose(which, |v| v.shape().rank() > 1)?)),
        }
    }

    fn convolution(&self, x: Var<'g>) -> Var<'g> {
        let [_, _, a, b] = self.step;
        let k = [1, 3, 2][a % 3].min(x.dim(1)).min(x.dim(2));
        let (co, stride, pad) = ([4, 3, 8, 18][b % 4], 1 + a / 3 % 2, (a / 6) % 3 % k.max(1));
        self.epilogue(x.conv2d(self.weight("weight", &[co, x.dim(3), k, k]), stride, pad))
    }

    /// Bias, residual from either side and ReLU, each as often as not.
    fn epilogue(&self, mut y: Var<'g>) -> Var<'g> {
        let bits = self.step[3] / 4;
        if bits & 1 != 0 {
            y = y + self.weight("bias", &[y.shape().last()]);
        }
        if bits & 2 != 0 {
            let like = self.choose(self.step[2], |v| v.shape() == y.shape());
            let z = like.unwrap_or_else(|| self.weight("residual", y.shape().dims()));
            y = if bits & 8 == 0 { y + z } else { z + y };
        }
        if bits & 4 != 0 { y.relu() } else { y }
    }

    fn pool(&self, x: Var<'g>) -> Var<'g> {
        let [_, _, a, b] = self.step;
        let k = 1 + a % 3.min(x.dim(1)).min(x.dim(2));
        let pad = Pad { top: b % k, left: b / 2 % k, bottom: b / 4 % k, right: 0 };
        match a / 3 % 4 {
            0 => x.avg_pool(k, 1 + b % 2, pad, b % 3 == 0),
            1 if b % 4 == 0 => x.global_pool(),
            _ => x.max_pool(k, 1 + b % 2, pad),
        }
    }

    fn product(&self, x: Var<'g>) -> Var<'g> {
        let [_, _, a, b] = self.step;
        let n = [4, 5, 12, 20][b % 4];
        self.epilogue(match a % 3 {
            0 => x.matmul(self.weight("weight", &[x.dim(1), n])),
            1 => x.matmul_t(self.weight("weight", &[n, x.dim(1)])),
            _ => x.t_matmul(self.weight("weight", &[x.dim(0), n])),
        })
    }

    fn map(&self, x: Var<'g>) -> Option<Var<'g>> {
        let [_, _, a, b] = self.step;
        let same = || self.choose(b, |v| v.shape() == x.shape());
        let last = [x.shape().last()];
        Some(match a % 10 {
            0..3 => x.relu(),
            3..5 => x + same()?,
            5 => x - same()?,
            6 => x + self.weight("row", &last),
            7 => self.weight("from", x.shape().dims()) - x,
            8 => x.maximum(same()?).affine(-0.5, 0.25),
            _ => x * self.weight("scale", &last),
        })
    }

    fn layout(&self, x: Var<'g>) -> Var<'g> {
        let [_, _, a, b] = self.step;
        let axis = b % x.shape().rank();
        let (rows, columns) = x.shape().rows();
        match a % 5 {
            0 if x.shape().len() < 4000 => x.concat(x, axis),
            1 => x.slice(axis, 0, x.dim(axis).div_ceil(2)),
            2 if x.shape().len() < 4000 => x.pad(axis, a % 3, 1),
            3 if x.shape().rank() == 4 => x.permute(&[0, 2, 1, 3]),
            3 if x.shape().rank() == 2 => x.transpose(),
            _ => x.reshape([rows, columns]),
        }
    }

    /// Another shape, or a slice along the first axis, of a value or of a weight.
    fn view(&self, x: Var<'g>) -> Var<'g> {
        let [_, _, a, b] = self.step;
        let ((rows, columns), size) = (x.shape().rows(), x.dim(0));
        match a % 5 {
            0 if size > 1 => x.slice(0, 0, size.div_ceil(2)),
            1 if size > 1 => x.slice(0, 1 + b % (size - 1), size),
            2 => x * self.weight("viewed", &[3 * columns]).slice(0, columns, 2 * columns),
            3 => x.reshape([1, rows, 1, columns]),
            _ => x.reshape([rows, columns]),
        }
    }

    fn rows(&self, x: Var<'g>) -> Var<'g> {
        let [_, _, a, b] = self.step;
        match a % 4 {
            0 => x.softmax(),
            1 if b % 2 == 0 => x.max(),
            2 if b % 2 == 0 => x.mean(),
            _ => {
                let vector = |name| self.weight(name, &[x.shape().last()]);
                let variance = vector("variance").square();
                x.batch_norm(vector("weight"), vector("bias"), vector("mean"), variance, 1.0)
            }
        }
    }
}
