//! Scan: every query's best few rows of each split of a bank.

use super::NONE;
use crate::engine::{Caps, Family, Form, Kernel, Op};
use crate::ops::pack::{PackMatrix, PackSoftware};
use crate::ops::{PIXELS, software_tiles};
use crate::ops::tile::{Tile, by_need, tiles};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: queries `[q, d]`, rows `[m, d]`, half `[m]` (half their squared lengths), then `[q, 2]` each where they are there: the
/// range of rows to skip, and the candidate (key, index) after which to go on. Output `[q, splits * keep, 2]`: key, half - q.row
/// (order of the distances, if not their value), and index of the row, `first` for the first.
#[derive(Debug)]
pub(super) struct Scan {
    pub keep: usize,
    pub first: usize,
    pub skip: bool,
    pub after: bool,
}

/// Rows of a split: about a sixteenth of the bank, so that few queries keep a GPU busy; a multiple of every tile; and so few that
/// the portable kernel, which makes a trip for every eight products, stays within the trips that an invocation may make.
fn split([m, d]: [usize; 2]) -> usize {
    const TILE: usize = 64;
    let most = (50_000 / d.div_ceil(8) / TILE).clamp(1, 4);
    m.div_ceil(16 * TILE).clamp(1, most) * TILE
}

impl Scan {
    fn sizes(&self, x: &[Shape]) -> Result<[usize; 4], String> {
        let [a, b, half, rest @ ..] = x else { return Err("expected queries, rows and half lengths".into()) };
        let &[q, d] = a.dims() else { return Err("expected queries [q, d]".into()) };
        let pair = Shape::from([q, 2]);
        if b.rank() != 2 || b.dim(1) != d || half.dims() != [b.dim(0)] || q * d * b.dim(0) == 0 {
            return Err(format!("expected rows [m, {d}] and half lengths [m]"));
        }
        if rest.len() != usize::from(self.skip) + usize::from(self.after) || rest.iter().any(|r| *r != pair) {
            return Err(format!("expected pairs {pair} for what is skipped and what was found before"));
        }
        if self.first + b.dim(0) > NONE as usize {
            return Err(format!("a bank of more than {NONE} rows cannot be numbered in f32"));
        }
        let m = b.dim(0);
        Ok([q, m, d, split([m, d])])
    }

    fn common(&self, kernel: Kernel, [q, m, _, split]: [usize; 4]) -> Kernel {
        let mut kernel = kernel
            .set("KEEP", format!("{}u", self.keep))
            .param("q", q)
            .param("m", m)
            .param("split", split)
            .param("splits", m.div_ceil(split))
            .param("first", self.first);
        if self.skip {
            kernel.reads.push((5, Form::Buffer));
        } else {
            kernel = kernel.import("skip", "skip_none");
        }
        if self.after {
            kernel.reads.push((6, Form::Buffer));
        } else {
            kernel = kernel.import("after", "after_none");
        }
        kernel
    }

    /// Images and shuffles: lanes run along queries, rows are packed as a convolution's weights are.
    fn software(&self, sizes @ [q, m, d, split]: [usize; 4], caps: &Caps) -> Vec<Kernel> {
        let Some(lanes @ (4 | 8 | 16)) = caps.subgroup else { return vec![] };
        let pack = PackSoftware { tm: 32, transposed: false };
        if !pack.fits([m, d, 1], caps) {
            return vec![];
        }
        let k4 = d.div_ceil(4);
        let kernel = |[tn, tu]: [usize; 2]| {
            let kernel = Kernel::new(shader!("knn_scan_software"), 3, lanes)
                .set("LANES", format!("{lanes}u"))
                .set("TN", format!("{tn}u"))
                .set("TU", format!("{tu}u"))
                .read(0, 2, Form::Image { pad: 0 })
                .read(1, 3, Form::Image { pad: 0 })
                .pack(1, pack)
                .param("k4", k4)
                .groups(q.div_ceil(lanes as usize * tn), m.div_ceil(split), 1)
                .iterations(split / 32 * (k4 / tu + 33))
                .shared(4 * 32 * tn as u32 * lanes)
                .ordered("software")
                .subgroup(lanes);
            self.common(kernel, sizes)
        };
        software_tiles(&PIXELS, q, lanes, k4).into_iter().map(kernel).collect()
    }

    /// Tiles in shared memory; each tile's keys go through shared memory, where one invocation a query keeps the best.
    fn gemm(&self, sizes @ [q, m, d, split]: [usize; 4], caps: &Caps) -> Vec<Kernel> {
        let kernel = |tile: Tile| {
            let mut kernel = tile.set(Kernel::new(shader!("knn_scan_gemm"), 3, tile.invocations() as u32));
            if !d.is_multiple_of(4) {
                kernel = kernel.pack(0, PackMatrix { transposed: false });
            }
            let k4 = d.div_ceil(4);
            let [queries, columns] = tile.size();
            let least = tile.across * queries; // where products of four columns an invocation lie
            let kernel = kernel
                .set("LEAST", format!("{least}u"))
                .pack(1, PackMatrix { transposed: true })
                .param("k", d)
                .param("k4", k4)
                .param("m4", m.div_ceil(4))
                .groups(m.div_ceil(split), q.div_ceil(queries), 1)
                .iterations(split.div_ceil(columns) * (1 + tile.trips(d.div_ceil(tile.step), 1) + columns))
                .shared(tile.shared_bytes().max(16 * least) as u32)
                .ordered("gemm")
                .unchecked(); // multiply-adds are 0.80 of the inner loop with checks on navi21, 0.93 without
            self.common(kernel, sizes)
        };
        // One invocation keeps one query's list: tiles of more queries than invocations are left out. The list lies in registers,
        // which beside 64 sums spill on Intel and leave room for two warps a scheduler on Ampere.
        let fits = |t: &Tile| t.size()[0] <= t.invocations() && split.is_multiple_of(t.size()[1]);
        let groups = |t: &Tile| m.div_ceil(split) * q.div_ceil(t.size()[0]);
        // Nor is there room to load ahead of 64 sums: gfx1100 spills.
        let mut offered: Vec<Tile> = vec![];
        for tile in tiles(caps).into_iter().filter(fits) {
            let tile = Tile { ahead: tile.ahead && tile.rows * tile.columns <= 32, ..tile };
            offered.extend((!offered.contains(&tile)).then_some(tile));
        }
        let mut tiles = by_need(offered, [q, m], groups);
        tiles.sort_by_key(|t| t.rows * t.columns > 32);
        tiles.into_iter().map(kernel).collect()
    }

    /// One query and one split per invocation: runs everywhere.
    fn direct(&self, sizes @ [q, m, d, split]: [usize; 4]) -> Kernel {
        let kernel = Kernel::new(shader!("knn_scan_direct"), 3, 64)
            .param("d", d)
            .iterations(split.min(m) * (1 + d.div_ceil(8)))
            .flat_groups((q * m.div_ceil(split)).div_ceil(64));
        self.common(kernel, sizes)
    }
}

/// Order of candidates: NaN first, then by key, then by index.
pub(super) fn order(a: &(f64, usize), b: &(f64, usize)) -> std::cmp::Ordering {
    let key = |v: f64| if v.is_nan() { f64::NEG_INFINITY } else { v };
    key(a.0).total_cmp(&key(b.0)).then(a.1.cmp(&b.1))
}

impl Op for Scan {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [q, m, _, split] = self.sizes(x)?;
        Ok(Shape::from([q, m.div_ceil(split) * self.keep, 2]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let Ok(sizes) = self.sizes(x) else { return vec![] };
        let (software, gemm) = (self.software(sizes, caps), self.gemm(sizes, caps));
        let mut all = match caps.family {
            Family::Software => [software, gemm].concat(),
            Family::Gpu => [gemm, software].concat(),
        };
        all.push(self.direct(sizes));
        all
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let shapes: Vec<Shape> = x.iter().map(|t| t.shape).collect();
        let Ok([q, m, d, split]) = self.sizes(&shapes) else { return Tensor::zeros(y) };
        let mut pairs = x[3..].iter();
        let skip = if self.skip { pairs.next() } else { None };
        let after = if self.after { pairs.next() } else { None };
        let mut data = Vec::with_capacity(y.len());
        for i in 0..q {
            let key = |j: usize| {
                let products = (0..d).map(|k| f64::from(x[0].data[i * d + k]) * f64::from(x[1].data[j * d + k]));
                f64::from(x[2].data[j]) - products.sum::<f64>()
            };
            let skipped = skip.map_or(0.0..0.0, |s| s.data[2 * i]..s.data[2 * i + 1]);
            let last = after.map(|a| (f64::from(a.data[2 * i]), a.data[2 * i + 1] as usize));
            let wanted = |c: &(f64, usize)| !skipped.contains(&(c.1 as f32)) && last.is_none_or(|l| order(c, &l).is_gt());
            for start in (0..m).step_by(split) {
                let rows = start..(start + split).min(m);
                let mut found: Vec<_> = rows.map(|j| (key(j), j + self.first)).filter(wanted).collect();
                found.sort_by(order);
                found.resize(self.keep, (f64::INFINITY, NONE as usize));
                data.extend(found.iter().flat_map(|&(v, j)| [v as f32, j as f32]));
            }
        }
        Tensor::new(y, data)
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        2 * (x[0].len() * x[1].dim(0)) as u64
    }
}
