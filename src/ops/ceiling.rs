//! What an adapter does at most: a copy, and multiply-adds that need no memory. Profiles say what share of these a kernel reaches.

use crate::engine::{Caps, Family, Form, Kernel, Op, Var};
use crate::ops::{Case, identity, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// y = x.
#[derive(Debug)]
struct Copy;

/// Eight chains v = v/2 + x from x·(1 + chain/8); their mean, for four elements at a time.
#[derive(Debug)]
struct FmaChains {
    rounds: usize,
}

/// Rounds that a turn of the kernel's loop makes.
const STEPS: usize = 8;
const CHAINS: usize = 8;

impl<'g> Var<'g> {
    /// The same values in other memory.
    pub fn copied(self) -> Var<'g> {
        self.apply(Copy, &[self])
    }

    /// Arithmetic for its own sake, eight chains of `rounds` (a multiple of eight) multiply-adds an element.
    pub fn fma_chains(self, rounds: usize) -> Var<'g> {
        self.apply(FmaChains { rounds }, &[self])
    }
}

impl Op for Copy {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        identity(x)
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        const WG: usize = 256;
        let len = x[0].len();
        let wide = |width: usize| {
            let kernel = Kernel::new(shader!("copy"), 1, WG as u32);
            let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
            kernel.param("len", len / width).flat_groups((len / width).div_ceil(WG))
        };
        let buffers: Vec<Kernel> = widths(len).map(wide).collect();
        let images = image(x[0]).into_iter();
        if caps.family == Family::Software { images.chain(buffers).collect() } else { rotated(buffers, images) }
    }

    fn reference(&self, x: &[&Tensor], _: Shape) -> Tensor {
        x[0].clone()
    }
}

/// Images behind the best buffers: the portable candidate stays the last.
fn rotated(buffers: Vec<Kernel>, images: impl Iterator<Item = Kernel>) -> Vec<Kernel> {
    let mut all = buffers;
    let last = all.len().saturating_sub(1);
    all.splice(last..last, images);
    all
}

fn image(x: Shape) -> Option<Kernel> {
    const WG: usize = 64;
    let &[n, h, w, c] = x.dims() else { return None };
    let (width, height) = (n * w, h * c.div_ceil(4));
    let plain = Form::Image { pad: 0 };
    Some(
        Kernel::new(shader!("copy_image"), 1, WG as u32)
            .read(0, 2, plain)
            .write(plain)
            .param("w", w)
            .param("h", h)
            .param("width", width)
            .param("height", height)
            .groups(width.div_ceil(WG), height, 1),
    )
}

impl Op for FmaChains {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let shape = identity(x)?;
        if shape.len().is_multiple_of(4) && self.rounds.is_multiple_of(STEPS) {
            return Ok(shape);
        }
        Err("expected elements in fours and rounds in eights".into())
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        const WG: usize = 64;
        let (len, trips) = (x[0].len() / 4, self.rounds / STEPS);
        let kernel = |chains: usize| {
            Kernel::new(shader!("fma_chains"), 1, WG as u32)
                .set("CHAINS", format!("{chains}u"))
                .param("len", len)
                .param("trips", trips)
                .iterations(CHAINS / chains * (1 + trips))
                .flat_groups(len.div_ceil(WG))
        };
        [8, 4, 2].map(kernel).into()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let chain = |x: f64, c: usize| (0..self.rounds).fold(x * (1.0 + c as f64 / 8.0), |v, _| v * 0.5 + x);
        let mean = |x: f64| (0..CHAINS).map(|c| chain(x, c)).sum::<f64>() / CHAINS as f64;
        Tensor::from_fn(y, |i| mean(f64::from(x[0].data[i])) as f32)
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        (2 * CHAINS * self.rounds * x[0].len()) as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [&[2, 5, 7, 12][..], &[1, 3, 9, 5], &[33, 7], &[1, 1, 1, 1]]
        .map(|s| Case::new(Copy, &[s]))
        .into();
    cases.extend([8, 16, 72].map(|rounds| Case::new(FmaChains { rounds }, &[&[3, 5, 4]])));
    cases
}
