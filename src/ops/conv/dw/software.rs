//! Gradients by weights for drivers that run on the processor: images and shuffles, lanes along input channels and taps.

use super::parts::Split;
use super::{Sizes, WeightGradient};
use crate::engine::{Caps, Form, Kernel};
use crate::shader;

/// Pixels of a part at most: so many rows of both operands stay in the cache from one workgroup to the next.
const PART: usize = 4096;

/// Candidates for subgroups of 4, 8 or 16 lanes; they differ in what a lane takes at a time only, so all add up in one order.
pub fn kernels(of: WeightGradient, s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let Some(lanes @ (4 | 8 | 16)) = caps.subgroup else { return vec![] };
    if of.window().groups != 1 {
        return vec![];
    }
    let pixels = s.n * s.ho * s.wo;
    let split = Split::new(pixels, pixels.div_ceil(PART), s.ci.next_multiple_of(4));
    let s = &match of {
        WeightGradient::Conv2dDw { .. } => *s,
        // A matrix is wrapped at the image's widest side.
        WeightGradient::LinearDw => {
            let wide = pixels.clamp(1, caps.image_side as usize);
            Sizes { w: wide, wo: wide, h: pixels.div_ceil(wide), ho: pixels.div_ceil(wide), ..*s }
        }
    };
    let shapes = [[32, 1, 4], [16, 2, 4], [32, 2, 4], [16, 1, 4]];
    shapes.into_iter().map(|shape| kernel(of, (s, pixels), &split, (lanes, shape))).collect()
}

fn kernel(
    of: WeightGradient,
    (s, pixels): (&Sizes, usize),
    split: &Split,
    (lanes, [tm, tn, pu]): (u32, [usize; 3]),
) -> Kernel {
    let pad = of.window().pad;
    let ring = pad.top.max(pad.left).max(pad.bottom).max(pad.right) as u32;
    let (cin4, taps) = (s.ci.div_ceil(4), s.kh * s.kw);
    let apart = split.parts == 1 && (taps > 1 || !s.ci.is_multiple_of(4));
    let mut kernel = Kernel::new(shader!("conv_dw_software"), 2, lanes)
        .set("LANES", format!("{lanes}u"))
        .set("TM", format!("{tm}u"))
        .set("TN", format!("{tn}u"))
        .set("PU", format!("{pu}u"))
        .read(0, 2, Form::Image { pad: ring })
        .read(1, 3, Form::Image { pad: 0 })
        .param("ci", s.ci)
        .param("cin4", cin4)
        .param("taps", taps)
        .param("co4", s.co.div_ceil(4))
        .param("part", split.part)
        .groups((taps * cin4).div_ceil(lanes as usize * tn), s.co.div_ceil(tm), split.parts)
        .iterations(split.part / pu)
        .ordered("software")
        .subgroup(lanes);
    if s.ci == 3 {
        kernel = kernel.set("V", "vec3f").import("channels_four", "channels_three");
    }
    let kernel = of.params(kernel, s, [pixels, pu]);
    if apart { kernel.import("taps_packed", "taps_apart") } else { split.ended(of, s, kernel) }
}
