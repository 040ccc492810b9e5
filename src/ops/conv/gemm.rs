//! Convolution for GPUs: a matrix product of patches and weights, tiles in shared memory, up to 8x8 outputs per invocation.

use crate::ops::pack::{PackGemm, PadChannels};
use crate::ops::{Tile, gemm_tiles, tiled};
use super::{Conv2d, Sizes};
use crate::engine::{Caps, Form, Kernel};
use crate::shader;

/// Candidates by tile. All add up in one order: taps, then channels.
pub fn kernels(conv: &Conv2d, s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    if conv.window.groups != 1 || !s.co.is_multiple_of(4) {
        return vec![];
    }
    let mut tiles = gemm_tiles(caps, s.ho * s.wo * s.co);
    if s.ci <= 4 {
        // A first layer of three channels would waste most of a wide step; in a narrow one most of a large group has nothing to load.
        tiles.retain(|t| t[0] * t[1] == 64);
        tiles.iter_mut().for_each(|t| t[4] = 4);
    }
    tiles.into_iter().map(|t| kernel(conv, s, t)).collect()
}

fn kernel(conv: &Conv2d, s: &Sizes, tile: Tile) -> Kernel {
    let [wx, wy, tm, tn, tk, tu] = tile;
    let pixels = s.n * s.ho * s.wo;
    let ci4 = s.ci.div_ceil(4);
    let mut kernel = tiled(Kernel::new(shader!("conv_gemm"), 2, (wx * wy) as u32), tile);
    if !s.ci.is_multiple_of(4) {
        kernel = kernel.pack(0, PadChannels);
    }
    let kernel = kernel
        .pack(1, PackGemm)
        .param("h", s.h)
        .param("w", s.w)
        .param("ci4", ci4)
        .param("pixels", pixels)
        .param("kh", s.kh)
        .param("kw", s.kw)
        .groups(s.co.div_ceil(wx * tn), pixels.div_ceil(wy * tm), 1)
        .iterations(s.kh * s.kw * (1 + ci4.div_ceil(tk / 4) * (1 + tk / tu)))
        .shared((4 * tk * (wy * tm + wx * tn)) as u32)
        .unchecked();
    conv.epilogue(conv.window_params(kernel, s), Form::Buffer, ["residual4", "residual4_none"])
}
