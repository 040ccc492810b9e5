//! Separable Gaussian blur of pictures `[n, h, w, c]`: one node along the rows, one along the columns, ends mirrored.

use crate::engine::{Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::sync::Arc;

/// What lies beyond the ends of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Mirrored with the edge pixel repeated, `dcba|abcd|dcba`: scipy's `reflect`.
    Symmetric,
    /// Mirrored at the edge pixel, `dcb|abcd|cba`: PyTorch's `reflect`.
    Reflect,
}

/// Inputs: picture, taps `[2 radius + 1]`.
#[derive(Debug)]
struct Blur {
    axis: usize,
    border: Border,
}

/// The normalised taps `exp(-x^2 / 2 sigma^2)`, x = -radius..radius, radius = floor(4 sigma + 0.5) as scipy has it.
pub fn gaussian(sigma: f64) -> Tensor {
    let radius = (4.0 * sigma + 0.5) as i64;
    let raw: Vec<f64> = (-radius..=radius).map(|x| (-0.5 * (x as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = raw.iter().sum();
    Tensor::new([raw.len()], raw.iter().map(|v| (v / total) as f32).collect())
}

impl<'g> Var<'g> {
    /// Blurred with a Gaussian of `sigma` pixels, rows first. Pictures smaller than the kernel are mirrored as often as needed.
    pub fn gaussian_blur(self, sigma: f64, border: Border) -> Var<'g> {
        // Taps of another sigma are another weight, and need another name.
        let name = format!("gaussian.taps{:x}", sigma.to_bits());
        let taps = self.graph().weight(&name, Arc::new(gaussian(sigma)));
        let along = self.apply(Blur { axis: 1, border }, &[self, taps]);
        along.apply(Blur { axis: 2, border }, &[along, taps])
    }
}

const WG: usize = 64;

/// Source index of position `at` on a mirrored line of `size`.
fn mirrored(at: i64, size: i64, border: Border) -> usize {
    let (period, last) = match border {
        Border::Symmetric => (2 * size, 2 * size - 1),
        Border::Reflect => ((2 * size - 2).max(1), (2 * size - 2).max(1)),
    };
    let at = at.rem_euclid(period);
    (if at < size { at } else { last - at }) as usize
}

impl Op for Blur {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x, taps] if x.rank() == 4 && !x.is_empty() && taps.rank() == 1 && taps.len() % 2 == 1 => Ok(*x),
            _ => Err("expected a picture [n, h, w, c] and an odd number of taps".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let (size, taps) = (x[0].dim(self.axis), x[1].len());
        let period = if self.border == Border::Symmetric { 2 * size } else { (2 * size - 2).max(1) };
        let shift = (taps / 2).next_multiple_of(period) - taps / 2;
        let kernel = Kernel::new(shader!("blur"), 2, WG as u32)
            .set("REPEAT_EDGE", self.border == Border::Symmetric)
            .param("elements", x[0].len())
            .param("size", size)
            .param("step", x[0].dims()[self.axis + 1..].iter().product::<usize>())
            .param("taps", taps)
            .param("shift", shift)
            .iterations(taps)
            .flat_groups(x[0].len().div_ceil(WG));
        vec![kernel]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (size, radius) = (y.dim(self.axis), (x[1].data.len() / 2) as i64);
        let step: usize = y.dims()[self.axis + 1..].iter().product();
        Tensor::from_fn(y, |i| {
            let (at, first) = (i / step % size, i / step / size * size * step + i % step);
            let term = |(t, &tap): (usize, &f32)| {
                let source = mirrored(at as i64 - radius + t as i64, size as i64, self.border);
                f64::from(tap) * f64::from(x[0].data[first + source * step])
            };
            x[1].data.iter().enumerate().map(term).sum::<f64>() as f32
        })
    }

    fn flops(&self, x: &[Shape], y: Shape) -> u64 {
        2 * (y.len() * x[1].len()) as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |axis, border, x: &[usize], taps| Case::new(Blur { axis, border }, &[x, &[taps]]);
    vec![
        case(1, Border::Symmetric, &[2, 28, 19, 1], 33),
        case(2, Border::Symmetric, &[1, 10, 12, 3], 33).fill(Fill::Outliers),
        case(1, Border::Reflect, &[1, 40, 7, 1], 33),
        case(2, Border::Reflect, &[2, 5, 6, 2], 33).fill(Fill::NonFinite),
        case(1, Border::Reflect, &[1, 1, 3, 1], 9),
        case(2, Border::Symmetric, &[1, 3, 1, 1], 9),
        case(2, Border::Symmetric, &[1, 65, 130, 1], 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors() {
        let line = |border| (-5..8).map(|at| mirrored(at, 3, border)).collect::<Vec<_>>();
        assert_eq!(line(Border::Symmetric), [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
        assert_eq!(line(Border::Reflect), [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!(mirrored(-7, 1, Border::Reflect), 0);
    }

    #[test]
    fn taps_sum_to_one() {
        let taps = gaussian(4.0);
        assert_eq!(taps.data.len(), 33);
        assert!((taps.data.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
