//! Distances between rows and centres by direct differences: all of them, or the smallest of every row. One shader text for both, so
//! that a distance has the same bits wherever it is computed.

use super::{GROUP, WG};
use crate::engine::{Caps, Family, Form, Kernel, Op};
use crate::ops::pack::PackSoftware;
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: rows `[n, d]`, centres `[p, d]`. Output `[p, n]`.
#[derive(Debug)]
pub(super) struct Apart;

/// Inputs: rows `[n, d]`, centres `[p, d]`, anchors `[n]`, picks `[p, 2]`. Output `[n]`: the smallest of anchor and distances, to
/// centres before the first group of [`GROUP`] whose first pick has the value -1 (below -1/2; anchors are not negative).
#[derive(Debug)]
pub(super) struct Nearest;

fn sizes(x: &[Shape]) -> Result<[usize; 3], String> {
    let [rows, centres, ..] = x else { return Err("expected rows and centres".into()) };
    let fits = rows.rank() == 2 && centres.rank() == 2 && rows.dim(1) == centres.dim(1);
    if !fits || rows.is_empty() || centres.is_empty() {
        return Err("expected rows [n, d] and centres [p, d]".into());
    }
    Ok([rows.dim(0), centres.dim(0), rows.dim(1)])
}

/// Candidates that take `span` centres a workgroup.
fn kernels(x: &[Shape], caps: &Caps, span: usize) -> Vec<Kernel> {
    let Ok(sizes) = sizes(x) else { return vec![] };
    let (software, lanes) = (software(sizes, x.len(), caps, span), |l: usize| portable(sizes, x.len(), span, l));
    match caps.family {
        Family::Software => software.into_iter().chain([1, 16, 64].map(lanes)).collect(),
        Family::Gpu => [16, 64].map(lanes).into_iter().chain(software).chain([lanes(1)]).collect(),
    }
}

/// Images: centres are packed as a convolution's weights are, and spread by shuffles where the adapter has them.
fn software([n, p, d]: [usize; 3], inputs: usize, caps: &Caps, span: usize) -> Vec<Kernel> {
    let shuffles = caps.subgroup.filter(|l| [4, 8, 16].contains(l));
    let lanes = shuffles.unwrap_or(8) as usize;
    let tm = if p <= lanes.max(8) { lanes.max(8) } else { GROUP };
    let pack = PackSoftware { tm, transposed: false };
    if !pack.fits([p, d, 1], caps) {
        return vec![];
    }
    let image = Form::Image { pad: 0 };
    let kernel = |tn: usize| {
        Kernel::new(shader!("k_center_software"), inputs, lanes as u32)
            .set("LANES", format!("{lanes}u"))
            .set("TM", format!("{tm}u"))
            .set("TN", format!("{tn}u"))
            .read(0, 2, image)
            .read(1, 3, image)
            .pack(1, pack)
            .param("k4", d.div_ceil(4))
            .param("rows", n)
            .param("centres", p)
            .param("span", span)
            .groups(n.div_ceil(lanes * tn), p.div_ceil(span), 1)
            .iterations(span.min(p).div_ceil(tm) * (1 + d.div_ceil(4)))
            .ordered("software")
    };
    // 160,000 x 128 against 128 centres: 3 rows a lane 96 ms, 4 rows 85 to 95, 2 rows 101 to 107; 21,952 rows: 12, 20, 15.
    let spread = shuffles.map_or(vec![], |l| [3, 4, 2, 1].map(|tn| kernel(tn).subgroup(l)).into());
    [spread, vec![kernel(3).import("spread", "spread_loads")]].concat()
}

/// `lanes` lanes a row.
fn portable([n, p, d]: [usize; 3], inputs: usize, span: usize, lanes: usize) -> Kernel {
    const TC: usize = 8;
    let rows = n.div_ceil(WG / lanes);
    let kernel = Kernel::new(shader!("k_center"), inputs, WG as u32)
        .set("LANES", lanes)
        .param("d", d)
        .param("rows", n)
        .param("centres", p)
        .param("span", span)
        .iterations(span.min(p).div_ceil(TC) * (1 + d.div_ceil(lanes)))
        .flat_groups(rows);
    let [x, y, _] = kernel.groups;
    let kernel = kernel.groups(x as usize, y as usize, p.div_ceil(span));
    if lanes == 1 { kernel.import("reduce", "reduce_alone") } else { kernel.shared(4 * WG as u32) }
}

fn distance(x: &[&Tensor], row: usize, centre: usize) -> f64 {
    let d = x[0].shape.dim(1);
    let (a, b) = (&x[0].data[row * d..][..d], &x[1].data[centre * d..][..d]);
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
}

impl Op for Apart {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [n, p, _] = sizes(x)?;
        if x.len() == 2 { Ok(Shape::from([p, n])) } else { Err("expected rows and centres alone".into()) }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        kernels(x, caps, GROUP).into_iter().map(|k| k.import("nearest", "apart")).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let n = y.dim(1);
        Tensor::from_fn(y, |i| distance(x, i % n, i / n) as f32)
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        3 * (x[0].len() * x[1].dim(0)) as u64
    }
}

impl Op for Nearest {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [n, p, _] = sizes(x)?;
        match x {
            [_, _, anchor, picks] if anchor.dims() == [n] && picks.dims() == [p, 2] => Ok(*anchor),
            _ => Err(format!("expected an anchor [{n}] and picks [{p}, 2]")),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        kernels(x, caps, x[1].dim(0).max(GROUP))
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let p = x[1].shape.dim(0);
        let taken = (0..p).step_by(GROUP).find(|&g| x[3].data[2 * g] < -0.5).unwrap_or(p);
        let smaller = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) };
        Tensor::from_fn(y, |r| (0..taken).map(|c| distance(x, r, c)).fold(x[2].data[r].into(), smaller) as f32)
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        3 * (x[0].len() * x[1].dim(0)) as u64
    }
}
