//! Pictures of bytes to numbers, by a table: a byte goes to the device as a byte, and is scaled and shifted there.

use crate::engine::{Caps, Family, Form, Kernel, Op, Var};
use crate::ops::{Case, Fill};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: words `[n, h, ceil(3w/4)]` as [`packed`] gives them, table `[3, 256]`. Output `[n, h, w, 3]`.
#[derive(Debug)]
struct Pixels {
    w: usize,
    order: [usize; 3],
}

impl<'g> Var<'g> {
    /// Pixels of `self`, words of bytes `[n, h, ceil(3w/4)]` as [`packed`] gives them, as numbers `[n, h, w, 3]`: channel `c` is
    /// `table[c][byte]` of byte `order[c]` of the pixel; `table` is `[3, 256]`.
    pub fn pixels(self, table: Var<'g>, w: usize, order: [usize; 3]) -> Var<'g> {
        self.apply(Pixels { w, order }, &[self, table])
    }
}

/// RGB pixels of a picture, three bytes each, row by row, as words for [`Var::pixels`]: four bytes in the bits of each number, little end
/// first, each row filled up with zeros to whole words. Such numbers are bits to be handed on, not to be computed with.
pub fn packed(rgb: &[u8], width: usize, height: usize) -> Vec<f32> {
    let word = |bytes: &[u8]| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        f32::from_bits(u32::from_le_bytes(word))
    };
    rgb.chunks(3 * width.max(1)).take(height).flat_map(|row| row.chunks(4).map(word)).collect()
}

const WG: usize = 64;

/// Numbers that an invocation of the buffer kernel makes.
const EACH: usize = 4;

impl Op for Pixels {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [words, table] = x else { return Err("words and a table are expected".into()) };
        if words.rank() != 3 || words.is_empty() || words.dim(2) != (3 * self.w).div_ceil(4) {
            return Err(format!("words of pictures {} wide must be [n, h, {}]", self.w, (3 * self.w).div_ceil(4)));
        }
        if table.dims() != [3, 256] || self.order.iter().any(|&byte| byte > 2) {
            return Err("the table must be [3, 256], and the order name bytes 0 to 2 of a pixel".into());
        }
        Ok(Shape::from([words.dim(0), words.dim(1), self.w, 3]))
    }

    fn kernels(&self, x: &[Shape], y: Shape, caps: &Caps) -> Vec<Kernel> {
        let [n, h, w, _] = y.nhwc();
        let order = self.order[0] | self.order[1] << 8 | self.order[2] << 16;
        let common = |kernel: Kernel| kernel.param("words", x[0].dim(2)).param("order", order);
        let buffer = Kernel::new(shader!("pixels"), 2, WG as u32).param("len", y.len()).param("row", 3 * w);
        let buffer = buffer.flat_groups(y.len().div_ceil(WG * EACH));
        let image = Kernel::new(shader!("pixels_image"), 2, WG as u32)
            .write(Form::Image { pad: 0 })
            .param("pixels", n * h * w)
            .param("h", h)
            .param("w", w)
            .flat_groups((n * h * w).div_ceil(WG));
        match caps.family {
            Family::Gpu => [buffer, image].map(common).into(),
            Family::Software => [image, buffer].map(common).into(),
        }
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (w, words) = (self.w, x[0].shape.dim(2));
        Tensor::from_fn(y, |i| {
            let (channel, column, row) = (i % 3, i / 3 % w, i / 3 / w);
            let at = 3 * column + self.order[channel];
            let byte = x[0].data[row * words + at / 4].to_bits().to_le_bytes()[at % 4];
            x[1].data[256 * channel + usize::from(byte)]
        })
    }
}

/// Cases of the sweep: noise as bits is bytes of all kinds.
pub fn cases() -> Vec<Case> {
    let case = |[n, h, w]: [usize; 3], order| {
        Case::new(Pixels { w, order }, &[&[n, h, (3 * w).div_ceil(4)], &[3, 256]]).bound(0.0)
    };
    vec![
        case([1, 1, 1], [0, 1, 2]),
        case([2, 5, 1], [2, 1, 0]),
        case([1, 7, 2], [1, 2, 0]),
        case([3, 4, 3], [2, 1, 0]),
        case([2, 17, 23], [0, 1, 2]).fill(Fill::Outliers),
        case([1, 33, 64], [2, 1, 0]),
        case([2, 9, 101], [0, 0, 1]).fill(Fill::NonFinite),
        case([4, 96, 97], [0, 1, 2]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::form::typical;
    use crate::engine::lower::lower_by;
    use crate::engine::{Choices, Graph};

    #[test]
    fn by_hand() {
        let rgb: Vec<u8> = (0..2 * 3 * 3).map(|i| i * 14).collect();
        let words = packed(&rgb, 3, 2);
        assert_eq!(words.len(), 2 * 3);
        assert_eq!(words[0].to_bits(), 0x2a1c_0e00);
        assert_eq!(words[2].to_bits(), 8 * 14, "a row ends with zeros");
        let graph = Graph::new();
        let (x, table) = (graph.input("x", [1, 2, 3]), graph.input("table", [3, 256]));
        let numbers = Tensor::from_fn([3, 256], |i| (i / 256 * 1000 + i % 256) as f32);
        let y = graph.eval(&[x.pixels(table, 3, [2, 1, 0])], &[&Tensor::new([1, 2, 3], words), &numbers]).unwrap();
        let want = (0..6).flat_map(|p| [2, 1, 0].map(|c| (3 * p + c) * 14)).enumerate();
        let want: Vec<f32> = want.map(|(i, byte)| (i % 3 * 1000 + byte) as f32).collect();
        assert_eq!(y[0].data, want);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let infer = |w, order, x: [&[usize]; 2]| Pixels { w, order }.infer(&x.map(Shape::new));
        assert_eq!(infer(5, [0, 1, 2], [&[2, 7, 4], &[3, 256]]), Ok(Shape::from([2, 7, 5, 3])));
        assert!(infer(6, [0, 1, 2], [&[2, 7, 4], &[3, 256]]).unwrap_err().contains("[n, h, 5]"));
        assert!(infer(5, [0, 1, 3], [&[2, 7, 4], &[3, 256]]).unwrap_err().contains("bytes 0 to 2"));
        assert!(infer(5, [0, 1, 2], [&[2, 7, 4], &[256]]).unwrap_err().contains("[3, 256]"));
    }

    #[test]
    fn a_picture_needs_no_conversion_of_its_own() {
        for (name, caps) in typical() {
            let graph = Graph::new();
            let table = graph.weight("table", Tensor::zeros([3, 256]).into());
            let weight = graph.weight("conv1.weight", Tensor::zeros([64, 3, 7, 7]).into());
            let picture = graph.input("picture", [2, 64, 48]).pixels(table, 64, [0, 1, 2]);
            let y = picture.conv2d(weight, 2, 3).max_pool(3, 2, 1);
            let lowered = lower_by(&graph, &[y], &caps, &Choices::First).expect("it lowers");
            let ops = lowered.steps.iter().map(|s| format!("{:?}", s.op)).collect::<Vec<_>>();
            assert!(!ops.iter().any(|op| op.starts_with("ToImage")), "{name}: {ops:?}");
        }
    }
}
