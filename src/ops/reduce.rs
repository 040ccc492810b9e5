//! Reductions over the last axis: sum, mean, largest, smallest, Euclidean norm.

use crate::engine::{Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, row_kernels};
use crate::shader;
use crate::tensor::{Shape, Tensor};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reduce {
    Sum,
    Mean,
    Norm,
    Max,
    Min,
}

impl<'g> Var<'g> {
    /// Sum over the last axis, which goes.
    pub fn sum(self) -> Var<'g> {
        self.apply(Reduce::Sum, &[self])
    }

    /// Mean over the last axis, which goes.
    pub fn mean(self) -> Var<'g> {
        self.apply(Reduce::Mean, &[self])
    }

    /// Square root of the sum of squares over the last axis, which goes.
    pub fn norm(self) -> Var<'g> {
        self.apply(Reduce::Norm, &[self])
    }

    /// Largest value along the last axis, which goes; NaN if there is one.
    pub fn max(self) -> Var<'g> {
        self.apply(Reduce::Max, &[self])
    }

    /// Smallest value along the last axis, which goes; NaN if there is one.
    pub fn min(self) -> Var<'g> {
        self.apply(Reduce::Min, &[self])
    }
}

impl Reduce {
    fn name(self) -> &'static str {
        match self {
            Reduce::Sum => "SUM",
            Reduce::Mean => "MEAN",
            Reduce::Norm => "NORM",
            Reduce::Max => "MAX",
            Reduce::Min => "MIN",
        }
    }

    fn value(self, row: &[f32]) -> f64 {
        let values = row.iter().map(|&v| f64::from(v));
        let keep = |better: fn(f64, f64) -> f64| {
            move |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { better(a, b) }
        };
        match self {
            Reduce::Sum => values.sum(),
            Reduce::Mean => values.sum::<f64>() / row.len() as f64,
            Reduce::Norm => values.map(|v| v * v).sum::<f64>().sqrt(),
            Reduce::Max => values.fold(f64::NEG_INFINITY, keep(f64::max)),
            Reduce::Min => values.fold(f64::INFINITY, keep(f64::min)),
        }
    }
}

impl Op for Reduce {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x] if x.rank() > 0 && !x.is_empty() => Ok(Shape::new(&x.dims()[..x.rank() - 1])),
            _ => Err("expected one tensor with an axis and an element".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        row_kernels((shader!("reduce_rows"), 1), x[0], 1, caps).into_iter().map(|k| k.set("KIND", self.name())).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let rows = x[0].data.chunks(x[0].shape.last());
        Tensor::new(y, rows.map(|row| self.value(row) as f32).collect())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |kind: Reduce, s: &[usize]| Case::new(kind, &[s]);
    vec![
        case(Reduce::Sum, &[1]),
        case(Reduce::Sum, &[5, 65]).fill(Fill::NonFinite),
        case(Reduce::Sum, &[3, 30_001]),
        case(Reduce::Mean, &[2, 3, 5, 7]).fill(Fill::Outliers),
        case(Reduce::Mean, &[66_001, 3]),
        case(Reduce::Norm, &[33, 64]).fill(Fill::NonFinite),
        case(Reduce::Norm, &[10, 257]).fill(Fill::Outliers),
        case(Reduce::Max, &[9, 8]).fill(Fill::NonFinite),
        case(Reduce::Max, &[2, 1023]).fill(Fill::Outliers),
        case(Reduce::Min, &[65, 31]).fill(Fill::NonFinite),
        case(Reduce::Min, &[4, 300]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Graph;

    #[test]
    fn rows_by_hand() {
        let x = Tensor::new([3, 2], vec![3.0, -4.0, -1.0, -2.0, f32::NAN, 1.0]);
        let graph = Graph::new();
        let v = graph.input("x", [3, 2]);
        let y = graph.eval(&[v.sum(), v.mean(), v.norm(), v.max(), v.min()], &[&x]).unwrap();
        let want = [[-1.0, -3.0], [-0.5, -1.5], [5.0, 5f32.sqrt()], [3.0, -1.0], [-4.0, -2.0]];
        for (got, want) in y.iter().zip(want) {
            assert_eq!(got.shape, Shape::from([3]));
            assert_eq!(got.data[..2], want);
            assert!(got.data[2].is_nan());
        }
    }

    #[test]
    fn a_scalar_has_no_axis_to_reduce() {
        assert_eq!(Reduce::Max.infer(&[Shape::from([7])]), Ok(Shape::new(&[])));
        assert!(Reduce::Max.infer(&[Shape::new(&[])]).is_err());
        assert!(Reduce::Max.infer(&[Shape::from([3, 0])]).is_err());
    }
}

impl<'g> Var<'g> {
    /// Sum over all axes but the last.
    pub fn column_sums(self) -> Var<'g> {
        let (rows, cols) = self.shape().rows();
        self.reshape([rows, cols]).transpose().sum()
    }
}
