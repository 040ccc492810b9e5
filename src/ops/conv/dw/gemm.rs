//! Gradients by weights for GPUs: a matrix product over pixels, tiles in workgroup memory, up to 8x8 outputs per invocation.

use super::parts::Split;
use super::{Sizes, WeightGradient};
use crate::engine::{Caps, ENOUGH, Kernel};
use crate::ops::pack::{PackMatrix, PadChannels};
use crate::ops::tile::{Tile, by_need, tiles};
use crate::shader;

/// Pixels that a part has at least, and about as many at most.
const PART: [usize; 2] = [256, 8192];

/// Side of the tile that there shall be enough of: pixels are many, and parts cost one more dispatch that is short.
const SIDE: usize = 64;

/// Candidates by tile. All of a GPU add up in one order: pixels, in parts.
pub fn kernels(of: WeightGradient, s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    if of.window().groups != 1 {
        return vec![];
    }
    let (pixels, width) = (s.n * s.ho * s.wo, s.ci.next_multiple_of(4));
    let outputs = [s.co, s.kh * s.kw * width];
    let alone: usize = outputs.iter().map(|n| n.div_ceil(SIDE)).product();
    let wanted = (ENOUGH as usize).div_ceil(alone).min(pixels / PART[0]);
    let split = Split::new(pixels, wanted.max(pixels.div_ceil(PART[1])), width);
    let groups = |t: &Tile| split.parts * t.groups(outputs).iter().product::<usize>();
    let tiles = by_need(tiles(caps), outputs, groups);
    tiles.into_iter().map(|tile| split.ended(of, s, kernel(of, s, &split, tile))).collect()
}

fn kernel(of: WeightGradient, s: &Sizes, split: &Split, tile: Tile) -> Kernel {
    let columns = s.kh * s.kw * split.width;
    let [x, y] = tile.groups([s.co, columns]);
    let kernel = Kernel::new(shader!("conv_dw_gemm"), 2, tile.invocations() as u32).import("turned", "straight");
    let mut kernel = tile.set(kernel);
    for i in (0..2).filter(|&i| ![s.ci, s.co][i].is_multiple_of(4)) {
        kernel = match of {
            WeightGradient::Conv2dDw { .. } => kernel.pack(i, PadChannels),
            WeightGradient::LinearDw => kernel.pack(i, PackMatrix { transposed: false }),
        };
    }
    let kernel = kernel
        .param("h", s.h)
        .param("w", s.w)
        .param("ci4", split.width / 4)
        .param("co4", s.co.div_ceil(4))
        .param("columns4", columns / 4)
        .param("part", split.part / 4)
        .groups(x, y, split.parts)
        .iterations(tile.trips(split.part / tile.step, 1))
        .shared(tile.shared_bytes() as u32)
        .ordered("gemm of pixels")
        .unchecked();
    // Invocations side by side load columns side by side, then the pixels below.
    of.params(kernel, s, [s.n * s.ho * s.wo, 4 * tile.invocations() / tile.size()[1]])
}
