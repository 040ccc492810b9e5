//! Cross-entropy of rows of logits with labels, and its gradient.

use crate::engine::{Backward, Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, row_kernels};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: logits `[.., c]`, labels `[..]`; output as the labels.
#[derive(Debug)]
struct CrossEntropy;

/// Inputs: logits `[.., c]`, labels `[..]`, the gradient by their cross-entropies `[..]`; output as the logits.
#[derive(Debug)]
struct CrossEntropyDx;

impl<'g> Var<'g> {
    /// -log of the softmax of these logits `[.., c]` at each row's label, a whole number from 0 below c: `[..]`. No logit is too large. A label
    /// that is no such number gives NaN, and so does its gradient; labels have none. Weights of classes or of rows are the caller's to
    /// multiply by.
    pub fn cross_entropy(self, labels: Var<'g>) -> Var<'g> {
        self.apply(CrossEntropy, &[self, labels])
    }
}

/// Shape of the labels of logits `x`.
fn labels_of(x: Shape) -> Shape {
    Shape::new(&x.dims()[..x.rank().saturating_sub(1)])
}

/// The label as an index below `c`, if it is one.
fn index(label: f32, c: usize) -> Option<usize> {
    let inside = label >= 0.0 && label < c as f32 && label.fract() == 0.0;
    inside.then_some(label as usize)
}

/// Highest logit of a row, and the sum of all powers beside it; any NaN is both.
fn total(row: &[f32]) -> (f64, f64) {
    let highest = row.iter().fold(f64::NEG_INFINITY, |m, &v| if v.is_nan() { f64::NAN } else { m.max(v.into()) });
    (highest, row.iter().map(|&v| (f64::from(v) - highest).exp()).sum())
}

/// Candidates of `shader` with so many inputs.
fn kernels(shader: &'static crate::engine::Shader, inputs: usize, x: Shape, caps: &Caps) -> Vec<Kernel> {
    row_kernels((shader, inputs), x, 3, caps).into_iter().map(|k| k.param("nan", f32::NAN)).collect()
}

impl Op for CrossEntropy {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x, labels] if x.rank() > 0 && !x.is_empty() && *labels == labels_of(*x) => Ok(*labels),
            _ => Err("expected logits [.., c] and a label for each of their rows".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        kernels(shader!("cross_entropy"), 2, x[0], caps)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let c = x[0].shape.last();
        let rows = x[0].data.chunks(c).zip(&x[1].data).map(|(row, &label)| {
            let (highest, sum) = total(row);
            index(label, c).map_or(f32::NAN, |at| (highest - f64::from(row[at]) + sum.ln()) as f32)
        });
        Tensor::new(y, rows.collect())
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let &[x, labels] = at.x else { return None };
        Some(vec![at.by(0, || x.apply(CrossEntropyDx, &[x, labels, at.dy])), None])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        3 * x[0].len() as u64
    }
}

impl Op for CrossEntropyDx {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x, labels, dy] if labels == dy => CrossEntropy.infer(&[*x, *labels]).map(|_| *x),
            _ => Err("expected logits [.., c], and for each of their rows a label and a gradient".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        kernels(shader!("cross_entropy_dx"), 3, x[0], caps)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let c = y.last();
        let rows = x[0].data.chunks(c).zip(x[1].data.iter().zip(&x[2].data)).flat_map(|(row, (&label, &dy))| {
            let (highest, sum) = total(row);
            row.iter().enumerate().map(move |(i, &v)| {
                let slope = |at| (f64::from(v) - highest).exp() / sum - f64::from(u8::from(i == at));
                index(label, c).map_or(f32::NAN, |at| (slope(at) * f64::from(dy)) as f32)
            })
        });
        Tensor::new(y, rows.collect())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        6 * x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let labels = |x: &[usize]| x[..x.len() - 1].to_vec();
    let case = |below: u8, x: &[usize]| {
        Case::new(CrossEntropy, &[x, &labels(x)]).fill(Fill::Below(below)).planted_in(1).bound(1e-10)
    };
    let dx = |below: u8, x: &[usize]| {
        let labels = labels(x);
        Case::new(CrossEntropyDx, &[x, &labels, &labels]).fill(Fill::Below(below)).planted_in(1).bound(1e-10)
    };
    vec![
        case(1, &[1, 1]),
        case(5, &[7, 5]),
        case(7, &[33, 5]),
        case(200, &[3, 4, 1001]),
        case(20, &[300, 20]),
        Case::new(CrossEntropy, &[&[9, 5], &[9]]).fill(Fill::NonFinite),
        dx(1, &[1, 1]),
        dx(5, &[7, 5]),
        dx(7, &[33, 5]),
        dx(200, &[3, 4, 1001]),
        dx(20, &[300, 20]),
        Case::new(CrossEntropyDx, &[&[9, 5], &[9], &[9]]).fill(Fill::NonFinite),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_hand() {
        let inf = f32::INFINITY;
        let x = Tensor::new([5, 2], vec![0.0, 0.0, 1e4, -1e4, 0.0, 1.0, 0.0, -inf, 0.0, 3f32.ln()]);
        let labels = Tensor::new([5], vec![1.0, 1.0, 2.0, 1.0, 0.0]);
        let y = CrossEntropy.reference(&[&x, &labels], labels.shape).data;
        assert_eq!([y[0], y[1], y[3]], [2f32.ln(), 2e4, inf]);
        assert!(y[2].is_nan() && (y[4] - 4f32.ln()).abs() < 1e-6);
        let dy = Tensor::from_fn([5], |_| 2.0);
        let dx = CrossEntropyDx.reference(&[&x, &labels, &dy], x.shape).data;
        assert_eq!([&dx[..4], &dx[6..8]].concat(), [1.0, -1.0, 2.0, -2.0, 2.0, -2.0]);
        assert!(dx[4].is_nan() && dx[5].is_nan() && (dx[8] + 1.5).abs() < 1e-6);
    }

    #[test]
    fn labels_are_whole_numbers_below_the_classes() {
        let labels = [0.0, 2.0, 3.0, -1.0, 0.5, f32::NAN, f32::INFINITY];
        assert_eq!(labels.map(|l| index(l, 3)), [Some(0), Some(2), None, None, None, None, None]);
        let (x, one) = (Shape::from([2, 3]), Shape::from([1]));
        assert!(CrossEntropy.infer(&[x, one]).unwrap_err().contains("label"));
        assert!(CrossEntropyDx.infer(&[x, Shape::from([2]), one]).is_err());
    }
}
