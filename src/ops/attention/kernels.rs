//! The kernels of attention.

use super::Sizes;
use crate::engine::{Caps, ENOUGH, Kernel};
use crate::shader;

/// Invocations along each side of a tile.
const SIDE: usize = 8;
/// Steps of the head in workgroup memory at a time.
const STEP: usize = 16;

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
