//! Cases of convolution: odd shapes around every tile edge.

use super::{Conv2d, Window};
use crate::engine::Activation;
use crate::ops::epilogue::Epilogue;
use crate::ops::{Case, Fill, Pad};

/// Cases of convolution itself.
pub(super) fn cases() -> Vec<Case> {
    let plain = |stride: usize, pad: usize| Window { stride: [stride; 2], pad: Pad::from(pad), groups: 1 };
    let alone = |groups: usize, stride: usize, pad: usize| Window { groups, ..plain(stride, pad) };
    let same = |groups: usize, stride: usize, [before, after]: [usize; 2]| {
        let pad = Pad { top: before, left: before, bottom: after, right: after };
        Window { groups, stride: [stride; 2], pad }
    };
    let lopsided = Pad { top: 0, left: 2, bottom: 3, right: 1 };
    vec![
        case(plain(1, 0), [false; 3], &[1, 1, 1, 1], &[1, 1, 1, 1]),
        case(plain(1, 1), [true, true, true], &[2, 9, 11, 8], &[36, 8, 3, 3]),
        case(plain(2, 3), [true, false, true], &[2, 17, 19, 3], &[20, 3, 7, 7]).fill(Fill::Outliers),
        case(plain(2, 1), [true, false, false], &[1, 13, 10, 33], &[66, 33, 3, 3]).fill(Fill::Outliers),
        case(plain(1, 0), [false, true, false], &[3, 7, 5, 70], &[64, 70, 1, 1]).fill(Fill::Outliers),
        case(plain(2, 0), [true, true, true], &[1, 15, 15, 16], &[132, 16, 1, 1]),
        case(Window { stride: [2, 1], pad: lopsided, groups: 1 }, [true, true, true], &[2, 8, 12, 6], &[10, 6, 5, 2]),
        case(plain(1, 1), [true, true, true], &[1, 12, 12, 12], &[28, 12, 3, 3]).fill(Fill::NonFinite).spreads(BORDER),
        case(plain(1, 1), [true, true, true], &[1, 12, 12, 12], &[28, 12, 3, 3]).fill(Fill::NonFinite).planted_in(0),
        case(plain(2, 1), [true, false, true], &[1, 9, 8, 2], &[10, 2, 3, 3]).fill(Fill::NonFinite).planted_in(0),
        case(Window { groups: 3, ..plain(1, 1) }, [true, false, true], &[2, 6, 7, 12], &[15, 4, 3, 3]),
        case(Window { groups: 10, ..plain(2, 1) }, [true, true, false], &[1, 9, 9, 10], &[10, 1, 3, 3]),
        case(plain(16, 0), [true, false, false], &[2, 48, 65, 3], &[36, 3, 16, 16]).fill(Fill::Outliers),
        case(plain(1, 4), [false, false, true], &[1, 2, 3, 4], &[8, 4, 5, 5]),
        case(plain(1, 0), [true, false, false], &[1, 2, 2, 600], &[1000, 600, 1, 1]),
        // Sums in parts: of whole taps, of a part of one, whose last channels are no whole step, and of numbers that are not finite.
        case(plain(1, 1), [true, true, true], &[3, 7, 7, 48], &[72, 48, 3, 3]).fill(Fill::Outliers),
        case(plain(2, 1), [true, false, true], &[2, 14, 13, 100], &[68, 100, 3, 3]),
        case(plain(1, 0), [false, true, true], &[2, 5, 6, 256], &[36, 256, 1, 1]).fill(Fill::NonFinite),
        // Every channel by itself: windows of 3 and 5, strides 1 and 2, pads as TensorFlow's SAME gives them, and lopsided ones.
        case(alone(1, 1, 1), [true, false, true], &[2, 9, 11, 1], &[1, 1, 3, 3]).fill(Fill::Outliers),
        case(alone(36, 1, 1), [true, true, true], &[2, 9, 13, 36], &[36, 1, 3, 3]).fill(Fill::Outliers),
        case(alone(97, 2, 0), [true, false, false], &[1, 13, 10, 97], &[97, 1, 3, 3]),
        case(alone(20, 1, 2), [false, true, true], &[3, 7, 5, 20], &[20, 1, 5, 5]).fill(Fill::NonFinite).planted_in(0),
        case(alone(33, 2, 2), [true, false, true], &[2, 17, 15, 33], &[33, 1, 5, 5]).fill(Fill::Outliers),
        case(same(24, 2, [1, 2]), [true, true, false], &[1, 16, 18, 24], &[24, 1, 5, 5]),
        case(same(10, 2, [0, 1]), [true, false, true], &[2, 8, 14, 10], &[10, 1, 3, 3]),
        case(Window { stride: [2, 1], pad: lopsided, groups: 6 }, [true; 3], &[2, 8, 12, 6], &[6, 1, 5, 2]),
        case(alone(8, 1, 1), [true; 3], &[1, 12, 12, 8], &[8, 1, 3, 3]).fill(Fill::NonFinite).spreads(BORDER),
        // Several rows and columns of the largest tiles, all ragged: a whole sum and one in parts.
        case(plain(1, 0), [true, true, true], &[2, 12, 13, 20], &[140, 20, 1, 1]),
        case(plain(1, 1), [true, false, true], &[1, 13, 12, 8], &[140, 8, 3, 3]).fill(Fill::Outliers),
        // Without an epilogue, as gradients meet them: phases of all strides, windows that end short of the picture, and such that begin
        // and end in its padding.
        case(plain(1, 0), [false; 3], &[2, 9, 7, 5], &[6, 5, 4, 4]),
        case(plain(1, 2), [false; 3], &[1, 7, 8, 4], &[5, 4, 4, 4]),
        case(plain(2, 1), [false; 3], &[2, 9, 12, 4], &[8, 4, 3, 3]),
        case(plain(2, 1), [false; 3], &[1, 11, 10, 3], &[6, 3, 4, 4]),
        case(plain(2, 0), [false; 3], &[2, 8, 9, 12], &[7, 12, 1, 1]),
        case(plain(3, 2), [false; 3], &[1, 12, 13, 3], &[4, 3, 2, 2]),
        case(plain(16, 0), [false; 3], &[2, 48, 35, 3], &[8, 3, 16, 16]),
        case(Window { stride: [2, 1], pad: lopsided, groups: 1 }, [false; 3], &[2, 8, 12, 6], &[10, 6, 5, 2]),
        case(Window { groups: 3, ..plain(2, 1) }, [false; 3], &[2, 6, 9, 12], &[15, 4, 3, 3]),
        case(alone(12, 1, 1), [false; 3], &[1, 9, 10, 12], &[12, 1, 3, 3]),
        case(alone(10, 2, 2), [false; 3], &[2, 8, 9, 10], &[10, 1, 5, 5]),
        // With a slope, as gradients meet them.
        sloped(plain(1, 2), Activation::Relu, &[2, 9, 7, 8], &[36, 8, 3, 3]).fill(Fill::Outliers),
        sloped(plain(1, 3), Activation::Relu, &[1, 12, 11, 12], &[6, 12, 4, 4]).fill(Fill::NonFinite).planted_in(2),
        sloped(plain(1, 0), Activation::Relu6, &[2, 5, 6, 256], &[36, 256, 1, 1]).fill(Fill::Outliers),
        sloped(plain(1, 1), Activation::Gelu, &[1, 13, 12, 8], &[20, 8, 3, 3]),
        sloped(alone(12, 1, 1), Activation::QuickGelu, &[1, 9, 10, 12], &[12, 1, 3, 3]),
    ]
}

/// Why a weight that is not finite reaches outputs at the border that the reference keeps finite.
const BORDER: &str = "kernels multiply the zeros around a picture by weights, which the reference leaves out: 0 times inf is NaN";

/// A case whose output is multiplied by a slope.
fn sloped(window: Window, activation: Activation, x: &[usize], weight: &[usize]) -> Case {
    use crate::engine::Op;
    let op = Conv2d { window, epilogue: Epilogue::NONE };
    let y = op.infer(&[x.into(), weight.into()]).unwrap_or([1].into());
    Case::new(Conv2d { epilogue: Epilogue::sloped(activation), ..op }, &[x, weight, y.dims()]).bound(1e-10)
}

/// A case with bias, residual, ReLU or without.
fn case(window: Window, what @ [bias, add, _]: [bool; 3], x: &[usize], weight: &[usize]) -> Case {
    use crate::engine::Op;
    let bare = Conv2d { window, epilogue: Epilogue::NONE };
    let y = bare.infer(&[x.into(), weight.into()]).unwrap_or([1].into());
    let co = [weight[0]];
    let mut inputs = vec![x, weight];
    inputs.extend(bias.then_some(&co[..]));
    inputs.extend(add.then_some(y.dims()));
    Case::new(Conv2d { window, epilogue: Epilogue::of(what) }, &inputs).bound(1e-10)
}
