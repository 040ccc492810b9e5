//! Cases of gradients by weights: odd shapes around every tile edge, and sums in parts.

use super::{Conv2dDw, LinearDw};
use crate::engine::Op;
use crate::ops::conv::{Conv2d, Window};
use crate::ops::epilogue::Epilogue;
use crate::ops::{Case, Fill, Pad};
use crate::tensor::Shape;

/// Cases of the sweep.
pub(in super::super) fn cases() -> Vec<Case> {
    let plain = |stride: usize, pad: usize| Window { stride: [stride; 2], pad: Pad::from(pad), groups: 1 };
    let groups = |groups: usize, stride: usize, pad: usize| Window { groups, ..plain(stride, pad) };
    let lopsided = Pad { top: 0, left: 2, bottom: 3, right: 1 };
    vec![
        of(plain(1, 0), &[1, 1, 1, 1], &[1, 1, 1, 1]),
        of(plain(1, 1), &[2, 9, 11, 8], &[36, 8, 3, 3]),
        of(plain(2, 3), &[2, 17, 19, 3], &[20, 3, 7, 7]),
        of(plain(2, 1), &[1, 13, 10, 33], &[66, 33, 3, 3]),
        of(plain(1, 0), &[3, 7, 5, 70], &[64, 70, 1, 1]),
        of(plain(2, 0), &[1, 15, 15, 16], &[132, 16, 1, 1]),
        of(Window { stride: [2, 1], pad: lopsided, groups: 1 }, &[2, 8, 12, 6], &[10, 6, 5, 2]),
        of(plain(1, 1), &[1, 12, 12, 12], &[28, 12, 3, 3]).fill(Fill::NonFinite).spreads(BORDER),
        of(plain(1, 0), &[1, 12, 12, 12], &[28, 12, 3, 3]).fill(Fill::NonFinite).planted_in(1),
        of(plain(1, 1), &[1, 9, 13, 10], &[9, 10, 3, 3]).fill(Fill::NonFinite).planted_in(0),
        of(plain(16, 0), &[2, 48, 65, 3], &[36, 3, 16, 16]),
        of(plain(1, 4), &[1, 2, 3, 4], &[8, 4, 5, 5]),
        // The first layer of a network on pictures, and parts: of few outputs, of a last one that is short, of narrow pictures.
        of(plain(1, 0), &[1, 40, 37, 3], &[32, 3, 4, 4]),
        of(plain(1, 0), &[3, 61, 67, 4], &[8, 4, 2, 2]),
        of(plain(1, 1), &[2, 4200, 2, 5], &[3, 5, 3, 3]),
        of(groups(3, 1, 1), &[2, 6, 7, 12], &[15, 4, 3, 3]),
        of(groups(10, 2, 1), &[1, 9, 9, 10], &[10, 1, 3, 3]).fill(Fill::NonFinite).planted_in(0),
        of(groups(36, 1, 1), &[2, 29, 23, 36], &[36, 1, 3, 3]),
        // Several rows and columns of the largest tiles, all ragged.
        of(plain(1, 0), &[2, 12, 13, 140], &[140, 140, 1, 1]),
        of(plain(1, 1), &[1, 13, 12, 20], &[140, 20, 3, 3]),
        rows(&[1], 1, 1),
        rows(&[197], 40, 36),
        rows(&[3, 50], 12, 68),
        rows(&[5, 130], 7, 131).fill(Fill::NonFinite),
        rows(&[17_000], 5, 8),
    ]
}

/// Why what is not finite reaches weights that the reference keeps finite.
const BORDER: &str =
    "kernels multiply the zeros around a picture by dy, which the reference leaves out: 0 times inf is NaN";

fn of(window: Window, x: &[usize], weight: &[usize]) -> Case {
    let shapes = [x.into(), weight.into()];
    let y = Conv2d { window, epilogue: Epilogue::NONE }.infer(&shapes).unwrap_or(Shape::from([1]));
    Case::new(Conv2dDw { window, kernel: [weight[2], weight[3]] }, &[x, y.dims()]).bound(1e-10)
}

fn rows(outer: &[usize], i: usize, o: usize) -> Case {
    let (x, dy) = ([outer, &[i]].concat(), [outer, &[o]].concat());
    Case::new(LinearDw, &[&x, &dy]).bound(1e-10)
}
