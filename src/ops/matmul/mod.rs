//! Matrix product, batched, either side transposed; bias, residual and ReLU in the epilogue.

mod back;
mod cases;
mod kernels;
mod parts;

pub use cases::cases;

use crate::engine::{Backward, Caps, Family, Finish, Kernel, Op, Var};
use crate::ops::epilogue::Epilogue;
use crate::tensor::{Shape, Tensor};
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

/// Inputs: a `[m, k]` or `[b, m, k]` (`[.., k, m]` where transposed), b `[k, n]`, or one per batch, or transposed; then bias
/// `[n]` and residual of the output's shape where they are there. Output `[m, n]` or `[b, m, n]`.
#[derive(Clone, Copy, Default)]
pub struct Matmul {
    transpose_a: bool,
    transpose_b: bool,
    epilogue: Epilogue,
}

impl fmt::Debug for Matmul {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut text = f.debug_struct("Matmul");
        text.field("transpose_a", &self.transpose_a).field("transpose_b", &self.transpose_b);
        self.epilogue.fields(&mut text).finish()
    }
}

impl<'g> Var<'g> {
    /// `self x b`.
    pub fn matmul(self, b: Var<'g>) -> Var<'g> {
        self.apply(Matmul::default(), &[self, b])
    }

    /// `self x transpose(b)`: what a linear layer does with its weight `[out, in]`.
    pub fn matmul_t(self, b: Var<'g>) -> Var<'g> {
        self.apply(Matmul { transpose_b: true, ..Matmul::default() }, &[self, b])
    }

    /// `transpose(self) x b`.
    pub fn t_matmul(self, b: Var<'g>) -> Var<'g> {
        self.apply(Matmul { transpose_a: true, ..Matmul::default() }, &[self, b])
    }
}

/// Sizes of one product; a plain one has a batch of 1, `b_batched` says whether b has one matrix per batch.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    plain: bool,
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    b_batched: bool,
}

impl Matmul {
    fn sizes(&self, a: Shape, b: Shape) -> Result<Sizes, String> {
        let matrix = |s: Shape, swap: bool| match (s.dims(), swap) {
            (&[r, c], false) | (&[c, r], true) => Some((None, r, c)),
            (&[n, r, c], false) | (&[n, c, r], true) => Some((Some(n), r, c)),
            _ => None,
        };
        let wrong = || "expected two matrices, or two batches of them".to_string();
        let (batch, m, k) = matrix(a, self.transpose_a).ok_or_else(wrong)?;
        let (b_batch, k_b, n) = matrix(b, self.transpose_b).ok_or_else(wrong)?;
        if k != k_b || m * n * k == 0 || b_batch.is_some_and(|b| Some(b) != batch) {
            return Err(format!("{a} and {b} cannot be multiplied"));
        }
        Ok(Sizes { plain: batch.is_none(), batch: batch.unwrap_or(1), m, n, k, b_batched: b_batch.is_some() })
    }

    /// Steps of a along (m, k) and of b along (k, n).
    fn strides(&self, s: &Sizes) -> [usize; 4] {
        let [a_m, a_k] = if self.transpose_a { [1, s.m] } else { [s.k, 1] };
        let [b_k, b_n] = if self.transpose_b { [1, s.k] } else { [s.n, 1] };
        [a_m, a_k, b_k, b_n]
    }
}

impl Matmul {
    /// The output if only these k are summed.
    fn sums(&self, x: &[&Tensor], y: Shape, k: Range<usize>) -> Tensor {
        let Ok(s) = self.sizes(x[0].shape, x[1].shape) else { return Tensor::zeros(y) };
        let [a_m, a_k, b_k, b_n] = self.strides(&s);
        Tensor::from_fn(y, |i| {
            let (batch, row, column) = (i / s.n / s.m, i / s.n % s.m, i % s.n);
            let a = &x[0].data[batch * s.m * s.k + row * a_m..];
            let b = &x[1].data[if s.b_batched { batch * s.k * s.n } else { 0 } + column * b_n..];
            let sum = (k.start.min(s.k)..k.end.min(s.k)).map(|k| f64::from(a[k * a_k]) * f64::from(b[k * b_k])).sum();
            self.epilogue.finished(sum, &x[2..], [column, i])
        })
    }
}

impl Op for Matmul {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [a, b, rest @ ..] = x else { return Err("expected two matrices".into()) };
        let s = self.sizes(*a, *b)?;
        let y = if a.rank() == 2 { Shape::from([s.m, s.n]) } else { Shape::from([s.batch, s.m, s.n]) };
        self.epilogue.check(rest, y).map(|()| y)
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let Ok(s) = self.sizes(x[0], x[1]) else { return vec![] };
        let (software, gpu) = (kernels::software(self, &s, caps), kernels::gemm(self, &s, caps));
        let mut all = match caps.family {
            Family::Software => [software, gpu].concat(),
            Family::Gpu => [gpu, software].concat(),
        };
        all.push(kernels::direct(self, &s));
        all
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        self.sums(x, y, 0..usize::MAX)
    }

    fn fuse(&self, finish: Finish) -> Option<Rc<dyn Op>> {
        Some(Rc::new(Matmul { epilogue: self.epilogue.then(finish)?, ..*self }))
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        self.back(at)
    }

    fn flops(&self, x: &[Shape], y: Shape) -> u64 {
        self.sizes(x[0], x[1]).map_or(0, |s| 2 * (y.len() * s.k) as u64)
    }
}
