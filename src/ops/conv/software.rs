//! Convolution for drivers that run on the processor: images, or buffers where a kernel has one tap; shuffles, 16 to 48 output channels
//! x 1 to 4 pixels per lane.

use crate::ops::pack::PackSoftware;
use crate::ops::{PIXELS, Pad, software_tiles};
use super::{Conv2d, Sizes};
use crate::engine::{Caps, Form, Kernel};
use crate::shader;

/// Candidates for subgroups of 4, 8 or 16 lanes; they differ in pixels per lane only, so all add up in one order.
pub fn kernels(conv: &Conv2d, s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let Some(lanes @ (4 | 8 | 16)) = caps.subgroup else { return vec![] };
    let tm = channels(s.co, lanes as usize);
    let pack = PackSoftware { tm, transposed: false };
    if conv.window.groups != 1 || !pack.fits([s.co, s.ci, s.kh * s.kw], caps) {
        return vec![];
    }
    let cin4 = s.ci.div_ceil(4);
    // A lone plane goes by rows of taps.
    let turn = |[tn, tu]: [usize; 2]| [tm, tn, if cin4 == 1 { s.kw } else { tu }];
    let shapes = software_tiles(&PIXELS, s.ho * s.wo, lanes, cin4).into_iter().map(turn);
    shapes.flat_map(|shape| twins(conv, s, kernel(conv, s, lanes, shape, pack))).collect()
}

/// Output channels of a lane: of what lanes can load jointly, what computes least beyond the last channel, 32 where several do (40
/// channels of 240 over 28x28: 0.39 ms with 40, 0.72 with 32; 144 of 24 over 56x56: 1.01 with 48, 1.34 with 32).
fn channels(co: usize, lanes: usize) -> usize {
    let offered = [32, 48, 40, 24, 16].into_iter().filter(|tm| tm % lanes == 0);
    offered.min_by_key(|&tm| co.next_multiple_of(tm)).unwrap_or(32)
}

fn kernel(conv: &Conv2d, s: &Sizes, lanes: u32, [tm, tn, tu]: [usize; 3], pack: PackSoftware) -> Kernel {
    let pad = conv.window.pad;
    let ring = pad.top.max(pad.left).max(pad.bottom).max(pad.right) as u32;
    let pixels = s.n * s.ho * s.wo;
    let (columns, blocks) = (pixels.div_ceil(lanes as usize * tn), s.co.div_ceil(tm));
    // One tap reads every pixel once a block of channels: from the cache, if the blocks come one after the other. The 1x1 layers of wide
    // ResNet-50-2 are 10 to 15 % faster so; with more taps it makes no difference, and large weights would be read again and again.
    let across = s.kh * s.kw == 1;
    let [x, y] = if across { [blocks, columns] } else { [columns, blocks] };
    let mut kernel = Kernel::new(shader!("conv_software"), 2, lanes)
        .set("LANES", format!("{lanes}u"))
        .set("TM", format!("{tm}u"))
        .set("TN", format!("{tn}u"))
        .set("TU", format!("{tu}u"))
        .set("ROW", format!("{}", s.ci <= 4))
        .set("ACROSS", across)
        .set("KH", format!("{}u", s.kh))
        .set("KW", format!("{}u", s.kw))
        .read(0, 2, Form::Image { pad: ring })
        .read(1, 3, Form::Image { pad: 0 })
        .pack(1, pack)
        .param("h", s.h)
        .param("w", s.w)
        .param("cin4", s.ci.div_ceil(4))
        .param("pixels", pixels)
        .groups(x, y, 1)
        .iterations(s.kh * s.kw * s.ci.div_ceil(4) / tu)
        .ordered("software")
        .subgroup(lanes);
    if s.ci < 4 {
        kernel = kernel.set("DEPTH", format!("{}u", s.ci));
    }
    conv.window_params(kernel, s)
}

/// The kernel with input, residual and output as images, and each as a buffer where it can: what it reads of one tap needs no ring.
fn twins(conv: &Conv2d, s: &Sizes, kernel: Kernel) -> Vec<Kernel> {
    let mut all = conv.epilogue.twins(&conv.epilogue.biased(kernel), s.co);
    if s.kh * s.kw == 1 && conv.window.pad == Pad::from(0) && s.ci.is_multiple_of(4) {
        let buffers = all.iter().map(|k| k.clone().read(0, 2, Form::Buffer).form("source_image", "source_buffer"));
        all.extend(buffers.collect::<Vec<_>>());
    }
    all
}
