//! Element by element: functions of one tensor, and of two, the second of the same shape, a vector along the last axis, one element for
//! each row, or one element.

use crate::engine::{Backward, Caps, Finish, Kernel, Op, Var};
use crate::ops::{Case, Fill, fours, identity, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::ops::{Add, Div, Mul, Sub};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unary {
    Neg,
    Abs,
    Exp,
    Sqrt,
    Square,
    Affine { scale: f32, shift: f32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Maximum,
    /// 1 where the second is not larger, else 0.
    AtLeast,
}

macro_rules! operators {
    ($($op:ident $method:ident),*) => {$(
        impl<'g> $op for Var<'g> {
            type Output = Var<'g>;
            fn $method(self, other: Var<'g>) -> Var<'g> {
                self.apply(Binary::$op, &[self, other])
            }
        }
    )*};
}

operators!(Add add, Sub sub, Mul mul, Div div);

impl<'g> Var<'g> {
    /// -v.
    pub fn negated(self) -> Var<'g> {
        self.apply(Unary::Neg, &[self])
    }

    /// |v|.
    pub fn abs(self) -> Var<'g> {
        self.apply(Unary::Abs, &[self])
    }

    /// e to the power v.
    pub fn exp(self) -> Var<'g> {
        self.apply(Unary::Exp, &[self])
    }

    /// Square root; NaN below zero.
    pub fn sqrt(self) -> Var<'g> {
        self.apply(Unary::Sqrt, &[self])
    }

    /// v times v.
    pub fn square(self) -> Var<'g> {
        self.apply(Unary::Square, &[self])
    }

    /// v * scale + shift.
    pub fn affine(self, scale: f32, shift: f32) -> Var<'g> {
        self.apply(Unary::Affine { scale, shift }, &[self])
    }

    /// Row `i` of this matrix times element `i` of the vector `by`.
    pub fn scaled_rows(self, by: Var<'g>) -> Var<'g> {
        self * by.reshape([by.dim(0), 1])
    }

    /// The larger of two values; NaN when either is. `other`: the same shape, a vector along the last axis, one element for each row, or one
    /// element.
    pub fn maximum(self, other: Var<'g>) -> Var<'g> {
        self.apply(Binary::Maximum, &[self, other])
    }
}

const WG: usize = 256;

/// The kernel that is common to all: `op` as the shader names it, `width` floats per invocation.
fn kernel(op: &'static str, inputs: usize, len: usize, width: usize) -> Kernel {
    let kernel = Kernel::new(shader!("map"), inputs, WG as u32).set("OP", op).param("len", len / width);
    let kernel = if width == 4 { fours(kernel) } else { kernel };
    kernel.ordered("element").flat_groups((len / width).div_ceil(WG))
}

impl Unary {
    fn name(self) -> &'static str {
        match self {
            Unary::Neg => "NEG",
            Unary::Abs => "ABS",
            Unary::Exp => "EXP",
            Unary::Sqrt => "SQRT",
            Unary::Square => "SQUARE",
            Unary::Affine { .. } => "AFFINE",
        }
    }

    fn value(self, v: f64) -> f64 {
        match self {
            Unary::Neg => -v,
            Unary::Abs => v.abs(),
            Unary::Exp => v.exp(),
            Unary::Sqrt => v.sqrt(),
            Unary::Square => v * v,
            Unary::Affine { scale, shift } => v * f64::from(scale) + f64::from(shift),
        }
    }
}

impl Op for Unary {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        identity(x)
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let (scale, shift) = if let Unary::Affine { scale, shift } = *self { (scale, shift) } else { (1.0, 0.0) };
        let kernel = |width| kernel(self.name(), 1, x[0].len(), width).param("cols", 1usize);
        widths(x[0].len()).map(|width| kernel(width).param("scale", scale).param("shift", shift)).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        Tensor::from_fn(y, |i| self.value(x[0].data[i].into()) as f32)
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let (x, y, dy) = (at.x[0], at.y, at.dy);
        let by = || match *self {
            Unary::Neg => dy.negated(),
            // Nothing at zero, where it has a kink; the shift is nothing to any other number.
            Unary::Abs => dy * (x / y.affine(1.0, 1e-30)),
            Unary::Exp => dy * y,
            Unary::Sqrt => (dy / y).affine(0.5, 0.0),
            Unary::Square => (dy * x).affine(2.0, 0.0),
            Unary::Affine { scale, .. } => dy.affine(scale, 0.0),
        };
        Some(vec![at.by(0, by)])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

/// How the second operand lies along the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    Same,
    Row,
    Column,
    One,
}

impl Second {
    fn of(x: &[Shape]) -> Option<Second> {
        match x {
            [a, b] if a == b => Some(Second::Same),
            [a, b] if b.dims() == [a.last()] => Some(Second::Row),
            [_, b] if b.len() == 1 => Some(Second::One),
            [a, b] if b.last() == 1 && a.rank() == b.rank() && a.rows().0 == b.len() => Some(Second::Column),
            _ => None,
        }
    }

    fn snippet(self) -> &'static str {
        match self {
            Second::Same => "second_same",
            Second::Row => "second_row",
            Second::Column => "second_column",
            Second::One => "second_one",
        }
    }

    /// The gradient by a second operand of this shape, from the one by each element that it met.
    fn gathered<'g>(self, by: Var<'g>, shape: Shape) -> Var<'g> {
        match self {
            Second::Same => by,
            Second::Row => by.column_sums(),
            Second::Column => by.sum().reshape(shape),
            Second::One => by.reshape([by.shape().len()]).sum().reshape(shape),
        }
    }
}

impl Binary {
    fn name(self) -> &'static str {
        match self {
            Binary::Add => "ADD",
            Binary::Sub => "SUB",
            Binary::Mul => "MUL",
            Binary::Div => "DIV",
            Binary::Maximum => "MAXIMUM",
            Binary::AtLeast => "AT_LEAST",
        }
    }

    fn value(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Maximum if a.is_nan() || b.is_nan() => f64::NAN,
            Binary::Maximum => a.max(b),
            Binary::AtLeast => if b > a { 0.0 } else { 1.0 },
        }
    }
}

impl Op for Binary {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match Second::of(x) {
            Some(_) if !x[0].is_empty() => Ok(x[0]),
            _ => Err("the second operand must have the first one's shape, be a vector along its last axis, have one element for each row, or be one element".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let Some(second) = Second::of(x) else { return vec![] };
        let fits = if matches!(second, Second::Row | Second::Column) { x[0].last() } else { x[0].len() };
        let kernel = |width| kernel(self.name(), 2, x[0].len(), width).param("cols", x[0].last().div_ceil(width));
        let kernel = |width| kernel(width).import("second_none", second.snippet());
        widths(fits).map(|width| kernel(width).param("scale", 1.0).param("shift", 0.0)).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let b = &x[1].data;
        let column = Second::of(&[x[0].shape, x[1].shape]) == Some(Second::Column);
        let other = |i: usize| if column { b[i / y.last()] } else { b[i % b.len()] };
        Tensor::from_fn(y, |i| self.value(x[0].data[i].into(), other(i).into()) as f32)
    }

    fn as_epilogue(&self, x: &[Shape]) -> Vec<(Finish, usize)> {
        match (self, Second::of(x)) {
            (Binary::Add, Some(Second::Same)) => vec![(Finish::Add, 0), (Finish::Add, 1)],
            (Binary::Add, Some(Second::Row)) => vec![(Finish::Bias, 0)],
            _ => vec![],
        }
    }

    /// Where a maximum has two equal operands, the first has the gradient.
    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let &[a, b] = at.x else { return None };
        let (second, dy) = (Second::of(&[a.shape(), b.shape()])?, at.dy);
        let first = || a.apply(Binary::AtLeast, &[a, b]);
        let by = match self {
            Binary::Add => [at.by(0, || dy), at.by(1, || second.gathered(dy, b.shape()))],
            Binary::Sub => [at.by(0, || dy), at.by(1, || second.gathered(dy, b.shape()).negated())],
            Binary::Mul => [at.by(0, || dy * b), at.by(1, || second.gathered(dy * a, b.shape()))],
            Binary::Div => {
                [at.by(0, || dy / b), at.by(1, || (second.gathered(dy * at.y, b.shape()) / b).negated())]
            }
            Binary::Maximum => [
                at.by(0, || dy * first()),
                at.by(1, || second.gathered(dy * first().affine(-1.0, 1.0), b.shape())),
            ],
            Binary::AtLeast => return None,
        };
        Some(by.into())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let affine = Unary::Affine { scale: -1.5, shift: 0.25 };
    vec![
        Case::new(Unary::Neg, &[&[1025]]),
        Case::new(Unary::Abs, &[&[33, 31]]).fill(Fill::NonFinite),
        Case::new(Unary::Exp, &[&[5, 200]]).fill(Fill::NonFinite),
        Case::new(Unary::Sqrt, &[&[999]]).fill(Fill::NonFinite),
        Case::new(Unary::Square, &[&[40, 13]]).fill(Fill::Outliers),
        Case::new(affine, &[&[2, 3, 4, 5]]),
        Case::new(Binary::Add, &[&[2, 9, 9, 6], &[2, 9, 9, 6]]).fill(Fill::NonFinite),
        Case::new(Binary::Sub, &[&[65, 20], &[20]]).fill(Fill::Outliers),
        Case::new(Binary::Mul, &[&[7, 3, 11], &[11]]).fill(Fill::NonFinite),
        Case::new(Binary::Mul, &[&[9, 5, 12], &[9, 5, 1]]).fill(Fill::Outliers),
        Case::new(Binary::Mul, &[&[33, 7], &[33, 1]]).fill(Fill::NonFinite),
        Case::new(Binary::Div, &[&[16, 16], &[1]]),
        Case::new(Binary::Maximum, &[&[3, 5, 40], &[3, 5, 40]]).fill(Fill::NonFinite),
        Case::new(Binary::Maximum, &[&[3, 7, 10], &[10]]),
        Case::new(Binary::AtLeast, &[&[17, 13], &[17, 13]]).fill(Fill::NonFinite).bound(0.0),
        Case::new(Binary::AtLeast, &[&[9, 20], &[9, 1]]).bound(0.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Graph, gradients};

    #[test]
    fn functions_by_hand() {
        let x = Tensor::new([4], vec![-2.0, 0.0, 4.0, f32::NAN]);
        let graph = Graph::new();
        let v = graph.input("x", [4]);
        let all = [v.negated(), v.abs(), v.square(), v.affine(2.0, 1.0), v.sqrt(), v.exp()];
        let y = graph.eval(&all, &[&x]).unwrap();
        let want: [[f32; 3]; 4] = [[2.0, 0.0, -4.0], [2.0, 0.0, 4.0], [4.0, 0.0, 16.0], [-3.0, 1.0, 9.0]];
        for (got, want) in y.iter().zip(want) {
            assert_eq!(got.data[..3], want);
        }
        assert!(y.iter().all(|t| t.data[3].is_nan()));
        assert!(y[4].data[0].is_nan() && y[4].data[2] == 2.0);
        assert_eq!(y[5].data[1], 1.0);
    }

    #[test]
    fn the_second_operand_may_be_a_row_or_one_element() {
        let graph = Graph::new();
        let (x, row, one) = (graph.input("x", [2, 2]), graph.input("row", [2]), graph.input("one", [1]));
        let given = [[1.0f32, 2.0, 3.0, 4.0].as_slice(), &[10.0, 20.0], &[2.0]].map(<[f32]>::to_vec);
        let [a, b, c] = given;
        let inputs = [Tensor::new([2, 2], a), Tensor::new([2], b), Tensor::new([1], c)];
        let outputs = [x + x, x + row, x - one, x * row, x / one, x.maximum(one), x * row.reshape([2, 1])];
        let y = graph.eval(&outputs, &[&inputs[0], &inputs[1], &inputs[2]]).unwrap();
        let want: [[f32; 4]; 7] = [
            [2.0, 4.0, 6.0, 8.0],
            [11.0, 22.0, 13.0, 24.0],
            [-1.0, 0.0, 1.0, 2.0],
            [10.0, 40.0, 30.0, 80.0],
            [0.5, 1.0, 1.5, 2.0],
            [2.0, 2.0, 3.0, 4.0],
            [10.0, 20.0, 60.0, 80.0],
        ];
        for (got, want) in y.iter().zip(want) {
            assert_eq!(got.data, want);
        }
    }

    #[test]
    fn of_two_equal_operands_the_first_has_the_gradient() {
        let graph = Graph::new();
        let (a, b) = (graph.input("a", [3]), graph.input("b", [3]));
        let by = gradients((a.maximum(b) * b).sum() + a.abs().sum(), &[a, b]);
        let given = [[0.0, 2.0, 5.0], [1.0, 2.0, 3.0]].map(|v: [f32; 3]| Tensor::new([3], v.to_vec()));
        let y = graph.eval(&by, &[&given[0], &given[1]]).unwrap();
        assert_eq!(y[0].data, [0.0, 2.0 + 1.0, 3.0 + 1.0]);
        assert_eq!(y[1].data, [1.0 + 1.0, 2.0, 5.0]);
    }

    #[test]
    fn operands_that_do_not_fit_are_told() {
        for wrong in [[vec![2, 3], vec![2]], [vec![2, 3], vec![3, 2]], [vec![2, 3], vec![3, 1]], [vec![1], vec![1, 1, 2]]] {
            let shapes = wrong.map(|s| Shape::new(&s));
            assert!(Binary::Add.infer(&shapes).unwrap_err().contains("second operand"));
        }
        assert!(Unary::Neg.infer(&[]).is_err());
    }

    #[test]
    fn what_may_follow_a_convolution() {
        let (x, row, one) = (Shape::from([2, 3]), Shape::from([3]), Shape::from([1]));
        assert_eq!(Binary::Add.as_epilogue(&[x, x]), [(Finish::Add, 0), (Finish::Add, 1)]);
        assert_eq!(Binary::Add.as_epilogue(&[x, row]), [(Finish::Bias, 0)]);
        assert_eq!(Binary::Add.as_epilogue(&[x, one]), []);
        assert_eq!(Binary::Mul.as_epilogue(&[x, row]), []);
    }
}
