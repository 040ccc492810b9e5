//! Convolution for drivers that run on the processor: images, shuffles, 32 output channels x 1 to 3 pixels per lane.

use crate::ops::pack::PackSoftware;
use super::{Conv2d, Sizes};
use crate::engine::{Caps, Form, Kernel};
use crate::shader;

/// Candidates for subgroups of 4, 8 or 16 lanes; they differ in pixels per lane only, so all add up in one order.
pub fn kernels(conv: &Conv2d, s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let Some(lanes @ (4 | 8 | 16)) = caps.subgroup else { return vec![] };
    let tm = if s.co <= 16 { 16 } else { 32 };
    let pack = PackSoftware { tm, transposed: false };
    if conv.window.groups != 1 || !pack.fits([s.co, s.ci, s.kh * s.kw], caps) {
        return vec![];
    }
    // Fewest wasted lanes first, by the pixels of one picture, so that the batch changes nothing; wider tiles reuse more.
    let pixels = s.ho * s.wo;
    let cost = |tn: usize| pixels.div_ceil(lanes as usize * tn) * (4 * tn + 3);
    let mut tiles = [3, 2, 1];
    tiles.sort_by_key(|&tn| (cost(tn), 3 - tn));
    tiles.map(|tn| kernel(conv, s, lanes, tm, tn, pack)).into()
}

fn kernel(conv: &Conv2d, s: &Sizes, lanes: u32, tm: usize, tn: usize, pack: PackSoftware) -> Kernel {
    let pad = conv.window.pad;
    let ring = pad.top.max(pad.left).max(pad.bottom).max(pad.right) as u32;
    let pixels = s.n * s.ho * s.wo;
    let kernel = Kernel::new(shader!("conv_software"), 2, lanes)
        .set("LANES", format!("{lanes}u"))
        .set("TM", format!("{tm}u"))
        .set("TN", format!("{tn}u"))
        .set("KH", format!("{}u", s.kh))
        .set("KW", format!("{}u", s.kw))
        .read(0, 2, Form::Image { pad: ring })
        .read(1, 3, Form::Image { pad: 0 })
        .write(Form::Image { pad: 0 })
        .pack(1, pack)
        .param("cin4", s.ci.div_ceil(4))
        .param("pixels", pixels)
        .groups(pixels.div_ceil(lanes as usize * tn), s.co.div_ceil(tm), 1)
        .iterations(s.kh * s.kw * s.ci.div_ceil(4))
        .ordered("software")
        .subgroup(lanes);
    let form = Form::Image { pad: 0 };
    conv.epilogue(conv.window_params(kernel, s), form, ["residual_image", "residual_image_none"])
}
