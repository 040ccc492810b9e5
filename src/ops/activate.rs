//! Activations and their gradients, element by element; as the epilogue of a product activations cost next to nothing.

use crate::engine::{Activation, Backward, Caps, Finish, Kernel, Op, Var};
use crate::ops::epilogue::Epilogue;
use crate::ops::{Case, Fill, identity, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::fmt;

struct Activate(Activation);

impl fmt::Debug for Activate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Inputs: what an activation was given or, for ReLU and ReLU6, what it gave, which says the same of their slopes; the gradient by what
/// it gave. Output: the gradient by what it was given, NaN where the first input is.
struct ActivateDx(Activation);

impl fmt::Debug for ActivateDx {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}Dx", self.0)
    }
}

impl<'g> Var<'g> {
    /// max(0, v), NaN kept.
    pub fn relu(self) -> Var<'g> {
        self.apply(Activate(Activation::Relu), &[self])
    }

    /// min(max(0, v), 6), NaN kept (Howard et al. 2017, MobileNets).
    pub fn relu6(self) -> Var<'g> {
        self.apply(Activate(Activation::Relu6), &[self])
    }

    /// v times the share of a normal distribution below v, by the error function (Hendrycks and Gimpel 2016), to 1e-7; NaN kept, 0 for
    /// -inf.
    pub fn gelu(self) -> Var<'g> {
        self.apply(Activate(Activation::Gelu), &[self])
    }

    /// v / (1 + exp(-1.702 v)), as OpenAI's CLIP has it; NaN kept, 0 for -inf.
    pub fn quick_gelu(self) -> Var<'g> {
        self.apply(Activate(Activation::QuickGelu), &[self])
    }
}

const WG: usize = 256;

impl Op for Activate {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        identity(x)
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("activate"), 1, WG as u32).param("len", x[0].len() / width);
            let kernel = if width == 4 { kernel.import("apply_one", "apply_four") } else { kernel };
            Epilogue::activated(Some(self.0), kernel.ordered("element").flat_groups((x[0].len() / width).div_ceil(WG)))
        };
        widths(x[0].len()).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        Tensor::from_fn(y, |i| self.0.of(x[0].data[i].into()) as f32)
    }

    fn as_epilogue(&self, _: &[Shape]) -> Vec<(Finish, usize)> {
        vec![(Finish::Activation(self.0), 0)]
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        // Where ReLU's result says enough, what it was given need not be kept, and may be no value at all.
        let by = if matches!(self.0, Activation::Relu | Activation::Relu6) { at.y } else { at.x[0] };
        Some(vec![at.by(0, || at.dy.apply(ActivateDx(self.0), &[by, at.dy]))])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

impl Op for ActivateDx {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [v, dy] if v == dy => identity(&[*v]),
            _ => Err("a tensor and a gradient of its shape are expected".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("activate_dx"), 2, WG as u32).param("len", x[0].len() / width);
            let kernel = if width == 4 { kernel.import("slope_one", "slope_four") } else { kernel };
            let kernel = kernel.ordered("element").flat_groups((x[0].len() / width).div_ceil(WG));
            Epilogue::sloping(self.0, kernel)
        };
        widths(x[0].len()).map(by).collect()
    }

    fn as_epilogue(&self, _: &[Shape]) -> Vec<(Finish, usize)> {
        vec![(Finish::Slope(self.0), 1)]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        Tensor::from_fn(y, |i| (f64::from(x[1].data[i]) * self.0.slope(x[0].data[i].into())) as f32)
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        2 * x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |a, x: &[usize]| Case::new(Activate(a), &[x]);
    let dx = |a, x: &[usize]| Case::new(ActivateDx(a), &[x, x]);
    let each = |a| {
        let (odd, fours) = (case(a, &[3, 7, 5, 13]), case(a, &[40, 12]));
        [
            odd.fill(Fill::NonFinite),
            case(a, &[3, 7, 5, 12]).fill(Fill::NonFinite),
            fours.fill(Fill::Outliers),
            case(a, &[1025]),
            dx(a, &[3, 7, 5, 13]).fill(Fill::NonFinite),
            dx(a, &[40, 12]).fill(Fill::Outliers),
            dx(a, &[1025]),
        ]
    };
    use Activation::{Gelu, QuickGelu, Relu, Relu6};
    [Relu, Relu6, Gelu, QuickGelu].into_iter().flat_map(each).map(|case| case.bound(1e-12)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Graph;

    #[test]
    fn activations_by_hand() {
        let inf = f32::INFINITY;
        let x = Tensor::new([6], vec![-2.0, 0.0, 4.0, 9.0, -inf, f32::NAN]);
        let graph = Graph::new();
        let v = graph.input("x", [6]);
        let y = graph.eval(&[v.relu(), v.relu6(), v.gelu(), v.quick_gelu()], &[&x]).unwrap();
        let want: [[f32; 5]; 4] = [
            [0.0, 0.0, 4.0, 9.0, 0.0],
            [0.0, 0.0, 4.0, 6.0, 0.0],
            [-0.045_500_264, 0.0, 3.999_873_3, 9.0, 0.0],
            [-0.064_341_374, 0.0, 3.995_585_3, 8.999_998, 0.0],
        ];
        for (got, want) in y.iter().zip(want) {
            for (g, w) in got.data.iter().zip(want) {
                assert!((g - w).abs() <= 1e-6 * w.abs(), "{g} {w}");
            }
            assert!(got.data[5].is_nan());
        }
    }

    #[test]
    fn slopes_by_hand() {
        let inf = f32::INFINITY;
        let x = Tensor::new([6], vec![-2.0, 0.0, 4.0, 6.0, -inf, f32::NAN]);
        let dy = Tensor::from_fn([6], |_| 2.0);
        use Activation::{Gelu, QuickGelu, Relu, Relu6};
        for (a, want) in [
            (Relu, [0.0, 0.0, 2.0, 2.0, 0.0]),
            (Relu6, [0.0, 0.0, 2.0, 0.0, 0.0]),
            (Gelu, [-0.170_463_6, 1.0, 2.001_007_3, 2.0, 0.0]),
            (QuickGelu, [-0.147_630_7, 1.0, 2.012_803_8, 2.000_676_6, 0.0]),
        ] {
            let got = ActivateDx(a).reference(&[&x, &dy], x.shape).data;
            for (g, w) in got.iter().zip(want) {
                assert!((g - w).abs() <= 1e-6, "{a:?}: {g} {w}");
            }
            assert!(got[5].is_nan());
        }
    }

    #[test]
    fn any_activation_may_follow_a_product() {
        let x = [Shape::from([2, 3])];
        let gelu = Activate(Activation::Gelu);
        assert_eq!(gelu.as_epilogue(&x), [(Finish::Activation(Activation::Gelu), 0)]);
        assert!(gelu.infer(&[]).is_err());
    }
}
