//! The kernels of attention.

use super::Sizes;
use crate::engine::{Caps, ENOUGH, Form, Kernel};
use crate::ops::tile::ARM;
use crate::shader;

/// Keys that software kernels take at a time, at any width of the driver: so all give the same bits.
pub const KEYS: usize = 8;

/// Images and shuffles, for drivers that run on the processor; heads in fours.
pub fn software(s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let Some(lanes @ (4 | 8 | 16)) = caps.subgroup else { return vec![] };
    if !s.size.is_multiple_of(4) {
        return vec![];
    }
    let d4 = s.size / 4;
    let image = Form::Image { pad: 0 };
    let kernel = |tn: usize| {
        Kernel::new(shader!("attention_software"), 1, lanes)
            .set("LANES", format!("{lanes}u"))
            .set("TN", format!("{tn}u"))
            .set("D4", format!("{d4}u"))
            .set("LOADS", format!("{}u", (KEYS as u32 / lanes).max(1)))
            .read(0, 2, image)
            .write(image)
            .param("tokens", s.tokens)
            .param("heads", s.heads)
            .param("scale", s.power_scale() as f32)
            .groups(s.tokens.div_ceil(lanes as usize * tn), s.heads, s.pictures)
            .iterations(s.tokens.div_ceil(KEYS))
            .ordered("attention software")
            .subgroup(lanes)
    };
    // Four are a tenth faster than two and take twice as long to compile (1.8 s the first time); so two, where there is little to gain.
    let wide = if s.tokens >= 512 { [4, 2, 1] } else { [2, 4, 1] };
    wide.map(kernel).into()
}

/// Tiles in workgroup memory, for GPUs, best guess first, one that fits everywhere last: so wide that an invocation has two quads of a head
/// at most, or one where registers are few and where a picture gives few workgroups, which tiles of half the queries double. The batch has
/// no say, or it would change bits.
pub fn tiles(s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let few = s.heads * s.tokens.div_ceil(8 * EACH) < ENOUGH as usize;
    let sides: &[[usize; 2]] = match s.size {
        ..=64 if few || caps.vendor == ARM => &[[16, 4], [8, 8]],
        ..=64 => &[[8, 8], [16, 4]],
        _ => &[[16, 8], [8, 8]],
    };
    sides.iter().map(|&sides| tile(s, sides)).collect()
}

/// Queries of an invocation, and keys of one.
pub const EACH: usize = 4;
/// Steps of a head, and values, in workgroup memory at a time.
pub const STEP: usize = 16;

/// A tile of so many invocations side by side, which share queries, and below each other, which share keys.
fn tile(s: &Sizes, [across, down]: [usize; 2]) -> Kernel {
    let d4 = s.size.div_ceil(4);
    let (queries, keys) = (down * EACH, across * EACH);
    let tile = (STEP * ((queries + keys) / 4 + 1)).max(STEP * d4);
    let kernel = Kernel::new(shader!("attention"), 1, (across * down) as u32)
        .set("WX", format!("{across}u"))
        .set("WY", format!("{down}u"))
        .set("D4", format!("{d4}u"))
        .param("tokens", s.tokens)
        .param("heads", s.heads)
        .param("size", s.size)
        .param("scale", s.scale() as f32)
        .param("quads", d4)
        .param("keys", keys)
        .param("step", STEP)
        .groups(s.tokens.div_ceil(queries), s.heads, s.pictures)
        .iterations(s.tokens.div_ceil(keys) * (d4.div_ceil(4) * (1 + STEP / 4) + keys / STEP * (1 + STEP / 4)))
        .shared(16 * (tile + keys * queries / 4 + across * queries / 4) as u32)
        .unchecked()
        .ordered(if across == 8 { "attention by 32 keys" } else { "attention by 64 keys" });
    if s.size.is_multiple_of(4) { kernel } else { kernel.import("heads_four", "heads_one") }
}
