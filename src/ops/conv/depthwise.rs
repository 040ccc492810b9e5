//! Convolution of every channel by itself. There are few products for what is loaded: what counts is that neighbouring outputs share it.
//! Buffers for both families: drivers that run on the processor are slow at writing images. All kernels add up in one order.

use super::{Conv2d, Sizes};
use crate::engine::{Caps, ENOUGH, Family, Form, Kernel};
use crate::ops::pack::PackDepthwise;
use crate::ops::widths;
use crate::shader;

/// Largest window and stride that are written out.
const LARGEST: [usize; 2] = [7, 2];

/// Outputs of an invocation, down and across: what leaves a GPU enough to do, and what loads least.
const BLOCKS: [[usize; 2]; 5] = [[1, 1], [1, 2], [1, 4], [2, 4], [4, 4]];

const WG: usize = 64;

/// Candidates by channels at a time and by outputs of an invocation.
pub fn kernels(conv: &Conv2d, s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let ([largest, steepest], stride) = (LARGEST, conv.window.stride);
    let alone = s.ci_group == 1 && s.ci == s.co && conv.window.groups == s.ci;
    if !alone || s.kh.max(s.kw) > largest || stride[0].max(stride[1]) > steepest {
        return vec![];
    }
    let kernels = |width: usize| {
        let blocks = by_need(conv, s, (width, caps.family));
        blocks.into_iter().map(move |block| kernel(conv, s, width, block))
    };
    widths(s.co).flat_map(kernels).collect()
}

/// Blocks for these sizes, best guess first.
fn by_need(conv: &Conv2d, s: &Sizes, (width, family): (usize, Family)) -> Vec<[usize; 2]> {
    let [sh, sw] = conv.window.stride;
    let count = |block| blocks(s, width, block);
    match family {
        // As many outputs of a row as still give enough workgroups; several rows take registers that hide waiting.
        Family::Gpu => {
            let mut blocks = BLOCKS[..3].to_vec();
            let enough = |block: &[usize; 2]| count(*block).div_ceil(WG) >= ENOUGH as usize;
            let first = blocks.iter().rposition(enough).unwrap_or(0);
            blocks[..=first].reverse();
            blocks
        }
        // What loads and stores least: each takes as long as some eight multiply-adds of four numbers.
        Family::Software => {
            let mut blocks = BLOCKS[2..].to_vec();
            let moved = |[r, c]: [usize; 2]| ((r - 1) * sh + s.kh) * ((c - 1) * sw + s.kw) + r * c + s.kh * s.kw;
            blocks.sort_by_key(|&[r, c]| count([r, c]) * (8 * moved([r, c]) + r * c * s.kh * s.kw));
            blocks
        }
    }
}

/// How many blocks of outputs there are.
fn blocks(s: &Sizes, width: usize, [r, c]: [usize; 2]) -> usize {
    s.n * s.ho.div_ceil(r) * s.wo.div_ceil(c) * (s.co / width)
}

fn kernel(conv: &Conv2d, s: &Sizes, width: usize, block: [usize; 2]) -> Kernel {
    let ([r, c], [sh, sw], blocks) = (block, conv.window.stride, blocks(s, width, block));
    let sizes = [("R", r), ("C", c), ("KH", s.kh), ("KW", s.kw), ("SH", sh), ("SW", sw)];
    let kernel = Kernel::new(shader!("depthwise"), 2, WG as u32);
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
