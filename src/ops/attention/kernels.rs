//! The kernels of attention.

use super::Sizes;
use crate::engine::{Caps, ENOUGH, Form, Kernel};
use crate::shader;

/// Invocations along each side of a tile.
const SIDE: usize = 8;
/// Steps of the head in workgroup memory at a time.
const STEP: usize = 16;

/// Keys that software kernels take at a time, at any width of the driver: so all give the same bits.
const KEYS: usize = 8;

/// Images and shuffles, for drivers that run on the processor; heads in fours.
pub fn software(s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let Some(lanes @ (4 | 8 | 16)) = caps.subgroup else { return vec![] };
    if !s.size.is_multiple_of(4) {
        return vec![];
    }
    let d4 = s.size / 4;
    let image = Form::Image { pad: 0 };
    let scale = s.scale() * std::f64::consts::LOG2_E;
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
            .param("scale", scale as f32)
            .groups(s.tokens.div_ceil(lanes as usize * tn), s.heads, s.pictures)
            .iterations(s.tokens.div_ceil(KEYS))
            .ordered("attention software")
            .subgroup(lanes)
    };
    let mut wide = [4, 2, 1];
    wide.sort_by_key(|&tn| (s.tokens.div_ceil(lanes as usize * tn) * (4 * tn + 3), 4 - tn));
    wide.map(kernel).into()
}

/// Tiles in workgroup memory, for GPUs; all carry the softmax along in one order.
pub fn tiles(s: &Sizes, _: &Caps) -> Vec<Kernel> {
    let groups = |tm: usize| s.pictures * s.heads * s.tokens.div_ceil(SIDE * tm);
    let rows: &[usize] = match s.size {
        ..=64 if groups(8) >= ENOUGH as usize => &[8, 4],
        ..=64 => &[4, 8],
        _ => &[4],
    };
    rows.iter().map(|&tm| tile(s, tm)).collect()
}

fn tile(s: &Sizes, tm: usize) -> Kernel {
    let d4 = s.size.div_ceil(4);
    let queries = SIDE * tm;
    let keys = 4 * SIDE;
    let kernel = Kernel::new(shader!("attention"), 1, (SIDE * SIDE) as u32)
        .set("TM", format!("{tm}u"))
        .set("D4", format!("{d4}u"))
        .param("tokens", s.tokens)
        .param("heads", s.heads)
        .param("size", s.size)
        .param("step", STEP)
        .param("scale", s.scale() as f32)
        .groups(s.tokens.div_ceil(queries), s.heads, s.pictures)
        .iterations(s.tokens.div_ceil(keys) * (d4.div_ceil(4) * (1 + STEP / 4) + keys / STEP * (1 + STEP / 2)))
        .shared(16 * ((STEP * ((queries + keys) / 4 + 1)).max(STEP * d4) + keys * queries / 4 + SIDE * queries / 4) as u32)
        .ordered("attention");
    if s.size.is_multiple_of(4) { kernel } else { kernel.import("heads_four", "heads_one") }
}
