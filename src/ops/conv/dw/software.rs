//! Gradients by weights for drivers that run on the processor: images and shuffles, lanes along input channels and taps.

use super::parts::Split;
use super::{Sizes, WeightGradient};
use crate::engine::{Caps, Form, Geometry, Kernel};
use crate::shader;
use crate::tensor::Shape;

/// Pixels of a part at most. The products take as long with any (128 to 256 channels, 123x123, 4x4: 505 ms of processor time), adding
/// the parts up 19 ms with 2048 and 8 with these.
const PART: usize = 8192;

/// Blocks of taps that read dy from a buffer at most, where it could be an image. The first layer of a network has two, and its dy is
/// the largest of all (3 to 128 channels, 253x253, 4x4: processor time of 120 ms to make the image and 30 to read it, 57 to read the
/// buffer, 69 with checks).
const FEW: u32 = 8;

/// The widest ring that an image of dy is thought to get.
const RING: u32 = 8;

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
    let wide = lanes as usize;
    let mut shapes = [[channels(s.co, wide), 1, wide.min(8)], [if s.co > 16 { 32 } else { 16 }, 2, 4]];
    if wide == 4 {
        // So few lanes load so few pixels at a time that each is better used twice (256 to 256 channels, 59x59, 3x3: 285 and 246 ms).
        shapes.reverse();
    }
    let kernel = |shape: [usize; 3]| twins(s, kernel(of, (s, pixels), &split, (lanes, shape)), caps);
    shapes.into_iter().flat_map(kernel).collect()
}

/// Output channels of a lane: what computes least beyond the last channel, 32 where several do.
fn channels(co: usize, lanes: usize) -> usize {
    let loaded = |tm: &usize| (lanes.min(8) * tm / 4).is_multiple_of(lanes);
    [32, 40, 24, 16].into_iter().filter(loaded).min_by_key(|&tm| co.next_multiple_of(tm)).unwrap_or(32)
}

/// The kernel with dy as an image and, where channels come in fours, as a buffer: slower to read, but an image has to be made first.
fn twins(s: &Sizes, kernel: Kernel, caps: &Caps) -> Vec<Kernel> {
    let few = kernel.groups[0] <= FEW;
    let image = Geometry::new(Shape::from([s.n, s.ho, s.wo, s.co]), RING, caps.image_side);
    let mut all = vec![kernel];
    if s.co.is_multiple_of(4) && (few || !image.fits(caps.image_side)) {
        all.push(all[0].clone().read(1, 3, Form::Buffer).form("dy_image", "dy_buffer").unchecked());
    }
    all
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
