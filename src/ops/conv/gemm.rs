//! Convolution for GPUs: a matrix product of patches and weights, tiles in workgroup memory, up to 8x8 outputs per invocation.

use super::parts::ConvParts;
use super::{Conv2d, Sizes};
use crate::engine::{Caps, Kernel};
use crate::ops::epilogue::Epilogue;
use crate::ops::pack::{PackGemm, PadChannels};
use crate::ops::parts;
use crate::ops::tile::{NARROW, STEP, Sum, Tile, Way, narrow, tiles};
use crate::shader;

/// Candidates by tile and by who sums which part. All of a GPU add up in one order: taps, then channels, in parts of so many steps.
pub fn kernels(conv: &Conv2d, s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    // Rows and columns, the pad counted, have 16 bits each.
    let pad = conv.window.pad;
    let wide = (s.h + pad.top + pad.bottom).max(s.w + pad.left + pad.right) >= 1 << 16;
    if conv.window.groups != 1 || !s.co.is_multiple_of(4) || wide {
        return vec![];
    }
    let mut tiles = tiles(caps);
    let mut sum = Sum::new([s.ho * s.wo, s.co], s.kh * s.kw * s.ci.div_ceil(STEP), 2);
    if s.ci <= 4 {
        // A first layer of three channels would waste most of a wide step; in a narrow one most of a large group has nothing to load.
        tiles.retain(|t| t.invocations() == 64);
        tiles.iter_mut().for_each(|t| t.step = 4);
        sum = Sum::new([s.ho * s.wo, s.co], s.kh * s.kw, 2 * STEP / 4);
    } else if s.kh * s.kw == 1 && s.ci.max(s.co) > NARROW && s.ci.min(s.co) <= NARROW {
        // Products between few and many channels, as around depthwise convolutions: no column and no step beyond the last channel.
        tiles.extend(narrow(s.co, caps));
        if s.ci <= NARROW && !s.ci.is_multiple_of(STEP) && s.ci.is_multiple_of(STEP / 2) {
            tiles.iter_mut().for_each(|t| t.step = STEP / 2);
            sum = Sum::whole(s.ci.div_ceil(STEP / 2));
        }
    }
    let outputs = [s.n * s.ho * s.wo, s.co];
    let made = |sum: Sum| {
        let ways = sum.ways(tiles.clone(), outputs, |t| t.groups(outputs).iter().product());
        let op = ConvParts { conv: Conv2d { epilogue: Epilogue::NONE, ..*conv }, sum };
        parts::kernels((sum, ways), conv.epilogue, op, |tile, way| kernel(conv, s, &sum, tile, way))
    };
    sum.offered(caps).into_iter().flat_map(made).collect()
}

fn kernel(conv: &Conv2d, s: &Sizes, sum: &Sum, tile: Tile, way: Way) -> Kernel {
    let pixels = s.n * s.ho * s.wo;
    let [x, y] = tile.groups([pixels, s.co]);
    let kernel = tile.set(Kernel::new(shader!("conv_gemm"), 2, tile.invocations() as u32));
    let kernel = if s.ci.is_multiple_of(4) { kernel } else { kernel.pack(0, PadChannels) };
    let kernel = kernel
        .pack(1, PackGemm { step: tile.step })
        .param("h", s.h)
        .param("w", s.w)
        .param("ci4", s.ci.div_ceil(4))
        .param("k4", sum.steps * tile.step / 4)
        .param("pixels", pixels)
        .param("kw", s.kw)
        .groups(x, y, if way == Way::Split { sum.parts } else { 1 })
        .iterations(tile.trips(sum.steps, sum.parts))
        .shared(tile.shared_bytes() as u32);
    conv.window_params(kernel, s)
}
