//! Rows scaled to length one.

use crate::engine::{Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, identity, row_kernels};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// The smallest length that a row is divided by: PyTorch's.
const LEAST: f32 = 1e-12;

#[derive(Debug)]
struct Normalise;

impl<'g> Var<'g> {
    /// Every row along the last axis divided by its Euclidean length, or by 1e-12 where it is shorter.
    pub fn normalised(self) -> Var<'g> {
        self.apply(Normalise, &[self])
    }
}

impl Op for Normalise {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        identity(x)
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let rows = row_kernels((shader!("normalise"), 1), x[0], 2, caps);
        rows.into_iter().map(|k| k.param("least", LEAST)).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let rows = x[0].data.chunks(y.last()).flat_map(|row| {
            let length = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let by = if length < f64::from(LEAST) { LEAST.into() } else { length };
            row.iter().map(move |&v| (f64::from(v) / by) as f32)
        });
        Tensor::new(y, rows.collect())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        3 * x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |x: &[usize]| Case::new(Normalise, &[x]).bound(1e-12);
    vec![
        case(&[1]),
        case(&[5, 65]).fill(Fill::NonFinite),
        case(&[2, 3, 384]).fill(Fill::Outliers),
        case(&[300, 8]),
        case(&[3, 2001]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_hand() {
        let x = Tensor::new([3, 2], vec![3.0, -4.0, 0.0, 0.0, 1e-13, f32::NAN]);
        let y = Normalise.reference(&[&x], x.shape);
        assert_eq!(y.data[..4], [0.6, -0.8, 0.0, 0.0]);
        assert!(y.data[4..].iter().all(|v| v.is_nan()));
        let x = Tensor::new([1, 2], vec![1e-13, 0.0]);
        assert!((Normalise.reference(&[&x], x.shape).data[0] - 0.1).abs() < 1e-7);
    }
}
