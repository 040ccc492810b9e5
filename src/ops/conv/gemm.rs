//! Convolution for GPUs: a matrix product of patches and weights, tiles in shared memory, up to 8x8 outputs per invocation.

use crate::ops::pack::{PackGemm, PadChannels};
use super::{Conv2d, Sizes};
use crate::engine::{Caps, Form, Kernel};
use crate::shader;

/// Workgroup (x, y), outputs per invocation (pixels, channels), channels per step.
type Tile = [usize; 5];

/// Candidates by tile. All add up in one order: taps, then channels.
pub fn kernels(conv: &Conv2d, s: &Sizes, _: &Caps) -> Vec<Kernel> {
    if conv.window.groups != 1 || !s.co.is_multiple_of(4) {
        return vec![];
    }
    // A first layer of three channels would waste most of a wide step, and a narrow one leaves the other tiles without loads.
    let mut tiles: Vec<Tile> = if s.ci <= 4 {
        vec![[8, 8, 8, 8, 4]]
    } else {
        vec![[16, 16, 8, 8, 16], [8, 8, 8, 8, 8], [8, 8, 8, 4, 8], [8, 8, 4, 8, 8]]
    };
    // Small layers want more workgroups than tiles of 128 x 128 give; by one picture, so that the batch changes nothing.
    if tiles.len() > 2 && s.ho * s.wo * s.co < 512 * 512 {
        tiles.rotate_left(2);
    }
    tiles.into_iter().map(|t| kernel(conv, s, t)).collect()
}

fn kernel(conv: &Conv2d, s: &Sizes, [wx, wy, tm, tn, tk]: Tile) -> Kernel {
    let pixels = s.n * s.ho * s.wo;
    let ci4 = s.ci.div_ceil(4);
    let names = ["WX", "WY", "TM", "TN", "TK"];
    let mut kernel = Kernel::new(shader!("conv_gemm"), 2, (wx * wy) as u32);
    for (name, value) in names.into_iter().zip([wx, wy, tm, tn, tk]) {
        kernel = kernel.set(name, format!("{value}u"));
    }
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
        .iterations(s.kh * s.kw * ci4.div_ceil(tk / 4) * (1 + tk / 4))
        .shared((4 * tk * (wy * tm + wx * tn)) as u32)
        .unchecked();
    conv.epilogue(conv.window_params(kernel, s), Form::Buffer, ["residual4", "residual4_none"])
}
