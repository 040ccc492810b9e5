//! Dropout (Srivastava et al. 2014) by a counter: whether an element stays follows from its number and a seed alone, on every device.

use crate::engine::{Backward, Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, fours, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: x, and a seed `[2]` whose 64 bits count, not what they are as numbers. Output as x.
#[derive(Clone, Copy, Debug)]
struct Dropout {
    p: f32,
    stream: u32,
}

impl<'g> Var<'g> {
    /// Every element is dropped (times 0, so that NaN stays NaN) with probability `p`, at least 0 and below 1, and those that stay are times
    /// 1 / (1 - p). Which ones follows from `seed`, `[2]`, by its bits; the gradient drops the same. Dropouts of one network that share a
    /// seed need [`Var::dropout_of`].
    pub fn dropout(self, p: f32, seed: Var<'g>) -> Var<'g> {
        self.dropout_of(p, seed, 0)
    }

    /// As [`Var::dropout`]; every `stream` drops others by the same seed.
    pub fn dropout_of(self, p: f32, seed: Var<'g>, stream: u32) -> Var<'g> {
        self.apply(Dropout { p, stream }, &[self, seed])
    }
}

const WG: usize = 256;
/// Elements or fours of an invocation.
const EACH: usize = 4;

/// Multiplications by odd numbers and shifts: every bit of `v` changes every bit of the result as often as not; no two `v` give the same.
fn mixed(v: u32) -> u32 {
    let h = (v ^ (v >> 16)).wrapping_mul(0x9E37_79B9);
    let h = (h ^ (h >> 15)).wrapping_mul(0x85A3_08D3);
    let h = (h ^ (h >> 13)).wrapping_mul(0xA409_3823);
    h ^ (h >> 16)
}

impl Dropout {
    /// Draws of elements under a seed.
    fn draws(self, seed: [u32; 2]) -> impl Fn(usize) -> u32 {
        let key = mixed(seed[0].wrapping_add(mixed(self.stream)));
        let other = mixed(seed[1] ^ key);
        move |i| mixed(mixed(i as u32 ^ key).wrapping_add(other))
    }

    /// Draws from here on stay.
    fn threshold(self) -> u32 {
        (f64::from(self.p) * 2f64.powi(32)) as u32
    }

    fn scale(self) -> f32 {
        1.0 / (1.0 - self.p)
    }
}

impl Op for Dropout {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        if !(0.0..1.0).contains(&self.p) {
            return Err(format!("a share of {} cannot be dropped: at least 0, below 1", self.p));
        }
        match x {
            [x, seed] if !x.is_empty() && seed.dims() == [2] => Ok(*x),
            _ => Err("expected a tensor with an element and a seed [2]".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("dropout"), 2, WG as u32).param("len", x[0].len() / width);
            let kernel = if width == 4 { fours(kernel).import("numbers", "numbers_four") } else { kernel };
            let kernel = kernel.param("stream", mixed(self.stream)).param("threshold", self.threshold());
            kernel.param("scale", self.scale()).flat_groups((x[0].len() / width).div_ceil(WG * EACH))
        };
        widths(x[0].len()).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let drawn = self.draws([0, 1].map(|k| x[1].data[k].to_bits()));
        let factor = |i: usize| if drawn(i) >= self.threshold() { self.scale() } else { 0.0 };
        Tensor::from_fn(y, |i| x[0].data[i] * factor(i))
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        Some(vec![at.by(0, || at.dy.apply(*self, &[at.dy, at.x[1]])), None])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |p, stream, x: &[usize]| Case::new(Dropout { p, stream }, &[x, &[2]]).bound(1e-14);
    vec![
        case(0.2, 0, &[1, 16, 16, 64]),
        case(0.5, 7, &[3, 5, 37]).fill(Fill::NonFinite).planted_in(0),
        case(0.9, u32::MAX, &[40, 13]).fill(Fill::Outliers).planted_in(0),
        case(0.0, 1, &[257]),
        case(0.2, 2, &[1]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 1_000_000;

    /// Whether each of a million elements stays.
    fn kept(p: f32, seed: [u32; 2], stream: u32) -> Vec<bool> {
        let op = Dropout { p, stream };
        let drawn = op.draws(seed);
        (0..DRAWS).map(|i| drawn(i) >= op.threshold()).collect()
    }

    fn share(of: impl Iterator<Item = bool>) -> f64 {
        of.filter(|kept| *kept).count() as f64 / DRAWS as f64
    }

    /// Within five standard deviations of what fair draws would give.
    fn fair(found: f64, p: f64) -> bool {
        (found - p).abs() < 5.0 * (p * (1.0 - p) / DRAWS as f64).sqrt()
    }

    #[test]
    fn as_many_are_dropped_as_asked_for() {
        for (p, seed) in [(0.2, [0, 0]), (0.2, [1, 0]), (0.5, [0, 1]), (0.9, [u32::MAX, 70_000]), (0.01, [3, 3])] {
            let found = share(kept(p, seed, 0).into_iter());
            assert!(fair(found, 1.0 - f64::from(p)), "{found} of {p} by {seed:?}");
        }
        assert!(kept(0.0, [5, 6], 0).into_iter().all(|kept| kept));
    }

    #[test]
    fn neighbours_have_nothing_to_do_with_each_other() {
        let (p, both) = (0.2f32, 0.8 * 0.8 + 0.2 * 0.2);
        let first = kept(p, [41, 0], 0);
        let agree = |other: &[bool], by: usize| {
            share(first.iter().zip(other.iter().cycle().skip(by)).map(|(a, b)| a == b))
        };
        for other in [kept(p, [42, 0], 0), kept(p, [41, 1], 0), kept(p, [0, 41], 0), kept(p, [41, 0], 1)] {
            for by in [0, 1, 2, 64] {
                assert!(fair(agree(&other, by), both), "{}, {by} apart", agree(&other, by));
            }
        }
        for by in [1, 2, 3, 4, 8, 16, 64, 128, 1024, 4096, 65_536] {
            assert!(fair(agree(&first, by), both), "{} of elements {by} apart", agree(&first, by));
        }
    }

    /// One bit of what is mixed changes each bit of the result as often as not.
    #[test]
    fn bits_spread() {
        for bit in 0..32 {
            let mut changed = [0u32; 32];
            (0..20_000u32).for_each(|v| {
                let difference = mixed(v) ^ mixed(v ^ (1 << bit));
                changed.iter_mut().enumerate().for_each(|(k, n)| *n += difference >> k & 1);
            });
            // 10,000 each, with a deviation of 71.
            assert!(changed.iter().all(|n| (9_500..10_500).contains(n)), "bit {bit}: {changed:?}");
        }
    }

    #[test]
    fn what_stays_is_made_larger_and_bits_are_the_seed() {
        let x = Tensor::from_fn([1000], |_| 1.0);
        let op = Dropout { p: 0.75, stream: 0 };
        let by = |bits: [u32; 2]| op.reference(&[&x, &Tensor::new([2], bits.map(f32::from_bits).to_vec())], x.shape).data;
        assert!(by([1, 2]).iter().all(|v| [0.0, 4.0].contains(v)));
        assert_ne!(by([1, 2]), by([1, 3]));
        assert_ne!(by([0x7fc0_0001, 2]), by([0x7fc0_0002, 2]));
        assert!(op.infer(&[x.shape, Shape::from([1])]).is_err());
        for p in [-0.1, 1.0, f32::NAN] {
            assert!(Dropout { p, stream: 0 }.infer(&[x.shape, Shape::from([2])]).unwrap_err().contains("cannot be dropped"));
        }
    }
}
