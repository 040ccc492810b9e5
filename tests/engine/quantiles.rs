//! Quantiles on the device against sorted values: lengths around parts, ties, infinities and NaN, bit for bit at whole ranks. `LUPE_NO_GPU=1`
//! leaves the device out visibly.

use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use lupe::engine::{Graph, Options, Plan, Store};
use lupe::random;
use lupe::tensor::Tensor;

/// Whether `got` lies where it should between the values around that rank of a sorted row.
fn right(row: &[f32], q: f64, got: f32) -> bool {
    if row.iter().any(|v| v.is_nan()) {
        return got.is_nan();
    }
    let rank = q as f32 * (row.len() - 1) as f32;
    let [low, high] = [rank.floor(), rank.ceil()].map(|r| row[r as usize]);
    let want = f64::from(low) + f64::from(rank - rank.floor()) * (f64::from(high) - f64::from(low));
    match low == high || rank == rank.floor() {
        true => got == low,
        // Between infinities, or beside one, a number may be none.
        false if low.is_infinite() || high.is_infinite() => !got.is_finite(),
        false => (f64::from(got) - want).abs() <= 2e-7 * f64::from(low.abs().max(high.abs())),
    }
}

/// Rows of several kinds: of any exponent, with many ties, nearly all one value, infinite here and there, with one NaN.
fn rows(len: usize) -> Tensor {
    let draw = |i: usize| random::draw("quantile rows", (len << 32 | i) as u64);
    Tensor::from_fn([5, len], |i| {
        let (z, row) = (draw(i), i / len);
        let uniform = (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        match row {
            0 => uniform * 2f32.powi((z & 63) as i32 - 32),
            1 => (uniform * 4.0).round(),
            2 if z % 50 > 0 => 0.25,
            3 if z.is_multiple_of(9) => f32::INFINITY.copysign(uniform),
            4 if i % len == z as usize % len / 2 => f32::NAN,
            _ => uniform,
        }
    })
}

#[test]
fn quantiles_are_those_of_sorted_values() {
    if without_device("quantiles_are_those_of_sorted_values") {
        return;
    }
    for len in [1, 2, 3, 255, 256, 257, 4095, 4096, 4097, 8192, 20_001, 300_000] {
        let (x, graph) = (rows(len), Graph::new());
        let levels = [0.0, 1e-4, 0.25, 0.5, 0.9, 0.999, 1.0];
        let outputs = levels.map(|q| graph.input("x", x.shape).quantile(q));
        let given = levels.map(|_| &x);
        let plan = pollster::block_on(Plan::new(gpu(), &graph, &outputs, &Store::new(), Options::default())).unwrap();
        let found = pollster::block_on(plan.run(&given)).unwrap();
        let mut sorted: Vec<Vec<f32>> = x.data.chunks(len).map(<[f32]>::to_vec).collect();
        sorted.iter_mut().for_each(|row| row.sort_by(f32::total_cmp));
        for (q, found) in levels.iter().zip(found) {
            assert_eq!(found.shape.dims(), [5]);
            for (r, (&got, row)) in found.data.iter().zip(&sorted).enumerate() {
                assert!(right(row, *q, got), "{q} of row {r} of {len}: {got}");
            }
        }
    }
}
