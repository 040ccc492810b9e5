//! The three families of matrix products.

use super::parts::MatmulParts;
use super::{Matmul, Sizes};
use crate::engine::{Caps, Form, Kernel};
use crate::ops::pack::{PackMatrix, PackSoftware};
use crate::ops::tile::{STEP, Sum, Tile, Way, tiles};
use crate::ops::epilogue::Epilogue;
use crate::ops::{parts, software_tiles};
use crate::shader;

/// Rows of a lane that are offered: a plane is loaded from far away for 32 columns only, so that what all lanes share of b should serve many
/// rows. The four products of a ViT-S/14's block at 448 took 74 to 92 % of their time with six rows, by rows of a, at 256 bits, and 84 to
/// 96 % at 512 (four rows, by columns of b; six rows and two planes a turn, and eight rows, were slower at 512).
const ROWS: [usize; 5] = [6, 5, 4, 2, 1];

/// Images and shuffles, for drivers that run on the processor. All add up in one order.
pub fn software(op: &Matmul, s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    let Some(lanes @ (4 | 8 | 16)) = caps.subgroup else { return vec![] };
    let tm = if s.n <= 16 { 16 } else { 32 };
    let pack = PackSoftware { tm, transposed: !op.transpose_b };
    if op.transpose_a || s.b_batched || !pack.fits([s.n, s.k, 1], caps) {
        return vec![];
    }
    let rows = s.batch * s.m;
    let image = Form::Image { pad: 0 };
    let k4 = s.k.div_ceil(4);
    let kernel = |[tn, tu]: [usize; 2]| {
        let kernel = Kernel::new(shader!("matmul_software"), 2, lanes)
            .set("LANES", format!("{lanes}u"))
            .set("TM", format!("{tm}u"))
            .set("TN", format!("{tn}u"))
            .set("TU", format!("{tu}u"))
            .read(0, 2, image)
            .read(1, 3, image)
            .write(image)
            .pack(1, pack)
            .param("k4", k4)
            .param("m", rows)
            .param("n", s.n)
            .groups(s.n.div_ceil(tm), rows.div_ceil(lanes as usize * tn), 1)
            .iterations(k4 / tu)
            .ordered("software")
            .subgroup(lanes);
        op.epilogue.on(kernel, image, ["residual_image", "residual_image_none"])
    };
    software_tiles(&ROWS, rows, lanes, k4).into_iter().map(kernel).collect()
}

/// Tiles in workgroup memory, for GPUs; columns in fours. All of a GPU add up in one order, in parts of so many steps.
pub fn gemm(op: &Matmul, s: &Sizes, caps: &Caps) -> Vec<Kernel> {
    if !s.n.is_multiple_of(4) {
        return vec![];
    }
    // The rows of a plain product are its batch: a linear layer has one for every picture.
    let alone = if s.plain { 1 } else { s.m };
    let sum = Sum::new([alone, s.n], s.k.div_ceil(STEP), 4);
    // Where all pictures meet one b, their rows lie one after the other: tiles go across pictures.
    let one = !s.b_batched && !op.transpose_a;
    let s = &if one { Sizes { batch: 1, m: s.batch * s.m, ..*s } } else { *s };
    let groups = |t: &Tile| s.batch * t.groups([s.m, s.n]).iter().product::<usize>();
    let made = |sum: Sum| {
        let ways = sum.ways(tiles(caps), [s.m, s.n], groups);
        let plain = MatmulParts { matmul: Matmul { epilogue: Epilogue::NONE, ..*op }, sum };
        parts::kernels((sum, ways), op.epilogue, plain, |tile, way| kernel(op, s, &sum, tile, way))
    };
    sum.offered(caps).into_iter().flat_map(made).collect()
}

fn kernel(op: &Matmul, s: &Sizes, sum: &Sum, tile: Tile, way: Way) -> Kernel {
    let [x, y] = tile.groups([s.m, s.n]);
    let mut kernel = tile.set(Kernel::new(shader!("matmul_gemm"), 2, tile.invocations() as u32));
    if op.transpose_a || !s.k.is_multiple_of(4) {
        kernel = kernel.pack(0, PackMatrix { transposed: op.transpose_a });
    }
    if op.transpose_b {
        kernel = kernel.pack(1, PackMatrix { transposed: true });
    }
    kernel
        .param("m", s.m)
        .param("n4", s.n / 4)
        .param("k", s.k)
        .param("k4", s.k.div_ceil(4))
        .param("batch", s.batch)
        .param("b_batch4", if s.b_batched { s.k * s.n / 4 } else { 0 })
        .groups(x, y, s.batch * if way == Way::Split { sum.parts } else { 1 })
        .iterations(tile.trips(sum.steps, sum.parts))
        .shared(tile.shared_bytes() as u32)
}

/// One output per invocation: runs everywhere.
pub fn direct(op: &Matmul, s: &Sizes) -> Kernel {
    let [a_m, a_k, b_k, b_n] = op.strides(s);
    let outputs = s.batch * s.m * s.n;
    let kernel = Kernel::new(shader!("matmul_direct"), 2, 64)
        .param("m", s.m)
        .param("n", s.n)
        .param("k", s.k)
        .param("outputs", outputs)
        .param("a_m", a_m)
        .param("a_k", a_k)
        .param("b_k", b_k)
        .param("b_n", b_n)
        .param("a_batch", s.m * s.k)
        .param("b_batch", if s.b_batched { s.k * s.n } else { 0 })
        .flat_groups(outputs.div_ceil(64))
        .iterations(s.k);
    op.epilogue.on(kernel, Form::Buffer, ["residual", "residual_none"])
}
