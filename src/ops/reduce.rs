//! Reductions over the last axis: sum, mean, largest, smallest, Euclidean norm. Long rows in parts, which are put together afterwards.

use crate::engine::{Backward, Caps, Kernel, Op, Parts, Var};
use crate::ops::{Case, Fill, part_of, row_kernels};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::rc::Rc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reduce {
    Sum,
    Mean,
    Norm,
    Max,
    Min,
}

/// `[.., cols]` to `[.., parts]`: parts of `part` elements each, the last of what is left; of a mean the sum, of a norm the sum of squares.
#[derive(Debug)]
struct ReduceParts {
    kind: Reduce,
    part: usize,
}

/// `[.., parts]` to `[..]`: what the parts of rows of `count` elements come to.
#[derive(Debug)]
struct ReduceTotal {
    kind: Reduce,
    count: usize,
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

    /// What elements come to before a mean or a norm is ended: of a mean the sum, of a norm the sum of squares.
    fn part(self, values: &[f32]) -> f64 {
        let values = values.iter().map(|&v| f64::from(v));
        let keep = |better: fn(f64, f64) -> f64| {
            move |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { better(a, b) }
        };
        match self {
            Reduce::Sum | Reduce::Mean => values.sum(),
            Reduce::Norm => values.map(|v| v * v).sum(),
            Reduce::Max => values.fold(f64::NEG_INFINITY, keep(f64::max)),
            Reduce::Min => values.fold(f64::INFINITY, keep(f64::min)),
        }
    }

    fn ended(self, v: f64, count: usize) -> f64 {
        match self {
            Reduce::Mean => v / count as f64,
            Reduce::Norm => v.sqrt(),
            Reduce::Sum | Reduce::Max | Reduce::Min => v,
        }
    }

    /// What adds up parts of this.
    fn of_parts(self) -> Reduce {
        if self == Reduce::Norm { Reduce::Sum } else { self }
    }

    /// Candidates for parts of `part` elements of rows of `x`, the last of what is left.
    fn kernels_of(self, x: Shape, part: usize, caps: &Caps) -> Vec<Kernel> {
        let (rows, cols) = x.rows();
        let parts = cols.div_ceil(part);
        let kernels = row_kernels((shader!("reduce_rows"), 1), Shape::from([rows * parts, part]), 1, caps).into_iter();
        kernels.map(|k| k.set("KIND", self.name()).param("length", cols).param("parts", parts)).collect()
    }
}

fn rows_of(x: &[Shape]) -> Result<Shape, String> {
    match x {
        [x] if x.rank() > 0 && !x.is_empty() => Ok(Shape::new(&x.dims()[..x.rank() - 1])),
        _ => Err("expected one tensor with an axis and an element".into()),
    }
}

impl Op for Reduce {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        rows_of(x)
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let (kind, cols) = (*self, x[0].last());
        let part = part_of(cols);
        let kernels = kind.kernels_of(x[0], part, caps).into_iter().map(|k| k.param("count", cols));
        if part == cols {
            return kernels.collect();
        }
        let parts = Parts { op: Rc::new(ReduceParts { kind, part }), sum: Rc::new(ReduceTotal { kind, count: cols }) };
        kernels.map(|k| k.set("PARTS", true).in_parts(parts.clone())).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let cols = x[0].shape.last();
        Tensor::new(y, x[0].data.chunks(cols).map(|row| self.ended(self.part(row), cols) as f32).collect())
    }

    /// None of a largest or smallest value. The norm of a row of zeros has a kink there, and no gradient.
    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let (x, dy) = (at.x[0], at.dy);
        let (shape, cols) = (x.shape(), x.shape().last());
        let column = |v: Var<'g>| v.reshape(Shape::new(&[at.y.shape().dims(), &[1]].concat()));
        let by = match self {
            Reduce::Sum => at.by(0, || dy.spread_columns(shape)),
            Reduce::Mean => at.by(0, || dy.affine(1.0 / cols as f32, 0.0).spread_columns(shape)),
            Reduce::Norm => at.by(0, || x * column(dy / at.y.affine(1.0, 1e-30))),
            Reduce::Max | Reduce::Min => return None,
        };
        Some(vec![by])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

impl Op for ReduceParts {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let rows = rows_of(x)?;
        Ok(Shape::new(&[rows.dims(), &[x[0].last().div_ceil(self.part.max(1))]].concat()))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let kernels = self.kind.kernels_of(x[0], self.part, caps).into_iter();
        kernels.map(|k| k.param("count", x[0].last()).set("PARTS", true)).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let parts = x[0].data.chunks(x[0].shape.last()).flat_map(|row| row.chunks(self.part));
        Tensor::new(y, parts.map(|part| self.kind.part(part) as f32).collect())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

impl Op for ReduceTotal {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        rows_of(x)
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let kernels = self.kind.kernels_of(x[0], x[0].last(), caps).into_iter();
        kernels.map(|k| k.param("count", self.count).set("TOTAL", true)).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let rows = x[0].data.chunks(x[0].shape.last());
        let total = |row| self.kind.ended(self.kind.of_parts().part(row), self.count) as f32;
        Tensor::new(y, rows.map(total).collect())
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
        case(Reduce::Sum, &[3, 30_001]).bound(1e-11),
        case(Reduce::Mean, &[1, 1_204_224]).bound(1e-10),
        case(Reduce::Norm, &[2, 8193]).fill(Fill::NonFinite).bound(1e-11),
        case(Reduce::Max, &[3, 5, 9001]),
        case(Reduce::Min, &[2, 8200]).fill(Fill::NonFinite),
        case(Reduce::Mean, &[2, 3, 5, 7]).fill(Fill::Outliers),
        case(Reduce::Mean, &[66_001, 3]),
        case(Reduce::Norm, &[33, 64]).fill(Fill::NonFinite),
        case(Reduce::Norm, &[10, 257]).fill(Fill::Outliers),
        case(Reduce::Max, &[9, 8]).fill(Fill::NonFinite),
        case(Reduce::Max, &[2, 1023]).fill(Fill::Outliers),
        case(Reduce::Min, &[65, 31]).fill(Fill::NonFinite),
        case(Reduce::Min, &[4, 300]),
        Case::new(ReduceParts { kind: Reduce::Norm, part: 64 }, &[&[3, 5, 130]]),
        Case::new(ReduceTotal { kind: Reduce::Norm, count: 9 }, &[&[7, 9]]).fill(Fill::NonFinite),
        Case::new(ReduceTotal { kind: Reduce::Mean, count: 999 }, &[&[5, 70]]).fill(Fill::Outliers),
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
    fn parts_come_to_the_same() {
        let x = Tensor::new([1, 5], vec![3.0, -4.0, -1.0, -2.0, 6.0]);
        for kind in [Reduce::Sum, Reduce::Mean, Reduce::Norm, Reduce::Max, Reduce::Min] {
            let parts = ReduceParts { kind, part: 2 };
            let of_parts = parts.reference(&[&x], parts.infer(&[x.shape]).unwrap());
            assert_eq!(of_parts.shape, Shape::from([1, 3]));
            let total = ReduceTotal { kind, count: 5 }.reference(&[&of_parts], Shape::from([1]));
            assert_eq!(total, kind.reference(&[&x], Shape::from([1])), "{kind:?}");
        }
    }

    #[test]
    fn a_long_row_is_for_many_workgroups() {
        for (_, caps) in crate::engine::form::typical() {
            let x = Shape::from([1, 1_204_224]);
            let first = Reduce::Mean.kernels(&[x], Shape::from([1]), &caps).remove(0);
            assert!(first.parts.is_some() && first.iterations < 60_000 && first.groups[0] >= 8, "{:?}", first.groups);
        }
    }

    #[test]
    fn a_scalar_has_no_axis_to_reduce() {
        assert_eq!(Reduce::Max.infer(&[Shape::from([7])]), Ok(Shape::new(&[])));
        assert!(Reduce::Max.infer(&[Shape::new(&[])]).is_err());
        assert!(Reduce::Max.infer(&[Shape::from([3, 0])]).is_err());
    }
}
