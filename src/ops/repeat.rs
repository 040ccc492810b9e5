//! A vector of each picture at every pixel of it: what a mean over pictures is the reverse of.

use crate::engine::{Backward, Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Input `[n, c]`; output `[n, h, w, c]`.
#[derive(Debug)]
struct Repeat {
    h: usize,
    w: usize,
}

impl<'g> Var<'g> {
    /// Rows `[n, c]` as pictures `[n, h, w, c]`, in which every pixel is the row.
    pub fn repeated(self, [h, w]: [usize; 2]) -> Var<'g> {
        self.apply(Repeat { h, w }, &[self])
    }
}

const WG: usize = 256;

impl Op for Repeat {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x] if x.rank() == 2 && x.len() * self.h * self.w > 0 => {
                Ok(Shape::from([x.dim(0), self.h, self.w, x.dim(1)]))
            }
            _ => Err("expected rows [n, c], and pictures of at least one pixel".into()),
        }
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let c = x[0].last();
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("repeat"), 1, WG as u32).ordered("element");
            let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
            let kernel = kernel.param("picture", self.h * self.w * c / width).param("c", c / width);
            kernel.param("len", y.len() / width).flat_groups((y.len() / width).div_ceil(WG))
        };
        widths(c).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let c = y.last();
        Tensor::from_fn(y, |i| x[0].data[i / (self.h * self.w * c) * c + i % c])
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        Some(vec![at.by(0, || at.dy.global_pool().affine((self.h * self.w) as f32, 0.0))])
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new(Repeat { h: 1, w: 1 }, &[&[1, 1]]),
        Case::new(Repeat { h: 5, w: 7 }, &[&[3, 6]]).fill(Fill::NonFinite),
        Case::new(Repeat { h: 7, w: 7 }, &[&[2, 132]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let x = Tensor::new([2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let op = Repeat { h: 1, w: 2 };
        let y = op.reference(&[&x], op.infer(&[x.shape]).unwrap());
        assert_eq!(y.data, [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
        assert!(Repeat { h: 0, w: 2 }.infer(&[x.shape]).is_err());
        assert!(op.infer(&[Shape::from([2])]).is_err());
    }
}
