//! Means over the elements of a row that reach a threshold, as losses on the hardest elements are (EfficientAD, Batzner et al. 2024).

use crate::engine::{Backward, Caps, Kernel, Op, Parts, Var};
use crate::ops::{Case, Fill, fours, part_of, row_kernels, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::rc::Rc;

/// Inputs: rows `[r, len]` and thresholds `[r]`. Output `[r]`: the mean of a row's elements that reach its threshold, or their number.
#[derive(Clone, Copy, Debug)]
struct HardMean {
    count: bool,
}

/// The same inputs to `[r, parts, 2]`, sum and number of what reaches the threshold in parts of a row.
#[derive(Debug)]
struct HardParts;

/// `[r, parts, 2]` to `[r]`.
#[derive(Debug)]
struct HardTotal {
    count: bool,
}

/// Inputs: rows `[r, len]`, thresholds `[r]`, shares `[r]`. Output `[r, len]`: the share where the threshold is reached, else 0.
#[derive(Debug)]
struct HardDx;

impl<'g> Var<'g> {
    /// Mean of the elements of each row that are at least the row's threshold: `[r, len]` and `[r]` to `[r]`. NaN where there is one in the
    /// row, where the threshold is, and where none reaches it. No gradient goes through the threshold.
    pub fn hard_mean(self, threshold: Var<'g>) -> Var<'g> {
        self.apply(HardMean { count: false }, &[self, threshold])
    }
}

const WG: usize = 256;

/// As `shaders/lib/reaches.wgsl`.
fn reaches(v: f32, least: f32) -> bool {
    v >= least || v.is_nan()
}

fn rows(x: &[Shape]) -> Result<[usize; 2], String> {
    match x {
        [x, threshold] if x.rank() == 2 && !x.is_empty() && threshold.dims() == [x.dim(0)] => Ok([x.dim(0), x.dim(1)]),
        _ => Err("expected rows [r, len] and a threshold for each [r]".into()),
    }
}

/// Sum and number of what reaches the threshold.
fn summed(values: &[f32], least: f32) -> [f64; 2] {
    let hard = values.iter().filter(|v| reaches(**v, least));
    hard.fold([0.0; 2], |[sum, n], &v| [sum + f64::from(v), n + 1.0])
}

fn ended([sum, n]: [f64; 2], count: bool) -> f32 {
    (if count { n } else { sum / n }) as f32
}

/// Candidates for the parts of all rows.
fn part_kernels([rows, len]: [usize; 2], caps: &Caps) -> Vec<Kernel> {
    let (part, parts) = (part_of(len), len.div_ceil(part_of(len)));
    let kernels = row_kernels((shader!("hard_parts"), 2), Shape::from([rows * parts, part]), 1, caps).into_iter();
    kernels.map(|k| k.param("length", len).param("parts", parts)).collect()
}

impl Op for HardMean {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        rows(x).map(|[r, _]| Shape::from([r]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let parts = Parts { op: Rc::new(HardParts), sum: Rc::new(HardTotal { count: self.count }) };
        part_kernels(<[usize; 2]>::from(x[0].rows()), caps).into_iter().map(|k| k.in_parts(parts.clone())).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let rows = x[0].data.chunks(x[0].shape.dim(1)).zip(&x[1].data);
        Tensor::new(y, rows.map(|(row, &least)| ended(summed(row, least), self.count)).collect())
    }

    /// Their number does not change with them.
    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let (&[x, threshold], false) = (at.x, self.count) else { return Some(vec![None; 2]) };
        let share = || at.dy / x.apply(HardMean { count: true }, &[x, threshold]);
        Some(vec![at.by(0, || x.apply(HardDx, &[x, threshold, share()])), None])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

impl Op for HardParts {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        rows(x).map(|[r, len]| Shape::from([r, len.div_ceil(part_of(len)), 2]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        part_kernels(<[usize; 2]>::from(x[0].rows()), caps)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let len = x[0].shape.dim(1);
        let rows = x[0].data.chunks(len).zip(&x[1].data);
        let parts = rows.flat_map(|(row, &least)| row.chunks(part_of(len)).map(move |part| summed(part, least)));
        Tensor::new(y, parts.flatten().map(|v| v as f32).collect())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

impl Op for HardTotal {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x] if x.rank() == 3 && !x.is_empty() && x.dim(2) == 2 => Ok(Shape::from([x.dim(0)])),
            _ => Err("expected sums and numbers [r, parts, 2]".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let rows = Shape::from([x[0].dim(0), x[0].dim(1)]);
        let kernels = row_kernels((shader!("hard_total"), 1), rows, 1, caps).into_iter();
        kernels.map(|k| k.set("COUNT", self.count)).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let rows = x[0].data.chunks(2 * x[0].shape.dim(1));
        let total = |row: &[f32]| {
            let parts = row.chunks(2);
            parts.fold([0.0; 2], |[sum, n], part| [sum + f64::from(part[0]), n + f64::from(part[1])])
        };
        Tensor::new(y, rows.map(|row| ended(total(row), self.count)).collect())
    }
}

impl Op for HardDx {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x, threshold, share] if share == threshold => rows(&[*x, *threshold]).map(|_| *x),
            _ => Err("expected rows [r, len], thresholds [r] and shares [r]".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let (len, cols) = (x[0].len(), x[0].last());
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("hard_dx"), 3, WG as u32);
            let kernel = if width == 4 { fours(kernel).set("B", "vec4<bool>") } else { kernel };
            let kernel = kernel.param("len", len / width).param("cols", cols / width);
            kernel.flat_groups((len / width).div_ceil(WG))
        };
        widths(cols).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let value = |i: usize| {
            let row = i / y.last();
            if reaches(x[0].data[i], x[1].data[row]) { x[2].data[row] } else { 0.0 }
        };
        Tensor::from_fn(y, value)
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let mean = |r, len| Case::new(HardMean { count: false }, &[&[r, len], &[r]]).bound(1e-11);
    let dx = |r: usize, len: usize| Case::new(HardDx, &[&[r, len], &[r], &[r]]).bound(0.0);
    vec![
        mean(1, 40),
        mean(9, 65).fill(Fill::NonFinite),
        mean(6, 1030).fill(Fill::NonFinite).planted_in(1),
        mean(5, 257).fill(Fill::Outliers).planted_in(0),
        mean(3, 20_001),
        mean(1, 1_204_224),
        Case::new(HardMean { count: true }, &[&[7, 9001], &[7]]).bound(0.0),
        Case::new(HardTotal { count: false }, &[&[33, 70, 2]]).bound(1e-9),
        Case::new(HardTotal { count: true }, &[&[3, 5, 2]]).fill(Fill::NonFinite),
        dx(7, 33).fill(Fill::NonFinite),
        dx(3, 1028),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Graph, gradients};

    #[test]
    fn rows_by_hand() {
        let nan = f32::NAN;
        let x = Tensor::new([4, 3], vec![1.0, 5.0, 3.0, 1.0, 2.0, nan, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        let least = Tensor::new([4], vec![3.0, 2.0, nan, 4.0]);
        let graph = Graph::new();
        let (v, t) = (graph.input("x", [4, 3]), graph.input("least", [4]));
        let mean = v.hard_mean(t);
        let y = graph.eval(&[mean, gradients(mean.slice(0, 0, 1), &[v])[0]], &[&x, &least]).unwrap();
        assert!(y[0].data[0] == 4.0 && y[0].data[1..].iter().all(|v| v.is_nan()));
        assert_eq!(y[1].data[..3], [0.0, 0.5, 0.5]);
        assert!(HardMean { count: false }.infer(&[x.shape, Shape::from([3])]).unwrap_err().contains("a threshold"));
    }
}
