//! Softmax over the last axis.

use crate::engine::{Backward, Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, identity, row_kernels};
use crate::shader;
use crate::tensor::{Shape, Tensor};

#[derive(Debug)]
struct Softmax;

impl<'g> Var<'g> {
    /// Softmax over the last axis. -inf gives 0; a row of nothing else, and one with NaN or +inf, gives NaN.
    pub fn softmax(self) -> Var<'g> {
        self.apply(Softmax, &[self])
    }
}

impl Op for Softmax {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        identity(x)
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        row_kernels((shader!("softmax"), 1), x[0], 3, caps)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let mut data = Vec::with_capacity(y.len());
        for row in x[0].data.chunks(y.last()) {
            let highest = row.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v.into()));
            let powers: Vec<f64> = row.iter().map(|&v| (f64::from(v) - highest).exp()).collect();
            let sum: f64 = powers.iter().sum();
            data.extend(powers.iter().map(|v| (v / sum) as f32));
        }
        Tensor::new(y, data)
    }

    /// y (dy - y dy').
    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let (y, dy) = (at.y, at.dy);
        let mut column = y.shape().dims().to_vec();
        column.last_mut().into_iter().for_each(|last| *last = 1);
        let along = || (dy * y).sum().reshape(Shape::new(&column));
        Some(vec![at.by(0, || y * (dy - along()))])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        4 * x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |s: &[usize]| Case::new(Softmax, &[s]);
    vec![
        case(&[1, 1]),
        case(&[3, 64]).fill(Fill::Outliers),
        case(&[5, 65]).fill(Fill::NonFinite),
        case(&[9, 8]).fill(Fill::NonFinite),
        case(&[2, 3, 63]),
        case(&[2, 20_011]).fill(Fill::Outliers),
        case(&[197, 197]),
        case(&[66_001, 2]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_hand() {
        let inf = f32::INFINITY;
        let x = Tensor::new([4, 2], vec![0.0, 0.0, 1000.0, -inf, -inf, -inf, inf, 0.0]);
        let y = Softmax.reference(&[&x], x.shape).data;
        assert_eq!(y[..4], [0.5, 0.5, 1.0, 0.0]);
        assert!(y[4..].iter().all(|v| v.is_nan()));
        let x = Tensor::new([3], vec![1.0f32.ln(), 2.0f32.ln(), f32::NAN]);
        assert!(Softmax.reference(&[&x], x.shape).data.iter().all(|v| v.is_nan()));
        let x = Tensor::new([2], vec![1.0f32.ln(), 3.0f32.ln()]);
        let y = Softmax.reference(&[&x], x.shape).data;
        assert!((y[0] - 0.25).abs() < 1e-7 && (y[1] - 0.75).abs() < 1e-7);
    }

    #[test]
    fn a_row_of_a_million_keeps_within_the_loop_trips() {
        let shape = Shape::from([1, 1 << 20]);
        assert!(Softmax.kernels(&[shape], shape, &Caps::BASE).last().unwrap().iterations < 60_000);
        assert!(Softmax.infer(&[Shape::from([3, 0])]).is_err());
    }
}
