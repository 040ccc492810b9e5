//! Cases of the matrix product: odd shapes around every tile edge.

use super::Matmul;
use crate::engine::{Activation, Op};
use crate::ops::epilogue::Epilogue;
use crate::ops::{Case, Fill};

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let plain = Matmul::default();
    let then = |op: Matmul, what: [bool; 3]| Matmul { epilogue: Epilogue::of(what), ..op };
    let linear = then(Matmul { transpose_b: true, ..plain }, [true, false, false]);
    let sloped = |a| Matmul { epilogue: Epilogue::sloped(a), ..plain };
    let both = Matmul { transpose_a: true, transpose_b: true, ..plain };
    vec![
        case(plain, &[1, 1], &[1, 1]),
        case(plain, &[64, 64], &[64, 64]),
        case(plain, &[65, 63], &[63, 132]).fill(Fill::Outliers),
        case(linear, &[1, 512], &[1000, 512]),
        case(then(linear, [true; 3]), &[33, 30], &[36, 30]).fill(Fill::Outliers),
        case(Matmul { transpose_a: true, ..plain }, &[70, 17], &[70, 20]),
        case(both, &[2, 9, 13], &[2, 24, 9]),
        case(plain, &[3, 7, 18], &[3, 18, 40]),
        case(then(plain, [true, false, true]), &[3, 50, 12], &[12, 68]),
        case(then(plain, [false, false, true]), &[20, 37], &[37, 28]).fill(Fill::NonFinite),
        case(then(plain, [false, true, false]), &[9000, 5], &[5, 8]),
        case(linear, &[5, 130], &[7, 130]),
        // Sums in parts.
        case(then(linear, [true; 3]), &[35, 1024], &[100, 1024]).fill(Fill::Outliers),
        case(then(plain, [true, false, false]), &[3, 40, 316], &[316, 36]),
        case(then(both, [false, true, false]), &[2, 320, 9], &[2, 24, 320]).fill(Fill::NonFinite),
        // Several rows and columns of the largest tiles, all ragged: whole sums and ones in parts.
        case(then(plain, [true, false, true]), &[300, 40], &[40, 140]),
        case(Matmul { transpose_b: true, ..plain }, &[2, 150, 125], &[2, 140, 125]).fill(Fill::Outliers),
        // With a slope, as gradients meet them.
        case(sloped(Activation::Relu), &[33, 30], &[30, 36]).fill(Fill::Outliers),
        case(sloped(Activation::Relu6), &[5, 130], &[130, 7]),
        case(sloped(Activation::Gelu), &[35, 1024], &[1024, 100]),
        case(sloped(Activation::QuickGelu), &[3, 50, 12], &[12, 68]).fill(Fill::NonFinite).planted_in(2),
    ]
}

fn case(op: Matmul, a: &[usize], b: &[usize]) -> Case {
    let y = Matmul { epilogue: Epilogue::NONE, ..op }.infer(&[a.into(), b.into()]).unwrap_or([1].into());
    let n = [y.last()];
    let mut inputs = vec![a, b];
    inputs.extend(op.epilogue.bias.then_some(&n[..]));
    inputs.extend(op.epilogue.reads_other().then_some(y.dims()));
    Case::new(op, &inputs).bound(1e-10)
}
