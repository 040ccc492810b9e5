//! Exact quantiles of any number of values: the keys of the two ranks that a quantile lies between are found eight bits at a time, by
//! histograms of parts of a row. Nothing is sorted, nothing left out.

use crate::engine::{Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::sync::Arc;

/// Inputs: rows `[r, len]` and keys `[r, 4]`. Output `[r, parts, 513]`, whole numbers of 32 bits: how often each value of the digit occurs in
/// a part among elements that begin as the lower key does, as the upper key does where that is another, and how many are NaN.
///
/// Keys are bits of 32: those of the lower rank, the rank among what begins so, and the same of the upper one. Larger numbers have larger
/// keys.
#[derive(Debug)]
struct Counts {
    /// From the top, 0 to 3.
    digit: u32,
}

/// Inputs: counts `[r, parts, 513]` and keys `[r, 4]`. Output: keys with one more digit. A row with NaN gets that of NaN.
#[derive(Debug)]
struct Narrow {
    digit: u32,
}

/// Whole keys `[r, 4]` to `[r]`, numbers between the lower and the upper one.
#[derive(Debug)]
struct Between {
    weight: f32,
}

impl<'g> Var<'g> {
    /// The `q`-quantile along the last axis, which goes: between the two values around rank `q (len - 1)`, as PyTorch's `quantile` has it,
    /// the rank in f32 as well where it goes that far (2^24 elements). NaN if there is one; no gradient goes through it.
    pub fn quantile(self, q: f64) -> Var<'g> {
        let x = self.shape();
        let (rows, len) = x.rows();
        if !(0.0..=1.0).contains(&q) || x.rank() == 0 {
            return self.view("quantile", Err(format!("expected a share between 0 and 1 and an axis, not {q} of {x}")), 0, None);
        }
        let (ranks, weight) = ranks(q, len.max(1));
        let [low, high] = ranks.map(f32::from_bits);
        let start = Tensor::from_fn([rows, 4], |i| [0.0, low, 0.0, high][i % 4]);
        let name = format!("quantile.{rows}x{}x{}", ranks[0], ranks[1]);
        let (matrix, mut keys) = (self.reshape([rows, len]), self.graph().weight(&name, Arc::new(start)));
        for digit in 0..4 {
            let counts = matrix.apply(Counts { digit }, &[matrix, keys]);
            keys = counts.apply(Narrow { digit }, &[counts, keys]);
        }
        keys.apply(Between { weight }, &[keys]).reshape(Shape::new(&x.dims()[..x.rank() - 1]))
    }
}

const WG: usize = 256;
const BINS: usize = 513;
/// The key of NaN.
const NAN: u32 = u32::MAX;

/// The ranks that the quantile lies between, and the weight of the upper one.
fn ranks(q: f64, len: usize) -> ([u32; 2], f32) {
    let last = (len - 1) as f64;
    let rank = if len <= 1 << 24 { f64::from(q as f32 * last as f32) } else { q * last };
    let rank = rank.min(last);
    ([rank.floor() as u32, rank.ceil() as u32], (rank - rank.floor()) as f32)
}

fn key(v: f32) -> u32 {
    let bits = v.to_bits();
    bits ^ if bits >> 31 == 1 { u32::MAX } else { 1 << 31 }
}

fn number(key: u32) -> f32 {
    f32::from_bits(key ^ if key >> 31 == 1 { 1 << 31 } else { u32::MAX })
}

fn shift(digit: u32) -> u32 {
    24 - 8 * digit
}

/// The bits that keys begin with before that digit.
fn mask(digit: u32) -> u32 {
    u32::MAX.checked_shl(32 - 8 * digit).unwrap_or(0)
}

/// Elements that one workgroup counts, and how many workgroups a row has: few enough for one to add them up.
fn parts(len: usize) -> [usize; 2] {
    let part = len.div_ceil(1024).max(4096).next_multiple_of(WG);
    [part, len.div_ceil(part)]
}

impl Op for Counts {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x, keys] if x.rank() == 2 && !x.is_empty() && keys.dims() == [x.dim(0), 4] && self.digit < 4 => {
                Ok(Shape::from([x.dim(0), parts(x.dim(1))[1], BINS]))
            }
            _ => Err("expected rows [r, len] and keys [r, 4]".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let (rows, len) = x[0].rows();
        let [part, parts] = parts(len);
        let kernel = Kernel::new(shader!("quantile_counts"), 2, WG as u32).param("rows", rows).param("parts", parts);
        let kernel = kernel.param("part", part).param("length", len).param("mask", mask(self.digit));
        let kernel = kernel.param("shift", shift(self.digit)).shared(4 * BINS as u32);
        vec![kernel.iterations(part / WG + 2 * BINS.div_ceil(WG)).flat_groups(rows * parts)]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (len, [part, _]) = (x[0].shape.dim(1), parts(x[0].shape.dim(1)));
        let mut out = Tensor::zeros(y);
        let both = x[0].data.chunks(len).zip(x[1].data.chunks(4));
        let parts = both.flat_map(|(row, keys)| row.chunks(part).map(move |part| (part, keys)));
        for ((part, keys), out) in parts.zip(out.data.chunks_mut(BINS)) {
            let [low, high] = [keys[0].to_bits(), keys[2].to_bits()];
            let mut bins = [0u32; BINS];
            for &v in part {
                let (k, begins) = (key(v), |as_of: u32| (key(v) ^ as_of) & mask(self.digit) == 0);
                let digit = (k >> shift(self.digit) & 255) as usize;
                bins[512] += u32::from(v.is_nan());
                bins[digit] += u32::from(!v.is_nan() && begins(low));
                bins[256 + digit] += u32::from(!v.is_nan() && high != low && begins(high));
            }
            out.iter_mut().zip(bins).for_each(|(out, n)| *out = f32::from_bits(n));
        }
        out
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

impl Op for Narrow {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [counts, keys] if counts.rank() == 3 && !counts.is_empty() && counts.dim(2) == BINS && self.digit < 4 => {
                let fits = keys.dims() == [counts.dim(0), 4];
                fits.then_some(*keys).ok_or("expected keys [r, 4]".into())
            }
            _ => Err("expected counts [r, parts, 513]".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let [rows, parts] = [x[0].dim(0), x[0].dim(1)];
        let kernel = Kernel::new(shader!("quantile_narrow"), 2, WG as u32).param("rows", rows).param("parts", parts);
        let kernel = kernel.param("shift", shift(self.digit)).shared(4 * BINS as u32);
        vec![kernel.iterations(BINS.div_ceil(WG) * (1 + parts) + 256).flat_groups(rows)]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let rows = x[0].data.chunks(x[0].shape.dim(1) * BINS).zip(x[1].data.chunks(4));
        let keys = rows.flat_map(|(counts, keys)| {
            let bin = |b: usize| counts.iter().skip(b).step_by(BINS).fold(0u32, |n, v| n.wrapping_add(v.to_bits()));
            let keys: Vec<u32> = keys.iter().map(|v| v.to_bits()).collect();
            let narrowed = |[key, rank]: [u32; 2], start: usize| {
                let (mut left, mut digit) = (rank, None);
                for b in 0..256u32 {
                    let count = bin(start + b as usize);
                    match digit {
                        None if left < count => digit = Some(b),
                        None => left -= count,
                        Some(_) => {}
                    }
                }
                let found = key | digit.unwrap_or(255) << shift(self.digit);
                [if bin(512) > 0 { NAN } else { found }, left]
            };
            let upper = if keys[0] == keys[2] { 0 } else { 256 };
            [narrowed([keys[0], keys[1]], 0), narrowed([keys[2], keys[3]], upper)].concat()
        });
        Tensor::new(y, keys.map(f32::from_bits).collect())
    }
}

impl Op for Between {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [keys] if keys.rank() == 2 && keys.dim(1) == 4 && !keys.is_empty() => Ok(Shape::from([keys.dim(0)])),
            _ => Err("expected keys [r, 4]".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let rows = x[0].dim(0);
        let kernel = Kernel::new(shader!("quantile_between"), 1, 64).param("rows", rows).param("weight", self.weight);
        vec![kernel.flat_groups(rows.div_ceil(64))]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let between = |keys: &[f32]| {
            let [low, high] = [keys[0], keys[2]].map(|k| f64::from(number(k.to_bits())));
            let weight = f64::from(self.weight);
            match weight {
                _ if low == high || weight == 0.0 => low as f32,
                _ if weight < 0.5 => (low + weight * (high - low)) as f32,
                _ => (high - (high - low) * (1.0 - weight)) as f32,
            }
        };
        Tensor::new(y, x[0].data.chunks(4).map(between).collect())
    }
}

/// Cases of the sweep. Uniform noise begins with few values of the first digit, and as a key with some of them.
pub fn cases() -> Vec<Case> {
    let counts = |digit, x: &[usize]| Case::new(Counts { digit }, &[x, &[x[0], 4]]).bound(0.0);
    let narrow = |digit, r, parts| Case::new(Narrow { digit }, &[&[r, parts, BINS], &[r, 4]]).bound(0.0);
    vec![
        counts(0, &[1, 1]),
        counts(0, &[3, 5000]).fill(Fill::NonFinite).planted_in(0),
        counts(1, &[5, 4097]),
        counts(2, &[2, 300]).fill(Fill::Words),
        counts(3, &[7, 777]).fill(Fill::Words),
        narrow(0, 24, 1).fill(Fill::Words),
        narrow(1, 40, 3).fill(Fill::Words),
        narrow(2, 5, 2),
        narrow(3, 9, 1).fill(Fill::Words),
        Case::new(Between { weight: 0.25 }, &[&[70, 4]]).bound(1e-13),
        Case::new(Between { weight: 0.75 }, &[&[3, 4]]).fill(Fill::NonFinite),
        Case::new(Between { weight: 0.0 }, &[&[65, 4]]).bound(0.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Graph;

    fn of(x: &Tensor, q: f64) -> Vec<f32> {
        let graph = Graph::new();
        let y = graph.input("x", x.shape).quantile(q);
        graph.eval(&[y], &[x]).unwrap().remove(0).data
    }

    #[test]
    fn keys_keep_the_order_of_numbers() {
        let inf = f32::INFINITY;
        let sorted = [-inf, -3e38, -1.0, -1e-40, -0.0, 0.0, 1e-40, 1e-38, 1.0, 3e38, inf];
        assert!(sorted.windows(2).all(|w| key(w[0]) < key(w[1])));
        assert!(sorted.iter().all(|&v| number(key(v)).to_bits() == v.to_bits()));
        assert!(number(NAN).is_nan() && key(inf) < NAN);
        assert_eq!([0, 1, 2, 3].map(mask), [0, 0xff00_0000, 0xffff_0000, 0xffff_ff00]);
    }

    #[test]
    fn by_hand() {
        let inf = f32::INFINITY;
        let x = Tensor::new([4, 3], vec![3.0, -1.0, 1.0, 2.0, 2.0, 2.0, inf, inf, inf, 0.0, f32::NAN, 1.0]);
        let same = |got: Vec<f32>, want: [f32; 3]| assert!(got[..3] == want && got[3].is_nan(), "{got:?} {want:?}");
        same(of(&x, 0.0), [-1.0, 2.0, inf]);
        same(of(&x, 0.25), [0.0, 2.0, inf]);
        same(of(&x, 0.5), [1.0, 2.0, inf]);
        same(of(&x, 0.75), [2.0, 2.0, inf]);
        same(of(&x, 1.0), [3.0, 2.0, inf]);
    }

    #[test]
    fn what_is_no_quantile_is_told() {
        for q in [-0.1, 1.1, f64::NAN] {
            let graph = Graph::new();
            let _ = graph.input("x", [2, 3]).quantile(q);
            assert!(graph.nodes().unwrap_err().to_string().contains("between 0 and 1"));
        }
        let graph = Graph::new();
        let _ = graph.input("x", [2, 0]).quantile(0.5);
        assert!(graph.nodes().is_err());
    }

    #[test]
    fn a_hundred_million_values_stay_within_the_loop_trips() {
        let [part, parts] = parts(100_000_000);
        assert!(parts <= 1024 && part * parts >= 100_000_000);
        let x = [Shape::from([1, 100_000_000]), Shape::from([1, 4])];
        let op = Counts { digit: 0 };
        let kernel = &op.kernels(&x, op.infer(&x).unwrap(), &Caps::BASE)[0];
        assert!(kernel.portable() && kernel.iterations < 60_000);
        assert_eq!(ranks(0.5, 100_000_001).0, [50_000_000; 2]);
    }
}
