//! What products do to a sum before they store it: bias, residual, activation or, on a way back, the slope of one; kept once for all.

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
    /// Instead of all these: the product with the slope of an activation at a tensor of the output's shape.
    pub slope: Option<Activation>,
}

impl Epilogue {
    /// Nothing is done.
    pub const NONE: Epilogue = Epilogue { bias: false, add: false, activation: None, slope: None };

    /// Bias, residual and ReLU where they are wanted.
    pub(crate) fn of([bias, add, relu]: [bool; 3]) -> Epilogue {
        Epilogue { bias, add, activation: relu.then_some(Activation::Relu), ..Epilogue::NONE }
    }

    /// Nothing but the product with a slope.
    pub(crate) fn sloped(activation: Activation) -> Epilogue {
        Epilogue { slope: Some(activation), ..Epilogue::NONE }
    }

    /// Whether it reads a tensor of the output's shape.
    pub(crate) fn reads_other(self) -> bool {
        self.add || self.slope.is_some()
    }

    /// This one with one thing more at its end, where the order allows it.
    pub fn then(self, next: Finish) -> Option<Epilogue> {
        match next {
            _ if self.slope.is_some() => None,
            Finish::Slope(a) => (self == Epilogue::NONE).then_some(Epilogue::sloped(a)),
            Finish::Bias if self == Epilogue::NONE => Some(Epilogue { bias: true, ..self }),
            Finish::Add if !self.add && self.activation.is_none() => Some(Epilogue { add: true, ..self }),
            Finish::Activation(a) if self.activation.is_none() => Some(Epilogue { activation: Some(a), ..self }),
            _ => None,
        }
    }

    /// Whether `rest` are the inputs that it reads for an output of shape `y`: the bias, and the residual or what the slope is taken at.
    pub(crate) fn check(self, rest: &[Shape], y: Shape) -> Result<(), String> {
        let read = [(self.bias, Shape::from([y.last()])), (self.reads_other(), y)];
        let read: Vec<Shape> = read.iter().filter(|o| o.0).map(|o| o.1).collect();
        if rest == read { Ok(()) } else { Err(format!("the inputs of its epilogue must be {read:?}")) }
    }

    /// What references make of a sum: bias of its column and what stands at its place, the first and second of `rest` where they are
    /// there, and the activation.
    pub(crate) fn finished(self, mut sum: f64, rest: &[&Tensor], [column, place]: [usize; 2]) -> f32 {
        let mut rest = rest.iter();
        sum += if self.bias { rest.next().map_or(0.0, |b| f64::from(b.data[column])) } else { 0.0 };
        let mut other = || rest.next().map_or(0.0, |z| f64::from(z.data[place]));
        sum += if self.add { other() } else { 0.0 };
        sum *= self.slope.map_or(1.0, |a| a.slope(other()));
        self.activation.map_or(sum, |a| a.of(sum)) as f32
    }

    /// A kernel of two inputs with this epilogue: bias at binding 4, and at binding 5 in `form` the residual or what the slope is taken at;
    /// `residual` names the snippets that read it, or nothing.
    pub(crate) fn on(self, kernel: Kernel, form: Form, residual: [&'static str; 2]) -> Kernel {
        self.beyond_bias(self.biased(kernel), form, residual)
    }

    /// A kernel with its bias, if it has one.
    pub(crate) fn biased(self, mut kernel: Kernel) -> Kernel {
        if self.bias {
            kernel.reads.push((4, Form::Buffer));
            return kernel;
        }
        kernel.import("bias", "bias_none")
    }

    /// A kernel with what follows the bias.
    fn beyond_bias(self, mut kernel: Kernel, form: Form, residual: [&'static str; 2]) -> Kernel {
        if self.reads_other() {
            kernel.reads.push((5, form));
        } else {
            kernel = kernel.import(residual[0], residual[1]);
        }
        match self.slope {
            Some(a) => Epilogue::sloping(a, kernel.import("joined", "joined_slope")),
            None => Epilogue::activated(self.activation, kernel),
        }
    }

    /// A kernel whose shader imports `slope`, with that of this activation.
    pub(crate) fn sloping(activation: Activation, kernel: Kernel) -> Kernel {
        match activation {
            Activation::Relu => kernel,
            Activation::Relu6 => kernel.set("TO_SIX", true),
            Activation::Gelu => kernel.import("slope", "slope_gelu"),
            Activation::QuickGelu => kernel.import("slope", "slope_quick_gelu"),
        }
    }

    /// A kernel of the software family, which imports `target_image`, with what follows the bias: residual and output of `c` channels as
    /// images and, where channels come in fours, each as a buffer.
    pub(crate) fn twins(self, kernel: &Kernel, c: usize) -> Vec<Kernel> {
        let (image, fours) = (Form::Image { pad: 0 }, c.is_multiple_of(4));
        let ended =
            |form| self.beyond_bias(kernel.clone().write(image), form, ["residual_image", "residual_image_none"]);
        let mut all = vec![ended(image)];
        if self.reads_other() && fours {
            all.push(ended(Form::Buffer).form("residual_image", "residual_buffer"));
        }
        let buffers = all.iter().map(|k| k.clone().write(Form::Buffer).form("target_image", "target_buffer"));
        let buffers: Vec<Kernel> = buffers.filter(|_| fours).collect();
        [all, buffers].concat()
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
        text.field("bias", &self.bias).field("add", &self.add).field("activation", &self.activation);
        if let Some(slope) = &self.slope { text.field("slope", slope) } else { text }
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
        let slope = Finish::Slope(Activation::Gelu);
        assert_eq!(grown(&[slope]), Some(Epilogue::sloped(Activation::Gelu)));
        for wrong in [[slope, slope], [slope, Add], [Bias, slope], [Add, slope], [relu, slope]] {
            assert_eq!(grown(&wrong), None, "{wrong:?}");
        }
    }
}
