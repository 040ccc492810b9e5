//! Optimisers: what a gradient makes of a state, in place. A state is `[1 + slots, n]`: weights first, then what is kept of each of them.

use crate::engine::{Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: state `[3, n]` (weights, means of the gradient, means of its square), gradient of n elements, and eight numbers: learning rate,
/// beta1, beta2, epsilon, decay, 1 - beta1^t, sqrt(1 - beta2^t), and what the gradient is multiplied by first.
#[derive(Clone, Copy, Debug)]
struct Adam {
    decoupled: bool,
}

/// Inputs: state `[2, n]` (weights, velocity), gradient of n elements, and four numbers: learning rate, momentum, decay, and what the
/// gradient is multiplied by first.
#[derive(Clone, Copy, Debug)]
struct Sgd;

/// Inputs: state `[1, n]`, gradient of n elements, and one number, 0 where the state begins anew, 1 where the gradient is added to it.
#[derive(Clone, Copy, Debug)]
struct Accumulate;

impl<'g> Var<'g> {
    /// This state `[3, n]` after a step of Adam (Kingma and Ba 2015), where decay is added to the gradient, or, `decoupled`, of AdamW
    /// (Loshchilov and Hutter 2019). `hyper` `[8]`: learning rate, beta1, beta2, epsilon, decay, 1 - beta1^t, sqrt(1 - beta2^t), scale of
    /// the gradient.
    pub fn adam(self, gradient: Var<'g>, hyper: Var<'g>, decoupled: bool) -> Var<'g> {
        self.apply(Adam { decoupled }, &[self, gradient, hyper])
    }

    /// This state `[2, n]` after a step of gradient descent with momentum, as PyTorch has it. `hyper` `[4]`: learning rate, momentum,
    /// decay, scale of the gradient.
    pub fn sgd(self, gradient: Var<'g>, hyper: Var<'g>) -> Var<'g> {
        self.apply(Sgd, &[self, gradient, hyper])
    }

    /// This state `[1, n]` with the gradient added or, where `keep` `[1]` is 0, the gradient itself.
    pub fn accumulate(self, gradient: Var<'g>, keep: Var<'g>) -> Var<'g> {
        self.apply(Accumulate, &[self, gradient, keep])
    }
}

const WG: usize = 256;

/// The shape of the state, where all inputs fit an optimiser with so many rows in its state and so many numbers.
fn checked(x: &[Shape], [rows, numbers]: [usize; 2]) -> Result<Shape, String> {
    let &[state, gradient, hyper] = x else { return Err("expected state, gradient and numbers".into()) };
    let &[r, n] = state.dims() else { return Err(format!("expected a state [{rows},n], {state} given")) };
    if r != rows || n == 0 {
        return Err(format!("expected a state [{rows},n], {state} given"));
    }
    if gradient.len() != n {
        return Err(format!("a gradient of {} elements for {n} weights", gradient.len()));
    }
    if hyper.dims() != [numbers] { Err(format!("expected {numbers} numbers, {hyper} given")) } else { Ok(state) }
}

fn kernels(shader: &'static crate::engine::Shader, state: Shape) -> Vec<Kernel> {
    let n = state.last();
    let by = |width: usize| {
        let kernel = Kernel::new(shader, 3, WG as u32).in_place().param("len", n / width);
        let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
        kernel.ordered("element").flat_groups((n / width).div_ceil(WG))
    };
    widths(n).map(by).collect()
}

/// Row `r`, element `i` of a state, in f64.
fn at(state: &Tensor, r: usize, i: usize) -> f64 {
    state.data[r * state.shape.last() + i].into()
}

impl Op for Adam {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        checked(x, [3, 8])
    }

    fn in_place(&self) -> bool {
        true
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let kernels = kernels(shader!("adam"), x[0]).into_iter();
        kernels.map(|k| if self.decoupled { k.set("DECOUPLED", true) } else { k }).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let n = y.last();
        let h: Vec<f64> = x[2].data.iter().map(|&v| v.into()).collect();
        let mut out = Tensor::zeros(y);
        for i in 0..n {
            let (mut w, mut by) = (at(x[0], 0, i), f64::from(x[1].data[i]) * h[7]);
            if self.decoupled { w -= w * h[0] * h[4] } else { by += w * h[4] }
            let m = at(x[0], 1, i) * h[1] + by * (1.0 - h[1]);
            let v = at(x[0], 2, i) * h[2] + by * by * (1.0 - h[2]);
            w -= m / (v.sqrt() / h[6] + h[3]) * (h[0] / h[5]);
            [w, m, v].into_iter().enumerate().for_each(|(r, value)| out.data[r * n + i] = value as f32);
        }
        out
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        16 * x[1].len() as u64
    }
}

impl Op for Sgd {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        checked(x, [2, 4])
    }

    fn in_place(&self) -> bool {
        true
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        kernels(shader!("sgd"), x[0])
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let n = y.last();
        let [lr, momentum, decay, scale] = [0, 1, 2, 3].map(|k| f64::from(x[2].data[k]));
        let mut out = Tensor::zeros(y);
        for i in 0..n {
            let w = at(x[0], 0, i);
            let v = at(x[0], 1, i) * momentum + (f64::from(x[1].data[i]) * scale + w * decay);
            [w - lr * v, v].into_iter().enumerate().for_each(|(r, value)| out.data[r * n + i] = value as f32);
        }
        out
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        7 * x[1].len() as u64
    }
}

impl Op for Accumulate {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        checked(x, [1, 1])
    }

    fn in_place(&self) -> bool {
        true
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        kernels(shader!("accumulate"), x[0])
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let keep = f64::from(x[2].data[0]);
        let added = |i: usize| (f64::from(x[1].data[i]) + f64::from(x[0].data[i]) * keep) as f32;
        Tensor::from_fn(y, |i| if keep == 0.0 { x[1].data[i] } else { added(i) })
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        2 * x[1].len() as u64
    }
}

/// Cases of the sweep. Their numbers are noise as well: what divides is kept from zero by an epsilon that is none in use.
pub fn cases() -> Vec<Case> {
    let adam = |decoupled: bool, n: usize| Case::new(Adam { decoupled }, &[&[3, n], &[n], &[8]]);
    vec![
        adam(false, 1).fill(Fill::NonFinite),
        adam(false, 1030),
        adam(true, 777),
        Case::new(Adam { decoupled: true }, &[&[3, 4 * 9 * 5], &[4, 9, 5], &[8]]).fill(Fill::Outliers),
        Case::new(Sgd, &[&[2, 1], &[1], &[4]]),
        Case::new(Sgd, &[&[2, 1028], &[257, 4], &[4]]).fill(Fill::Outliers),
        Case::new(Sgd, &[&[2, 999], &[3, 333], &[4]]).fill(Fill::NonFinite),
        Case::new(Accumulate, &[&[1, 1001], &[1001], &[1]]).fill(Fill::NonFinite),
        Case::new(Accumulate, &[&[1, 1024], &[2, 512], &[1]]).fill(Fill::Outliers),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_by_hand() {
        let (state, gradient) = (Tensor::new([3, 1], vec![1.0, 0.0, 0.0]), Tensor::new([1], vec![4.0]));
        let hyper = Tensor::new([8], vec![0.1, 0.9, 0.999, 0.0, 0.0, 0.1, 0.001f32.sqrt(), 0.5]);
        let y = Adam { decoupled: false }.reference(&[&state, &gradient, &hyper], state.shape);
        // A first step goes by the learning rate, whatever the gradient's size.
        for (got, want) in y.data.iter().zip([0.9, 0.2, 0.004]) {
            assert!((got - want).abs() < 1e-6, "{:?}", y.data);
        }
        let decayed = Tensor::new([8], vec![0.1, 0.9, 0.999, 0.0, 0.5, 0.1, 0.001f32.sqrt(), 0.5]);
        let y = Adam { decoupled: true }.reference(&[&state, &gradient, &decayed], state.shape);
        assert!((y.data[0] - 0.85).abs() < 1e-6 && (y.data[1] - 0.2).abs() < 1e-6);
        let (state, hyper) = (Tensor::new([2, 1], vec![1.0, 3.0]), Tensor::new([4], vec![0.1, 0.5, 2.0, 0.25]));
        let y = Sgd.reference(&[&state, &gradient, &hyper], state.shape);
        assert_eq!(y.data, [1.0f32 - 0.45, 4.5]);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let says = |x: [&[usize]; 3]| Adam { decoupled: false }.infer(&x.map(Shape::new)).unwrap_err();
        assert!(says([&[2, 5], &[5], &[8]]).contains("a state [3,n]"));
        assert!(says([&[3, 5], &[6], &[8]]).contains("6 elements for 5 weights"));
        assert!(says([&[3, 5], &[5], &[4]]).contains("8 numbers"));
    }
}
