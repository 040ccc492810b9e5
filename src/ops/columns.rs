//! Sums over all axes but the last, the columns of a matrix: of rows in blocks, then of the blocks, so that many rows keep a GPU busy.

use crate::engine::{Backward, Caps, Family, Form, Kernel, Op, Parts, Var};
use crate::ops::{Case, Fill, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::rc::Rc;

/// `[.., c]` to `[c]`.
#[derive(Debug)]
struct ColumnSums;

/// `[.., c]` to `[blocks, c]`: sums of `block` rows each, of what is left in the last.
#[derive(Debug)]
struct ColumnParts {
    block: usize,
}

/// `[blocks, c]` to `[c]`.
#[derive(Debug)]
struct ColumnTotal;

impl<'g> Var<'g> {
    /// Sum over all axes but the last: `[.., c]` to `[c]`.
    pub fn column_sums(self) -> Var<'g> {
        let (rows, c) = self.shape().rows();
        if rows == 1 { self.reshape([c]) } else { self.apply(ColumnSums, &[self]) }
    }
}

/// Rows that one workgroup still adds up alone.
const FEW: usize = 256;

/// Rows of a block: at most about a thousand blocks, which one workgroup can add up again.
fn block(rows: usize) -> usize {
    if rows <= FEW { rows } else { rows.div_ceil(1024).max(64) }
}

/// Candidates for sums of `block` rows each.
fn kernels(x: Shape, block: usize, caps: &Caps) -> Vec<Kernel> {
    let (rows, c) = x.rows();
    let blocks = rows.div_ceil(block);
    let kernel = |width: usize, [columns, lanes]: [usize; 2]| {
        let wg = (columns * lanes) as u32;
        let kernel = Kernel::new(shader!("column_sums"), 1, wg).set("COLUMNS", columns).set("LANES", lanes);
        let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
        let kernel = kernel.param("rows", rows).param("c", c / width).param("block", block).param("blocks", blocks);
        let kernel = kernel.param("h", x.nhwc()[1]).param("w", x.nhwc()[2]);
        let kernel = kernel.iterations(block.div_ceil(lanes)).flat_groups(blocks * (c / width).div_ceil(columns));
        if lanes == 1 { kernel.import("down", "down_alone") } else { kernel.shared(4 * width as u32 * wg) }
    };
    let of = |width: usize| {
        // Thirty-two lanes side by side read whole cache lines, where there are so many columns.
        let teams = match caps.family {
            Family::Software => [[64, 1], [32, 8], [4, 64]],
            Family::Gpu if c / width >= 32 => [[32, 8], [4, 64], [64, 1]],
            Family::Gpu => [[4, 64], [32, 8], [64, 1]],
        };
        teams.into_iter().flat_map(move |team| twins(x, kernel(width, team), width))
    };
    widths(c).flat_map(of).collect()
}

/// The kernel on a buffer and, where it takes four channels of pictures at a time, on an image.
fn twins(x: Shape, kernel: Kernel, width: usize) -> Vec<Kernel> {
    let image = (x.rank() == 4 && width == 4).then(|| kernel.clone().read(0, 2, Form::Image { pad: 0 }));
    std::iter::once(kernel.form("cells_image", "cells_buffer")).chain(image).collect()
}

fn matrix(x: &[Shape]) -> Result<[usize; 2], String> {
    match x {
        [x] if x.rank() > 0 && !x.is_empty() => Ok(<[usize; 2]>::from(x.rows())),
        _ => Err("expected one tensor with an axis and an element".into()),
    }
}

fn sums(x: &Tensor, block: usize, y: Shape) -> Tensor {
    let (c, mut sums) = (x.shape.last(), vec![0.0f64; y.len()]);
    for (r, row) in x.data.chunks(c).enumerate() {
        row.iter().enumerate().for_each(|(k, &v)| sums[r / block * c + k] += f64::from(v));
    }
    Tensor::new(y, sums.into_iter().map(|v| v as f32).collect())
}

impl Op for ColumnSums {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        matrix(x).map(|[_, c]| Shape::from([c]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let rows = x[0].rows().0;
        let block = block(rows);
        if block == rows {
            return kernels(x[0], rows, caps);
        }
        let parts = Parts { op: Rc::new(ColumnParts { block }), sum: Rc::new(ColumnTotal) };
        kernels(x[0], block, caps).into_iter().map(|k| k.in_parts(parts.clone())).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        sums(x[0], x[0].shape.rows().0, y)
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        Some(vec![at.by(0, || at.dy.spread_rows(at.x[0].shape()))])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

impl Op for ColumnParts {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        matrix(x).map(|[rows, c]| Shape::from([rows.div_ceil(self.block.max(1)), c]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        kernels(x[0], self.block, caps)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        sums(x[0], self.block, y)
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

impl Op for ColumnTotal {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        matrix(x).map(|[_, c]| Shape::from([c]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        kernels(x[0], x[0].rows().0, caps)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        sums(x[0], x[0].shape.rows().0, y)
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |x: &[usize]| Case::new(ColumnSums, &[x]).bound(1e-11);
    vec![
        case(&[2, 1]),
        case(&[5, 7, 3]).fill(Fill::NonFinite),
        case(&[2, 7, 5, 68]).fill(Fill::Outliers),
        case(&[257, 33]),
        case(&[3, 113, 36]).fill(Fill::NonFinite),
        case(&[66_001, 3]),
        case(&[70_001, 1]).fill(Fill::Outliers),
        case(&[1, 56, 56, 128]),
        Case::new(ColumnParts { block: 64 }, &[&[129, 20]]).bound(1e-11),
        Case::new(ColumnTotal, &[&[1024, 9]]).bound(1e-11),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Graph;

    #[test]
    fn by_hand() {
        let x = Tensor::from_fn([3, 2], |i| i as f32);
        let graph = Graph::new();
        let v = graph.input("x", [3, 2]);
        let y = graph.eval(&[v.column_sums(), v.reshape([1, 6]).column_sums()], &[&x]).unwrap();
        assert_eq!(y[0], Tensor::new([2], vec![6.0, 9.0]));
        assert_eq!(y[1], x.reshape([6]));
        let parts = ColumnParts { block: 2 };
        let x = Tensor::from_fn([3, 2], |i| i as f32);
        assert_eq!(parts.reference(&[&x], parts.infer(&[x.shape]).unwrap()).data, [2.0, 4.0, 4.0, 5.0]);
        assert!(ColumnSums.infer(&[Shape::new(&[])]).is_err() && ColumnSums.infer(&[Shape::from([0, 3])]).is_err());
    }

    #[test]
    fn a_hundred_million_rows_stay_within_the_loop_trips() {
        let shape = Shape::from([100_000_000, 4]);
        let kernels = ColumnSums.kernels(&[shape], Shape::from([4]), &Caps::BASE);
        assert!(kernels[0].iterations < 60_000 && kernels[0].groups.iter().all(|&g| g < 65_536));
        let parts = ColumnParts { block: block(100_000_000) }.infer(&[shape]).unwrap();
        assert!(parts.dim(0) <= 1024);
    }
}
