//! What products do to a sum before they store it: bias, residual, activation; kept once for all of them.

use crate::engine::{Activation, Finish, Form, Kernel};
use crate::tensor::{Shape, Tensor};
use std::fmt::DebugStruct;

/// What is done, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    /// Adds a vector along the last axis.
    pub bias: bool,
    /// Adds a residual of the output's shape.
    pub add: bool,
    /// The activation.
    pub activation: Option<Activation>,
}

impl Epilogue {
    /// Nothing is done.
    pub const NONE: Epilogue = Epilogue { bias: false, add: false, activation: None };

    /// Bias, residual and ReLU where they are wanted.
    pub(crate) fn of([bias, add, relu]: [bool; 3]) -> Epilogue {
        Epilogue { bias, add, activation: relu.then_some(Activation::Relu) }
    }

    /// This one with one thing more at its end, where the order allows it.
    pub fn then(self, next: Finish) -> Option<Epilogue> {
        match next {
            Finish::Bias if self == Epilogue::NONE => Some(Epilogue { bias: true, ..self }),
            Finish::Add if !self.add && self.activation.is_none() => Some(Epilogue { add: true, ..self }),
            Finish::Activation(a) if self.activation.is_none() => Some(Epilogue { activation: Some(a), ..self }),
            _ => None,
        }
    }

    /// Whether `rest` are the inputs that it reads, bias and residual where they are there, for an output of shape `y`.
    pub(crate) fn check(self, rest: &[Shape], y: Shape) -> Result<(), String> {
        let read = [(self.bias, Shape::from([y.last()])), (self.add, y)];
        let read: Vec<Shape> = read.iter().filter(|o| o.0).map(|o| o.1).collect();
        if rest == read { Ok(()) } else { Err(format!("the inputs of its epilogue must be {read:?}")) }
    }

    /// What references make of a sum: bias of its column and residual at its place, the first and second of `rest` where they are
    /// there, and the activation.
    pub(crate) fn finished(self, mut sum: f64, rest: &[&Tensor], [column, place]: [usize; 2]) -> f32 {
        let mut rest = rest.iter();
        sum += if self.bias { rest.next().map_or(0.0, |b| f64::from(b.data[column])) } else { 0.0 };
        sum += if self.add { rest.next().map_or(0.0, |z| f64::from(z.data[place])) } else { 0.0 };
        self.activation.map_or(sum, |a| a.of(sum)) as f32
    }

    /// A kernel of two inputs with this epilogue: bias at binding 4, residual at binding 5 in `form`; `residual` names the snippets that
    /// read it, or nothing.
    pub(crate) fn on(self, mut kernel: Kernel, form: Form, residual: [&'static str; 2]) -> Kernel {
        if self.bias {
            kernel.reads.push((4, Form::Buffer));
        } else {
            kernel = kernel.import("bias", "bias_none");
        }
        if self.add {
            kernel.reads.push((5, form));
        } else {
            kernel = kernel.import(residual[0], residual[1]);
        }
        Epilogue::activated(self.activation, kernel)
    }

    /// A kernel whose shader imports `activation`, with this one.
    pub(crate) fn activated(activation: Option<Activation>, kernel: Kernel) -> Kernel {
        match activation {
            Some(Activation::Relu) => kernel.set("RELU", true),
            Some(Activation::Relu6) => kernel.set("RELU6", true),
            Some(Activation::Gelu) => kernel.import("activation", "activation_gelu"),
            Some(Activation::QuickGelu) => kernel.import("activation", "activation_quick_gelu"),
            None => kernel,
        }
    }

    /// Its fields as an op's own: tables of measured times name ops by their text.
    pub(crate) fn fields<'s, 'a, 'b>(&self, text: &'s mut DebugStruct<'a, 'b>) -> &'s mut DebugStruct<'a, 'b> {
        text.field("bias", &self.bias).field("add", &self.add).field("activation", &self.activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept() {
        let grown = |all: &[Finish]| all.iter().try_fold(Epilogue::NONE, |e, &next| e.then(next));
        use Finish::{Add, Bias};
        let [relu, relu6] = [Activation::Relu, Activation::Relu6].map(Finish::Activation);
        assert_eq!(grown(&[Bias, Add, relu]), Some(Epilogue::of([true; 3])));
        let six = Epilogue { activation: Some(Activation::Relu6), ..Epilogue::of([false, true, false]) };
        assert_eq!(grown(&[Add, relu6]), Some(six));
        for wrong in [[relu, relu], [relu, relu6], [Add, Add], [Bias, Bias], [relu6, Add], [Add, Bias], [relu, Bias]] {
            assert_eq!(grown(&wrong), None, "{wrong:?}");
        }
    }
}
