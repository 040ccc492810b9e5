//! One file or folder per op: shape rule, candidates, CPU reference, cases.

use crate::engine::{Caps, Family, Kernel, Op, Shader};
use crate::tensor::{Shape, Tensor};
use std::cmp::Reverse;
use std::rc::Rc;

mod compare;
pub(crate) mod epilogue;
pub(crate) mod tile;

macro_rules! ops {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*

        /// Every case of every op, by op: what sweeps, benches and tuning walk.
        pub fn cases() -> Vec<(&'static str, Vec<Case>)> {
            vec![$((stringify!($name), $name::cases())),*]
        }
    };
}

ops! { activate, argmax, attention, blur, ceiling, columns, conv, convert, coreset, cross_entropy, dropout, hard_mean, knn, layer_norm, layout, map, matmul, norm, normalise, optimise, pack, parts, patch, pixels, pool, quantile, reduce, repeat, resize, softmax, tokens }

/// Whether `a` (value, index) comes before `b` in the search for the largest: NaN is larger than all, ties go to the lower index.
/// `shaders/lib/better.wgsl` on the device.
pub fn better(a: (f32, f32), b: (f32, f32)) -> bool {
    match (a.0.is_nan(), b.0.is_nan()) {
        (true, true) => a.1 < b.1,
        (true, false) => true,
        (false, true) => false,
        _ => a.0 > b.0 || (a.0 == b.0 && a.1 < b.1),
    }
}

/// Rows and columns added around a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl From<usize> for Pad {
    fn from(all: usize) -> Pad {
        Pad { top: all, left: all, bottom: all, right: all }
    }
}

/// How a case's inputs are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Uniform in [-1, 1).
    Uniform,
    /// Uniform, and a few rows are a thousand times larger: what uniform noise would hide.
    Outliers,
    /// Uniform, and a few elements are NaN, +inf and -inf.
    NonFinite,
    /// Uniform, and where the last axis has two elements the second is a whole number: lists of (value, index).
    Pairs,
    /// Whole numbers of 32 bits below four, most of them zero; their bits, which are nothing as floats.
    Words,
    /// Whole numbers below this one.
    Below(u8),
}

/// One op at one set of shapes: the unit of sweeps and benches.
#[derive(Debug)]
pub struct Case {
    /// The op.
    pub op: Rc<dyn Op>,
    /// Shapes of its inputs.
    pub inputs: Vec<Shape>,
    /// How they are filled.
    pub fill: Fill,
    /// Largest normalised mean square error allowed.
    pub bound: f64,
    /// Why a candidate may be non-finite in more places than the reference; nothing where it may not.
    pub spreads: Option<&'static str>,
    /// The one input that is filled so, while the others are uniform noise; nothing where all are.
    pub planted: Option<usize>,
}

impl Case {
    /// `op` on inputs of these shapes, uniform noise, bound 1e-7.
    pub fn new(op: impl Op + 'static, inputs: &[&[usize]]) -> Case {
        let inputs = inputs.iter().map(|s| Shape::new(s)).collect();
        Case { op: Rc::new(op), inputs, fill: Fill::Uniform, bound: 1e-7, spreads: None, planted: None }
    }

    /// Filled this way.
    pub fn fill(mut self, fill: Fill) -> Case {
        self.fill = fill;
        self
    }

    /// With this bound on the normalised mean square error.
    pub fn bound(mut self, bound: f64) -> Case {
        self.bound = bound;
        self
    }

    /// Filled so in this input alone.
    pub fn planted_in(mut self, input: usize) -> Case {
        self.planted = Some(input);
        self
    }

    /// Where non-finite inputs may rightly reach more outputs than the reference's, and why.
    pub fn spreads(mut self, why: &'static str) -> Case {
        self.spreads = Some(why);
        self
    }

    /// Shape of the output.
    pub fn output(&self) -> Result<Shape, String> {
        self.op.infer(&self.inputs)
    }

    /// Inputs, filled from a counter hash: the same on every platform.
    pub fn tensors(&self) -> Vec<Tensor> {
        let fill = |k| if self.planted.is_none_or(|only| only == k) { self.fill } else { Fill::Uniform };
        self.inputs.iter().enumerate().map(|(k, &s)| filled(s, fill(k), k as u64)).collect()
    }
}

fn filled(shape: Shape, fill: Fill, seed: u64) -> Tensor {
    let (_, cols) = shape.rows();
    Tensor::from_fn(shape, |i| {
        let z = crate::random::at(0, seed << 40 | i as u64);
        let v = (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        match fill {
            Fill::Outliers if i / cols.max(1) % 5 == 3 => v * 1000.0,
            Fill::NonFinite if z.is_multiple_of(97) => {
                [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][(z >> 8) as usize % 3]
            }
            Fill::Words => f32::from_bits((z >> 61).saturating_sub(4) as u32),
            Fill::Below(n) => (z % u64::from(n.max(1))) as f32,
            Fill::Pairs if cols == 2 && i % 2 == 1 => (i / 2 * 7 % 97) as f32,
            _ => v,
        }
    })
}

/// Shape rule of ops that keep their input's shape.
pub(crate) fn identity(x: &[Shape]) -> Result<Shape, String> {
    match x {
        [x] if x.is_empty() => Err("it has no element".into()),
        [x] => Ok(*x),
        _ => Err(format!("expected one input, {} given", x.len())),
    }
}

/// The kernel with its number type `T` set to four floats.
pub(crate) fn fours(kernel: Kernel) -> Kernel {
    kernel.set("T", "vec4f").set("U", "vec4u")
}

/// How many floats an invocation may take at a time, where `size` of them lie in a row: best first, 1 last.
pub(crate) fn widths(size: usize) -> impl Iterator<Item = usize> {
    [4, 1].into_iter().filter(move |w| size.is_multiple_of(*w))
}

/// Elements of a row that one workgroup still reduces alone.
const LONG: usize = 8192;

/// Elements of a part of a row of `cols`; parts are reduced by themselves, then put together, so that even one long row keeps a GPU busy.
/// That follows from the row alone, so that no bit depends on how many there are; of parts there are few enough for one workgroup.
pub(crate) fn part_of(cols: usize) -> usize {
    if cols <= LONG { cols } else { cols.div_ceil(1024).max(2048) }
}

/// Candidates of a shader with so many inputs that works on the rows of the first, `x`, `passes` times over each: lanes per row from one to 256. A lane
/// that has a row to itself needs no barrier, which short rows and drivers on the CPU like best.
pub(crate) fn row_kernels(
    (shader, inputs): (&'static Shader, usize),
    x: Shape,
    passes: usize,
    caps: &Caps,
) -> Vec<Kernel> {
    let (rows, cols) = x.rows();
    let alone_first = caps.family == Family::Software || cols <= 16;
    let lanes: [usize; 4] = if alone_first { [1, 8, 64, 256] } else { [64, 8, 1, 256] };
    let kernel = |lanes: usize| {
        let wg = lanes.max(64);
        let kernel = Kernel::new(shader, inputs, wg as u32).set("WG", wg).set("LANES", lanes);
        let kernel = kernel.param("rows", rows).param("cols", cols).iterations(passes * cols.div_ceil(lanes));
        let kernel = kernel.flat_groups(rows.div_ceil(wg / lanes));
        if lanes == 1 { kernel.import("reduce", "reduce_alone") } else { kernel.shared(4 * wg as u32) }
    };
    lanes.map(kernel).into()
}

/// Pixels of a lane that convolutions and scans are offered with: 5, 6 and 8 were no faster over a ResNet-18 and a PDN-S.
pub(crate) const PIXELS: [usize; 3] = [4, 2, 1];

/// Tiles of the software family's products: pixels or rows per lane, of those `wide` offers, and groups of four products that a turn of the
/// loop takes; best guess first, for so many pixels or rows of one picture, whatever the batch. They all add up in one order.
///
/// Fewest wasted lanes come first; wider tiles reuse more of what is loaded. The driver loads, blends and stores every sum once a turn: the
/// 3x3 layers of a ResNet-18 took 301, 266 and 250 ms with 1, 2 and 4 groups a turn (4 pixels a lane, 256 bits, a busy machine); the 6 % that
/// 4 gives would take twice as long to compile. More than four pixels or rows take one group a turn.
pub(crate) fn software_tiles(wide: &[usize], outputs: usize, lanes: u32, groups: usize) -> Vec<[usize; 2]> {
    let mut wide = wide.to_vec();
    wide.sort_by_key(|&tn| (outputs.div_ceil(lanes as usize * tn) * (4 * tn + 3), Reverse(tn)));
    let two = if groups.is_multiple_of(2) { 2 } else { 1 };
    wide.into_iter().map(|tn| [tn, if tn > 4 { 1 } else { two }]).collect()
}
