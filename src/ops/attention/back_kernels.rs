//! The kernels of attention's gradient.

use super::Sizes;
use super::kernels::{EACH, KEYS, STEP};
use crate::engine::{Caps, ENOUGH, Form, Kernel, Shader};
use crate::ops::tile::ARM;
use crate::shader;

/// Lanes of a subgroup where software kernels run: heads in fours.
fn lanes(s: &Sizes, caps: &Caps) -> Option<u32> {
    caps.subgroup.filter(|lanes| [4, 8, 16].contains(lanes) && s.size.is_multiple_of(4))
}

/// Images and shuffles, with so many tokens a lane.
fn software(shader: &'static Shader, s: &Sizes, lanes: u32, tn: usize) -> Kernel {
    let mut kernel = Kernel::new(shader, 3, lanes)
        .set("LANES", format!("{lanes}u"))
        .set("TN", format!("{tn}u"))
        .set("D4", format!("{}u", s.size / 4))
        .set("LOADS", format!("{}u", (KEYS as u32 / lanes).max(1)))
        .param("tokens", s.tokens)
        .param("heads", s.heads)
        .param("scale", s.power_scale() as f32)
        .groups(s.tokens.div_ceil(lanes as usize * tn), s.heads, s.pictures)
        .iterations(s.tokens.div_ceil(KEYS))
        .subgroup(lanes);
    for (i, binding) in [2, 3, 4].into_iter().enumerate() {
        kernel = kernel.read(i, binding, Form::Image { pad: 0 });
    }
    kernel.write(Form::Image { pad: 0 })
}

/// Tokens of a lane. Four are a tenth faster than two by keys and values, and take three times as long to compile (6 s the first time, of
/// heads of 64): only where there is much to gain.
fn wide(s: &Sizes) -> &'static [usize] {
    if s.tokens >= 512 && s.size <= 64 { &[4, 2] } else { &[2] }
}

/// By queries, for drivers that run on the processor.
pub fn dq_software(s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let Some(lanes) = lanes(s, caps) else { return vec![] };
    let kernel = |tn: usize| software(shader!("attention_dq_software"), s, lanes, tn).param("slope", s.scale() as f32);
    wide(s).iter().map(|&tn| kernel(tn).ordered("attention dq software")).collect()
}

/// By keys and values; an image or, as a twin, a buffer.
pub fn dx_software(s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let Some(lanes) = lanes(s, caps) else { return vec![] };
    let kernel = |tn: usize| {
        // Queries are multiplied by the scores' scale when they are read.
        let kernel = software(shader!("attention_dx_software"), s, lanes, tn).param("slope", std::f32::consts::LN_2);
        kernel.param("row4", 3 * s.width() / 4).ordered("attention dx software")
    };
    let twins = |tn: usize| {
        let buffer = kernel(tn).write(Form::Buffer).form("rows_image", "rows_buffer");
        [kernel(tn), buffer]
    };
    wide(s).iter().flat_map(|&tn| twins(tn)).collect()
}

/// Tiles in workgroup memory, for GPUs, as wide as attention's own and for its reasons.
pub fn dq_tiles(s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let sides: &[[usize; 2]] = match s.size {
        ..=64 if few(s) || caps.vendor == ARM => &[[16, 4], [8, 8]],
        ..=64 => &[[8, 8], [16, 4]],
        _ => &[[16, 8], [8, 8]],
    };
    let order = |across: usize| if across == 8 { "attention dq by 32 keys" } else { "attention dq by 64 keys" };
    let kernel = |&[across, down]: &[usize; 2]| {
        let edges = across * down * EACH / 4 + across * down / 4;
        let kernel = tile(shader!("attention_dq"), s, [across, down], edges);
        kernel.param("z_row", units(s, s.width())).param("y_row", units(s, s.row())).ordered(order(across))
    };
    sides.iter().map(kernel).collect()
}

/// An invocation keeps sums of two kinds: so a tile is twice as wide, and each is one quad of a head, or two. All tiles sum in one order.
pub fn dx_tiles(s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let sides: &[[usize; 2]] = match s.size {
        ..=64 if few(s) || caps.vendor == ARM => &[[16, 4], [16, 8]],
        ..=64 => &[[16, 8], [16, 4]],
        _ => &[[32, 4], [16, 8]],
    };
    let kernel = |&sides: &[usize; 2]| {
        let kernel = tile(shader!("attention_dx"), s, sides, 0).ordered("attention dx");
        kernel.param("z_row", units(s, s.row())).param("y_row", units(s, 3 * s.width()))
    };
    sides.iter().map(kernel).collect()
}

/// Whether a picture gives few workgroups.
fn few(s: &Sizes) -> bool {
    s.heads * s.tokens.div_ceil(8 * EACH) < ENOUGH as usize
}

/// So many elements as the shader counts them.
fn units(s: &Sizes, elements: usize) -> usize {
    if s.size.is_multiple_of(4) { elements / 4 } else { elements }
}

/// A tile of so many invocations side by side, which share rows, and below each other, which share columns; `edges` are vectors of
/// workgroup memory beside the operands and the shares.
fn tile(shader: &'static Shader, s: &Sizes, [across, down]: [usize; 2], edges: usize) -> Kernel {
    let d4 = s.size.div_ceil(4);
    let (rows, columns) = (down * EACH, across * EACH);
    let operands = (STEP * ((rows + columns) / 4 + 1)).max(STEP * d4);
    let products = d4.div_ceil(4) * (1 + STEP / 4);
    let values = columns / STEP * (1 + STEP / 4);
    let kernel = Kernel::new(shader, 3, (across * down) as u32)
        .set("WX", format!("{across}u"))
        .set("WY", format!("{down}u"))
        .set("D4", format!("{d4}u"))
        .param("tokens", s.tokens)
        .param("heads", s.heads)
        .param("size", s.size)
        .param("scale", s.power_scale() as f32)
        .param("slope", s.scale() as f32)
        .param("quads", d4)
        .param("keys", columns)
        .param("step", STEP)
        .groups(s.tokens.div_ceil(rows), s.heads, s.pictures)
        .iterations(s.tokens.div_ceil(columns) * 2 * (products + values))
        .shared(16 * (operands + columns * rows / 4 + edges) as u32)
        .unchecked();
    if s.size.is_multiple_of(4) { kernel } else { kernel.import("gradient_four", "gradient_one") }
}
