//! Rows scaled to length one, and the gradient of that.

use crate::engine::{Backward, Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, identity, row_kernels};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// The smallest length that a row is divided by: PyTorch's.
const LEAST: f32 = 1e-12;

#[derive(Debug)]
struct Normalise;

/// Inputs: x and the gradient by its rows of length one; the gradient by x, `(dy - n (n dy')) / length`, or `dy / 1e-12` where a row is
/// shorter than that.
#[derive(Debug)]
struct NormaliseDx;

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

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        Some(vec![at.by(0, || at.dy.apply(NormaliseDx, &[at.x[0], at.dy]))])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        3 * x[0].len() as u64
    }
}

impl Op for NormaliseDx {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x, dy] if x == dy => identity(&[*x]),
            _ => Err("a tensor and a gradient of its shape are expected".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let rows = row_kernels((shader!("normalise_dx"), 2), x[0], 3, caps);
        rows.into_iter().map(|k| k.param("least", LEAST)).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let rows = x[0].data.chunks(y.last()).zip(x[1].data.chunks(y.last())).flat_map(|(row, dy)| {
            let length = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let short = length < f64::from(LEAST);
            let by = if short { LEAST.into() } else { length };
            let along: f64 = row.iter().zip(dy).map(|(&v, &d)| f64::from(v) / by * f64::from(d)).sum();
            let along = if short { 0.0 } else { along };
            row.iter().zip(dy).map(move |(&v, &d)| ((f64::from(d) - f64::from(v) / by * along) / by) as f32)
        });
        Tensor::new(y, rows.collect())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        8 * x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |x: &[usize]| Case::new(Normalise, &[x]).bound(1e-12);
    let dx = |x: &[usize]| Case::new(NormaliseDx, &[x, x]).bound(1e-12);
    vec![
        case(&[1]),
        case(&[5, 65]).fill(Fill::NonFinite),
        case(&[2, 3, 384]).fill(Fill::Outliers),
        case(&[300, 8]),
        case(&[3, 2001]),
        dx(&[5, 65]).fill(Fill::NonFinite),
        dx(&[2, 3, 384]).fill(Fill::Outliers),
        dx(&[300, 8]),
        dx(&[3, 2001]),
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

    #[test]
    fn gradients_of_rows_by_hand() {
        // Along the row nothing counts; of the rest, a fifth.
        let x = Tensor::new([3, 2], vec![3.0, 4.0, 3.0, 4.0, 1e-13, 0.0]);
        let dy = Tensor::new([3, 2], vec![0.6, 0.8, -4.0, 3.0, 1.0, 2.0]);
        let y = NormaliseDx.reference(&[&x, &dy], x.shape).data;
        let want = [0.0, 0.0, -0.8, 0.6, 1e12, 2e12];
        assert!(y.iter().zip(want).all(|(y, w): (&f32, f32)| (y - w).abs() <= 1e-6 * w.abs().max(1.0)), "{y:?}");
        assert!(NormaliseDx.infer(&[x.shape, Shape::from([2, 3])]).is_err());
    }
}
