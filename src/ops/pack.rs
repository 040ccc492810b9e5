//! Operands as kernels read them. On weights each of these nodes runs once, when the plan is made. Convolution and matmul share
//! them; models never see them.

use crate::engine::{Caps, Form, Kernel, Op};
use crate::ops::Case;
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Texels in a row of a packed image.
const ROW: usize = 1024;

/// `[co, ci, kh, kw]`, or a matrix `[co, ci]`, or `[ci, co]` where `transposed`, as texels for the software family, in blocks of
/// `tm` output channels: `[1, rows, 1024, 4]`.
#[derive(Clone, Copy, Debug)]
pub struct PackSoftware {
    /// Output channels of a block.
    pub tm: usize,
    /// Whether a matrix is `[ci, co]`.
    pub transposed: bool,
}

/// `[co, ci, kh, kw]` as `[kh*kw, ci', co]` for tiles in workgroup memory, `ci'` the next multiple of `step`, zeros beyond `ci`.
#[derive(Clone, Copy, Debug)]
pub struct PackGemm {
    /// Channels that a tile takes at a time.
    pub step: usize,
}

/// `[n, h, w, c]` with zero channels up to a multiple of four.
#[derive(Clone, Copy, Debug)]
pub struct PadChannels;

impl PackSoftware {
    /// (co, ci, taps) of a weight.
    fn sizes(&self, x: Shape) -> [usize; 3] {
        let (a, b) = (x.dim(0), x.dim(1));
        let (co, ci) = if self.transposed { (b, a) } else { (a, b) };
        [co, ci, x.dim(2) * x.dim(3)]
    }

    fn texels(&self, [co, ci, taps]: [usize; 3]) -> usize {
        co.div_ceil(self.tm) * taps * ci.div_ceil(4) * self.tm
    }

    /// Rows of texels that a weight of these (co, ci, taps) takes.
    fn rows(&self, sizes: [usize; 3]) -> usize {
        self.texels(sizes).div_ceil(ROW)
    }

    /// Whether an image of this adapter holds a weight of these (co, ci, taps).
    pub fn fits(&self, sizes: [usize; 3], caps: &Caps) -> bool {
        self.rows(sizes).max(ROW) <= caps.image_side as usize
    }
}

impl Op for PackSoftware {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [w] = x else { return Err("expected one weight".into()) };
        match (w.rank(), self.transposed) {
            (2, _) | (4, false) => Ok(Shape::from([1, self.rows(self.sizes(*w)), ROW, 4])),
            _ => Err("expected a weight of rank 2 or 4".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let [co, ci, taps] = self.sizes(x[0]);
        // All of the last row: where a weight is trained, the image held something else before.
        let texels = ROW * self.rows([co, ci, taps]);
        let kernel = Kernel::new(shader!("pack_software"), 1, 64)
            .write(Form::Image { pad: 0 })
            .set("TM", format!("{}u", self.tm))
            .set("TRANSPOSED", self.transposed)
            .param("co", co)
            .param("ci", ci)
            .param("taps", taps)
            .param("cin4", ci.div_ceil(4))
            .param("texels", texels)
            .flat_groups(texels.div_ceil(64));
        vec![kernel]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let [co, ci, taps] = self.sizes(x[0].shape);
        let row: Vec<usize> = (0..ci * taps).map(|i| i % taps * ci.next_multiple_of(4) + i / taps).collect();
        let rows = taps * ci.next_multiple_of(4);
        let mut out = Tensor::zeros(y);
        for o in 0..co {
            let block = &mut out.data[o / self.tm * rows * self.tm..];
            for (i, r) in row.iter().enumerate() {
                block[r * self.tm + o % self.tm] = x[0].data[if self.transposed { i * co + o } else { o * row.len() + i }];
            }
        }
        out
    }
}

impl Op for PackGemm {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [w] if w.rank() == 4 => Ok(Shape::from([w.dim(2) * w.dim(3), w.dim(1).next_multiple_of(self.step), w.dim(0)])),
            _ => Err("expected one weight of rank 4".into()),
        }
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let kernel = Kernel::new(shader!("pack_gemm"), 1, 64)
            .param("co", x[0].dim(0))
            .param("ci", x[0].dim(1))
            .param("taps", y.dim(0))
            .param("ci_padded", y.dim(1))
            .param("elements", y.len())
            .flat_groups(y.len().div_ceil(64));
        vec![kernel]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (taps, padded, co, ci) = (y.dim(0), y.dim(1), y.dim(2), x[0].shape.dim(1));
        Tensor::from_fn(y, |i| {
            let (o, c, tap) = (i % co, i / co % padded, i / co / padded);
            if c < ci { x[0].data[(o * ci + c) * taps + tap] } else { 0.0 }
        })
    }
}

impl Op for PadChannels {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x] if x.rank() == 4 => Ok(Shape::from([x.dim(0), x.dim(1), x.dim(2), x.dim(3).next_multiple_of(4)])),
            _ => Err("expected one picture".into()),
        }
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let kernel = Kernel::new(shader!("pad_channels"), 1, 64)
            .param("c", x[0].dim(3))
            .param("padded", y.dim(3))
            .param("elements", y.len())
            .flat_groups(y.len().div_ceil(64));
        vec![kernel]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (c, padded) = (x[0].shape.dim(3), y.dim(3));
        Tensor::from_fn(y, |i| if i % padded < c { x[0].data[i / padded * c + i % padded] } else { 0.0 })
    }
}

/// `[.., r, c]`, or its transpose, with zero columns up to a multiple of four.
#[derive(Clone, Copy, Debug)]
pub struct PackMatrix {
    /// Whether rows become columns.
    pub transposed: bool,
}

impl PackMatrix {
    /// (matrices, rows, columns) of the input.
    fn sizes(x: Shape) -> [usize; 3] {
        let (rows, c) = x.rows();
        let r = if x.rank() > 1 { x.dim(x.rank() - 2) } else { 1 };
        [rows / r.max(1), r, c]
    }
}

impl Op for PackMatrix {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [m] = x else { return Err("expected one matrix".into()) };
        let [batch, r, c] = PackMatrix::sizes(*m);
        let (r, c) = if self.transposed { (c, r) } else { (r, c) };
        let (r, c) = (r, c.next_multiple_of(4));
        Ok(if m.rank() == 2 { Shape::from([r, c]) } else { Shape::from([batch, r, c]) })
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let [_, r, c] = PackMatrix::sizes(x[0]);
        let [_, out_r, out_c] = PackMatrix::sizes(y);
        let kernel = Kernel::new(shader!("pack_matrix"), 1, 64)
            .set("TRANSPOSED", self.transposed)
            .param("r", r)
            .param("c", c)
            .param("out_r", out_r)
            .param("out_c", out_c)
            .param("elements", y.len())
            .flat_groups(y.len().div_ceil(64));
        vec![kernel]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let [_, r, c] = PackMatrix::sizes(x[0].shape);
        let [_, out_r, out_c] = PackMatrix::sizes(y);
        Tensor::from_fn(y, |i| {
            let (batch, row, column) = (i / out_c / out_r, i / out_c % out_r, i % out_c);
            let (row, column) = if self.transposed { (column, row) } else { (row, column) };
            if row < r && column < c { x[0].data[(batch * r + row) * c + column] } else { 0.0 }
        })
    }
}

/// `[c, 1, kh, kw]`, a window for each channel, as `[1, ⌈c/4⌉, kh*kw, 4]`: four channels of a tap side by side, zeros beyond `c`.
#[derive(Clone, Copy, Debug)]
pub struct PackDepthwise;

impl Op for PackDepthwise {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [w] if w.rank() == 4 && w.dim(1) == 1 => {
                Ok(Shape::from([1, w.dim(0).div_ceil(4), w.dim(2) * w.dim(3), 4]))
            }
            _ => Err("expected one weight [c, 1, kh, kw]".into()),
        }
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let kernel = Kernel::new(shader!("pack_depthwise"), 1, 64)
            .param("c", x[0].dim(0))
            .param("taps", y.dim(2))
            .param("elements", y.len())
            .flat_groups(y.len().div_ceil(64));
        vec![kernel]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (c, taps) = (x[0].shape.dim(0), y.dim(2));
        Tensor::from_fn(y, |i| {
            let (channel, tap) = (i / 4 / taps * 4 + i % 4, i / 4 % taps);
            if channel < c { x[0].data[channel * taps + tap] } else { 0.0 }
        })
    }
}

/// Cases of the packing nodes.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new(PackSoftware { tm: 32, transposed: false }, &[&[40, 6, 3, 3]]),
        Case::new(PackSoftware { tm: 16, transposed: false }, &[&[10, 33]]),
        Case::new(PackSoftware { tm: 32, transposed: true }, &[&[17, 130]]),
        Case::new(PackGemm { step: 4 }, &[&[12, 3, 7, 7]]),
        Case::new(PackGemm { step: 16 }, &[&[8, 18, 3, 1]]),
        Case::new(PadChannels, &[&[2, 5, 7, 3]]),
        Case::new(PackDepthwise, &[&[37, 1, 3, 5]]),
        Case::new(PackMatrix { transposed: false }, &[&[3, 5, 7]]),
        Case::new(PackMatrix { transposed: true }, &[&[2, 6, 9]]),
        Case::new(PackMatrix { transposed: true }, &[&[130, 3]]),
    ]
}
