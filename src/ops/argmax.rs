//! Arg-max over the last axis: value and index.

use crate::engine::{Caps, Family, Kernel, Op, Var};
use crate::ops::{Case, Fill, better};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Blocks of `block` elements, the last may be shorter; of numbers, or of pairs (value, index).
#[derive(Debug)]
struct ArgMax {
    block: usize,
    pairs: bool,
    offset: usize,
    flat: bool,
}

impl<'g> Var<'g> {
    /// Largest value along the last axis and its index, `[.., 2]`. NaN is larger than all; ties go to the lowest index.
    pub fn arg_max(self) -> Var<'g> {
        self.apply(ArgMax { block: self.shape().last(), pairs: false, offset: 0, flat: false }, &[self])
    }

    /// Largest value of all and its index plus `offset`, `[1, 2]`; found in two rounds, so that a long vector keeps a GPU busy.
    pub fn arg_max_of_all(self, offset: usize) -> Var<'g> {
        const BLOCK: usize = 2048;
        let blocks = self.apply(ArgMax { block: BLOCK, pairs: false, offset, flat: true }, &[self]);
        blocks.best_pair()
    }

    /// The pair with the largest value among pairs (value, index) `[n, 2]`, `[1, 2]`.
    pub fn best_pair(self) -> Var<'g> {
        self.apply(ArgMax { block: self.dim(0), pairs: true, offset: 0, flat: true }, &[self])
    }
}

/// Indices are stored as f32, which holds integers up to here.
const MAX_INDEX: usize = 1 << 24;

impl ArgMax {
    fn count(&self, x: Shape) -> usize {
        if self.pairs { x.len() / 2 } else { x.len() }
    }
}

impl Op for ArgMax {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [x] = x else { return Err("expected one tensor".into()) };
        if x.is_empty() || x.rank() == 0 || (self.pairs && x.last() != 2) {
            return Err("expected a tensor with an axis and an element, pairs as [n, 2]".into());
        }
        if self.offset + self.count(*x) > MAX_INDEX {
            return Err(format!("indices beyond {MAX_INDEX} cannot be told apart as f32"));
        }
        if self.flat {
            return Ok(Shape::from([self.count(*x).div_ceil(self.block), 2]));
        }
        let mut dims = x.dims().to_vec();
        dims[x.rank() - 1] = 2;
        Ok(Shape::new(&dims))
    }

    fn kernels(&self, x: &[Shape], y: Shape, caps: &Caps) -> Vec<Kernel> {
        let (n, blocks) = (self.count(x[0]), y.len() / 2);
        let alone_first = caps.family == Family::Software || self.block <= 16;
        let lanes: [usize; 4] = if alone_first { [1, 8, 64, 256] } else { [64, 8, 1, 256] };
        let kernel = |lanes: usize| {
            let wg = lanes.max(64);
            Kernel::new(shader!("arg_max"), 1, wg as u32)
                .set("WG", wg)
                .set("LANES", lanes)
                .set("PAIRS", self.pairs)
                .param("n", n)
                .param("block", self.block)
                .param("blocks", blocks)
                .param("modulus", if self.flat { MAX_INDEX } else { self.block })
                .param("offset", self.offset)
                .iterations(self.block.div_ceil(lanes))
                .shared(8 * wg as u32)
                .flat_groups(blocks.div_ceil(wg / lanes))
        };
        lanes.map(kernel).into()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let pairs: Vec<(f32, f32)> = if self.pairs {
            x[0].data.chunks(2).map(|p| (p[0], p[1])).collect()
        } else {
            let index = |i: usize| if self.flat { i + self.offset } else { i % self.block };
            x[0].data.iter().enumerate().map(|(i, &v)| (v, index(i) as f32)).collect()
        };
        let best = |b: &[(f32, f32)]| b.iter().copied().reduce(|a, b| if better(b, a) { b } else { a });
        let found = pairs.chunks(self.block).filter_map(best).flat_map(|(v, i)| [v, i]);
        Tensor::new(y, found.collect())
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let rows = |x: &[usize]| Case::new(ArgMax { block: x[x.len() - 1], pairs: false, offset: 0, flat: false }, &[x]);
    let flat = |block, offset, x: &[usize]| Case::new(ArgMax { block, pairs: false, offset, flat: true }, &[x]);
    let pairs = |x: &[usize]| Case::new(ArgMax { block: x[0], pairs: true, offset: 0, flat: true }, &[x]);
    vec![
        rows(&[3, 64]),
        rows(&[65, 7]).fill(Fill::Outliers),
        rows(&[2, 3, 300]).fill(Fill::NonFinite),
        flat(2048, 1000, &[5000]),
        flat(64, 0, &[1]),
        pairs(&[100, 2]),
        pairs(&[1, 2]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_and_nan() {
        let op = ArgMax { block: 3, pairs: false, offset: 0, flat: false };
        let x = Tensor::new([3, 3], vec![1.0, 2.0, 2.0, -1.0, f32::NAN, f32::INFINITY, 0.0, 0.0, 0.0]);
        let y = op.reference(&[&x], op.infer(&[x.shape]).unwrap());
        assert_eq!(y.data[..2], [2.0, 1.0]);
        assert!(y.data[2].is_nan() && y.data[3] == 1.0);
        assert_eq!(y.data[4..], [0.0, 0.0]);
        assert!(op.infer(&[Shape::from([1 << 25])]).is_err());
    }
}
