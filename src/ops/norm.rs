//! Normalisation with stored statistics.

use crate::engine::{Backward, Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};

#[derive(Debug)]
struct BatchNorm {
    eps: f32,
}

impl<'g> Var<'g> {
    /// (x - mean) / sqrt(var + eps) * weight + bias along the last axis; the four are vectors `[c]`.
    pub fn batch_norm(self, weight: Var<'g>, bias: Var<'g>, mean: Var<'g>, var: Var<'g>, eps: f32) -> Var<'g> {
        self.apply(BatchNorm { eps }, &[self, weight, bias, mean, var])
    }
}

const WG: usize = 256;

impl Op for BatchNorm {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x, vectors @ ..] if !x.is_empty() && vectors.len() == 4 && vectors.iter().all(|v| v.dims() == [x.last()]) => {
                Ok(*x)
            }
            [x, ..] => Err(format!("weight, bias, mean and variance must be vectors of {}", x.last())),
            [] => Err("no input given".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("batch_norm"), 5, WG as u32).param("len", x[0].len() / width);
            let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
            let kernel = kernel.param("c", x[0].last() / width).param("eps", self.eps);
            kernel.flat_groups((x[0].len() / width).div_ceil(WG))
        };
        widths(x[0].last()).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let at = |k: usize, i: usize| f64::from(x[k].data[i]);
        Tensor::from_fn(y, |i| {
            let c = i % y.last();
            ((at(0, i) - at(3, c)) / (at(4, c) + f64::from(self.eps)).sqrt() * at(1, c) + at(2, c)) as f32
        })
    }

    /// None by mean and variance, which are not trained.
    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let (&[x, weight, _, mean, var], dy) = (at.x, at.dy) else { return None };
        let deviation = || var.affine(1.0, self.eps).sqrt();
        Some(vec![
            at.by(0, || dy * (weight / deviation())),
            at.by(1, || (dy * (x - mean)).column_sums() / deviation()),
            at.by(2, || dy.column_sums()),
            None,
            None,
        ])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        4 * x[0].len() as u64
    }
}

/// Cases of the sweep; their variances lie in [-1, 1), so eps is large.
pub fn cases() -> Vec<Case> {
    let case = |x: &[usize], c: usize| Case::new(BatchNorm { eps: 2.0 }, &[x, &[c], &[c], &[c], &[c]]);
    vec![case(&[2, 9, 7, 8], 8), case(&[3, 5, 5, 3], 3).fill(Fill::NonFinite), case(&[257, 6], 6), case(&[1], 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let x = Tensor::new([2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let [w, b, m, v] = [[2.0, 1.0], [0.5, 0.0], [1.0, 4.0], [3.0, 0.0]].map(|v: [f32; 2]| Tensor::new([2], v.to_vec()));
        let y = BatchNorm { eps: 1.0 }.reference(&[&x, &w, &b, &m, &v], x.shape);
        assert_eq!(y.data, [0.5, -2.0, 2.5, 0.0]);
    }

    #[test]
    fn vectors_of_another_length_are_told() {
        let (x, c) = (Shape::from([2, 3]), Shape::from([2]));
        assert!(BatchNorm { eps: 0.0 }.infer(&[x, c, c, c, c]).unwrap_err().contains("vectors of 3"));
        assert!(BatchNorm { eps: 0.0 }.infer(&[x]).is_err());
    }
}
