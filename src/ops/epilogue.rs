//! What products do to a sum before they store it: bias, residual, ReLU; kept once for all of them.

use crate::engine::{Finish, Form, Kernel};
use crate::ops::relu;
use crate::tensor::{Shape, Tensor};
use std::fmt::DebugStruct;

/// What is done, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    /// Adds a vector along the last axis.
    pub bias: bool,
    /// Adds a residual of the output's shape.
    pub add: bool,
    /// max(0, v), NaN kept.
    pub relu: bool,
}

impl Epilogue {
    /// Nothing is done.
    pub const NONE: Epilogue = Epilogue { bias: false, add: false, relu: false };

    /// This one with one thing more at its end, where the order allows it.
    pub fn then(self, next: Finish) -> Option<Epilogue> {
        match next {
            Finish::Bias if self == Epilogue::NONE => Some(Epilogue { bias: true, ..self }),
            Finish::Add if !self.add && !self.relu => Some(Epilogue { add: true, ..self }),
            Finish::Relu if !self.relu => Some(Epilogue { relu: true, ..self }),
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
    /// there, and ReLU.
    pub(crate) fn finished(self, mut sum: f64, rest: &[&Tensor], [column, place]: [usize; 2]) -> f32 {
        let mut rest = rest.iter();
        sum += if self.bias { rest.next().map_or(0.0, |b| f64::from(b.data[column])) } else { 0.0 };
        sum += if self.add { rest.next().map_or(0.0, |z| f64::from(z.data[place])) } else { 0.0 };
        (if self.relu { relu(sum) } else { sum }) as f32
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
        kernel.set("RELU", self.relu)
    }

    /// Its fields as an op's own: tables of measured times name ops by their text.
    pub(crate) fn fields<'s, 'a, 'b>(&self, text: &'s mut DebugStruct<'a, 'b>) -> &'s mut DebugStruct<'a, 'b> {
        text.field("bias", &self.bias).field("add", &self.add).field("relu", &self.relu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept() {
        let grown = |all: &[Finish]| all.iter().try_fold(Epilogue::NONE, |e, &next| e.then(next));
        use Finish::{Add, Bias, Relu};
        assert_eq!(grown(&[Bias, Add, Relu]), Some(Epilogue { bias: true, add: true, relu: true }));
        assert_eq!(grown(&[Add, Relu]), Some(Epilogue { bias: false, add: true, relu: true }));
        for wrong in [[Relu, Relu], [Add, Add], [Bias, Bias], [Relu, Add], [Add, Bias], [Relu, Bias]] {
            assert_eq!(grown(&wrong), None, "{wrong:?}");
        }
    }
}
