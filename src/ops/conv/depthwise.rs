//! Convolution of every channel by itself. There are few products for what is loaded: what counts is that neighbouring outputs share it.
//! Buffers for both families: drivers that run on the processor are slow at writing images. All kernels add up in one order.

use super::{Conv2d, Sizes};
use crate::engine::{Caps, ENOUGH, Family, Form, Kernel};
use crate::ops::pack::PackDepthwise;
use crate::ops::widths;
use crate::shader;

/// Largest window and stride that are written out.
const LARGEST: [usize; 2] = [7, 2];

/// Outputs of an invocation of the GPU family, in a row.
const ROWS: [usize; 3] = [1, 2, 4];

/// Outputs of an invocation of the software family, down and across.
const BLOCKS: [[usize; 2]; 3] = [[1, 4], [2, 4], [4, 4]];

/// Values that such an invocation loads at most: the driver takes 0.7 s to compile 64 loads for 4x4 outputs of a 5x5 window, 2.9 s for
/// twice as many.
const LOADS: usize = 80;

const WG: usize = 64;

/// Candidates by channels at a time and by outputs of an invocation.
pub fn kernels(conv: &Conv2d, s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let ([largest, steepest], stride) = (LARGEST, conv.window.stride);
    let alone = s.ci_group == 1 && s.ci == s.co && conv.window.groups == s.ci;
    if !alone || s.kh.max(s.kw) > largest || stride[0].max(stride[1]) > steepest {
        return vec![];
    }
    let of_width = |width| {
        // What is written out for the processor spills on GPUs.
        let blocks = if caps.family == Family::Software { blocks(conv, s) } else { vec![] };
        let blocks = blocks.into_iter().map(move |block| block_kernel(conv, s, width, block));
        blocks.chain(rows(s, width).into_iter().map(move |c| row_kernel(conv, s, width, c)))
    };
    widths(s.co).flat_map(of_width).collect()
}

/// How many blocks of `r x c` outputs there are.
fn count(s: &Sizes, width: usize, [r, c]: [usize; 2]) -> usize {
    s.n * s.ho.div_ceil(r) * s.wo.div_ceil(c) * (s.co / width)
}

/// Outputs of an invocation: as many as still give enough workgroups.
fn rows(s: &Sizes, width: usize) -> Vec<usize> {
    let mut rows = ROWS.to_vec();
    let enough = |c: &usize| count(s, width, [1, *c]).div_ceil(WG) >= ENOUGH as usize;
    let first = rows.iter().rposition(enough).unwrap_or(0);
    rows[..=first].reverse();
    rows
}

/// Blocks of outputs: those first that load and store least, each of which takes as long as some eight multiply-adds of four numbers.
fn blocks(conv: &Conv2d, s: &Sizes) -> Vec<[usize; 2]> {
    let [sh, sw] = conv.window.stride;
    let loads = |[r, c]: [usize; 2]| ((r - 1) * sh + s.kh) * ((c - 1) * sw + s.kw);
    let moved = |[r, c]: [usize; 2]| loads([r, c]) + r * c + s.kh * s.kw;
    let mut blocks = BLOCKS.to_vec();
    blocks.retain(|&block| block[0] == 1 || loads(block) <= LOADS);
    blocks.sort_by_key(|&[r, c]| count(s, 1, [r, c]) * (8 * moved([r, c]) + r * c * s.kh * s.kw));
    blocks
}

fn row_kernel(conv: &Conv2d, s: &Sizes, width: usize, c: usize) -> Kernel {
    let kernel = Kernel::new(shader!("depthwise"), 2, WG as u32).param("rows", s.kh).iterations(s.kh);
    finish(conv, s, width, (kernel, [1, c]))
}

fn block_kernel(conv: &Conv2d, s: &Sizes, width: usize, block: [usize; 2]) -> Kernel {
    let kernel = Kernel::new(shader!("depthwise_blocks"), 2, WG as u32);
    let sizes = [("R", block[0]), ("KH", s.kh), ("SH", conv.window.stride[0])];
    let kernel = sizes.into_iter().fold(kernel, |kernel, (name, value)| kernel.set(name, format!("{value}u")));
    finish(conv, s, width, (kernel, block))
}

/// What both have: constants along a row, params, epilogue.
fn finish(conv: &Conv2d, s: &Sizes, width: usize, (kernel, [r, c]): (Kernel, [usize; 2])) -> Kernel {
    let (blocks, sizes) = (count(s, width, [r, c]), [("C", c), ("KW", s.kw), ("SW", conv.window.stride[1])]);
    let kernel = sizes.into_iter().fold(kernel, |kernel, (name, value)| kernel.set(name, format!("{value}u")));
    let kernel = kernel
        .param("h", s.h)
        .param("w", s.w)
        .param("c", s.co / width)
        .param("down", s.ho.div_ceil(r))
        .param("across", s.wo.div_ceil(c))
        .param("blocks", blocks)
        .flat_groups(blocks.div_ceil(WG))
        .ordered("taps");
    let kernel = conv.window_params(kernel, s);
    if width == 1 {
        return conv.epilogue.on(kernel, Form::Buffer, ["residual", "residual_none"]);
    }
    let kernel = kernel.set("T", "vec4f").import("finish_one", "finish_four").pack(1, PackDepthwise);
    conv.epilogue.on(kernel, Form::Buffer, ["residual4", "residual4_none"])
}
