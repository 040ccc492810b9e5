//! How a tensor lies: concatenation, slice, zero padding and reordered axes, which copy; another shape, which does not.

use crate::engine::{Backward, Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, identity, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::rc::Rc;

#[derive(Debug)]
struct Concat {
    axis: usize,
}

#[derive(Debug)]
struct Slice {
    axis: usize,
    from: usize,
    to: usize,
}

#[derive(Debug)]
struct ZeroPad {
    axis: usize,
    before: usize,
    after: usize,
}

#[derive(Debug)]
struct Permute {
    order: Vec<usize>,
}

impl<'g> Var<'g> {
    /// This tensor followed by `other` along `axis`.
    pub fn concat(self, other: Var<'g>, axis: usize) -> Var<'g> {
        self.apply(Concat { axis }, &[self, other])
    }

    /// Elements `from..to` along `axis`. Along the first axis they are not copied where the adapter can bind memory from there on.
    pub fn slice(self, axis: usize, from: usize, to: usize) -> Var<'g> {
        let op = Slice { axis, from, to };
        if axis > 0 {
            return self.apply(op, &[self]);
        }
        let shape = op.infer(&[self.shape()]);
        let offset = shape.as_ref().map_or(0, |y| from * step(*y, 0));
        self.view("slice", shape, offset, Some(Rc::new(op)))
    }

    /// `before` and `after` zeros added along `axis`.
    pub fn pad(self, axis: usize, before: usize, after: usize) -> Var<'g> {
        self.apply(ZeroPad { axis, before, after }, &[self])
    }

    /// Axes reordered: axis `i` of the result is axis `order[i]` of this tensor.
    pub fn permute(self, order: &[usize]) -> Var<'g> {
        self.apply(Permute { order: order.to_vec() }, &[self])
    }

    /// The last two axes exchanged.
    pub fn transpose(self) -> Var<'g> {
        let rank = self.shape().rank();
        let mut order: Vec<usize> = (0..rank).collect();
        order[rank.saturating_sub(2)..].reverse();
        self.permute(&order)
    }

    /// The same elements in the same order under another shape; nothing is copied.
    pub fn reshape(self, to: impl Into<Shape>) -> Var<'g> {
        let (x, to) = (self.shape(), to.into());
        let fits = x.len() == to.len() && !x.is_empty();
        let shape = if fits { Ok(to) } else { Err(format!("{x} does not fill {to}")) };
        self.view("reshape", shape, 0, None)
    }
}

const WG: usize = 64;

/// `x` with `size` elements along `axis`, once it is sure that `x` has that axis and elements.
fn resized(x: Shape, axis: usize, size: usize) -> Shape {
    let mut dims = x.dims().to_vec();
    dims[axis] = size;
    Shape::new(&dims)
}

fn checked_axis(x: Shape, axis: usize) -> Result<(), String> {
    match x {
        x if x.is_empty() => Err("it has no element".into()),
        x if axis >= x.rank() => Err(format!("there is no axis {axis} in {x}")),
        _ => Ok(()),
    }
}

/// Elements of one step along the axis before `axis`.
fn inner(x: Shape, axis: usize) -> usize {
    x.dims()[axis..].iter().product()
}

/// Elements of one step along `axis`.
fn step(x: Shape, axis: usize) -> usize {
    x.dims()[axis + 1..].iter().product()
}

/// `len` elements copied, `width` at a time.
fn flat(kernel: Kernel, len: usize, width: usize) -> Kernel {
    let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
    kernel.param("len", len / width).flat_groups((len / width).div_ceil(WG))
}

/// Copies rows of `from` elements into rows of `to`, beginning `shift` elements after their start (before it when negative).
fn window(len: usize, from: usize, to: usize, shift: isize) -> Vec<Kernel> {
    let fits = [from, to, shift.unsigned_abs()];
    let by = |width: usize| {
        let shift = (shift / width as isize) as i32 as u32;
        let kernel = Kernel::new(shader!("window"), 1, WG as u32).param("shift", shift);
        flat(kernel.param("inner_in", from / width).param("inner_out", to / width), len, width)
    };
    widths(4).filter(|w| fits.iter().all(|f| f.is_multiple_of(*w))).map(by).collect()
}

/// What [`window`] does, on the CPU.
fn window_reference(x: &Tensor, y: Shape, from: usize, to: usize, shift: isize) -> Tensor {
    Tensor::from_fn(y, |i| {
        let at = (i % to) as isize + shift;
        if (0..from as isize).contains(&at) { x.data[i / to * from + at as usize] } else { 0.0 }
    })
}

impl Op for Concat {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [a, b] = x else { return Err(format!("expected two inputs, {} given", x.len())) };
        checked_axis(*a, self.axis)?;
        checked_axis(*b, self.axis)?;
        if resized(*a, self.axis, 1) != resized(*b, self.axis, 1) {
            return Err(format!("all axes but {} must agree", self.axis));
        }
        Ok(resized(*a, self.axis, a.dim(self.axis) + b.dim(self.axis)))
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let (first, second) = (inner(x[0], self.axis), inner(x[1], self.axis));
        let by = |width| {
            let kernel = Kernel::new(shader!("concat"), 2, WG as u32);
            flat(kernel.param("first", first / width).param("second", second / width), y.len(), width)
        };
        widths(first).filter(|w| second.is_multiple_of(*w)).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let rows = |t: &Tensor| inner(t.shape, self.axis);
        let pairs = x[0].data.chunks(rows(x[0])).zip(x[1].data.chunks(rows(x[1])));
        Tensor::new(y, pairs.flat_map(|(a, b)| a.iter().chain(b).copied()).collect())
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let [first, all] = [at.x[0], at.y].map(|v| v.dim(self.axis));
        let part = |from, to| at.dy.slice(self.axis, from, to);
        Some(vec![at.by(0, || part(0, first)), at.by(1, || part(first, all))])
    }
}

impl Op for Slice {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let x = identity(x)?;
        checked_axis(x, self.axis)?;
        if self.from >= self.to || self.to > x.dim(self.axis) {
            return Err(format!("{}..{} is no range of axis {}", self.from, self.to, self.axis));
        }
        Ok(resized(x, self.axis, self.to - self.from))
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let shift = (self.from * step(y, self.axis)) as isize;
        window(y.len(), inner(x[0], self.axis), inner(y, self.axis), shift)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let shift = (self.from * step(y, self.axis)) as isize;
        window_reference(x[0], y, inner(x[0].shape, self.axis), inner(y, self.axis), shift)
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        Some(vec![at.by(0, || at.dy.pad(self.axis, self.from, at.x[0].dim(self.axis) - self.to))])
    }
}

impl Op for ZeroPad {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let x = identity(x)?;
        checked_axis(x, self.axis)?;
        Ok(resized(x, self.axis, self.before + x.dim(self.axis) + self.after))
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let shift = (self.before * step(y, self.axis)) as isize;
        window(y.len(), inner(x[0], self.axis), inner(y, self.axis), -shift)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let shift = (self.before * step(y, self.axis)) as isize;
        window_reference(x[0], y, inner(x[0].shape, self.axis), inner(y, self.axis), -shift)
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        Some(vec![at.by(0, || at.dy.slice(self.axis, self.before, self.before + at.x[0].dim(self.axis)))])
    }
}

impl Op for Permute {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let x = identity(x)?;
        let mut axes = self.order.clone();
        axes.sort_unstable();
        if axes != (0..x.rank()).collect::<Vec<_>>() {
            return Err(format!("{:?} does not name every axis of {x} once", self.order));
        }
        Ok(Shape::new(&self.order.iter().map(|&a| x.dim(a)).collect::<Vec<_>>()))
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let missing = 4 - y.rank();
        let mut steps = [0; 4];
        for (i, &axis) in self.order.iter().enumerate() {
            steps[missing + i] = step(x[0], axis);
        }
        let [_, size1, size2, size3] = y.nhwc();
        let stays = self.order.last() == Some(&(self.order.len() - 1));
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("permute"), 1, WG as u32);
            let kernel = kernel.param("size1", size1).param("size2", size2).param("size3", size3 / width);
            // Whole fours, but for the innermost step, which is one element: one T.
            let [step0, step1, step2, step3] = steps.map(|s: usize| s.div_ceil(width));
            let kernel = kernel.param("step0", step0).param("step1", step1);
            flat(kernel.param("step2", step2).param("step3", step3), y.len(), width)
        };
        widths(if stays { size3 } else { 1 }).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], _: Shape) -> Tensor {
        x[0].permute(&self.order)
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let mut back = self.order.clone();
        self.order.iter().enumerate().for_each(|(i, &axis)| back[axis] = i);
        Some(vec![at.by(0, || at.dy.permute(&back))])
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let permute = |order: &[usize]| Permute { order: order.to_vec() };
    vec![
        Case::new(Concat { axis: 3 }, &[&[2, 3, 5, 8], &[2, 3, 5, 4]]),
        Case::new(Concat { axis: 1 }, &[&[3, 2, 5], &[3, 7, 5]]).fill(Fill::NonFinite),
        Case::new(Slice { axis: 1, from: 1, to: 3 }, &[&[5, 4, 8]]),
        Case::new(Slice { axis: 3, from: 3, to: 10 }, &[&[2, 3, 4, 11]]).fill(Fill::NonFinite),
        Case::new(ZeroPad { axis: 2, before: 1, after: 2 }, &[&[2, 3, 5, 4]]),
        Case::new(ZeroPad { axis: 0, before: 3, after: 0 }, &[&[7, 3]]).fill(Fill::NonFinite),
        Case::new(permute(&[0, 3, 1, 2]), &[&[2, 5, 7, 6]]),
        Case::new(permute(&[2, 0, 3, 1]), &[&[3, 4, 5, 2]]).fill(Fill::NonFinite),
        Case::new(permute(&[1, 0]), &[&[65, 33]]),
        Case::new(permute(&[0, 2, 1, 3]), &[&[2, 3, 5, 8]]),
        Case::new(Slice { axis: 0, from: 2, to: 5 }, &[&[6, 3, 7]]),
        Case::new(Slice { axis: 0, from: 4, to: 4_194_309 }, &[&[4_194_310]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Graph;

    #[test]
    fn copies_by_hand() {
        let x = Tensor::from_fn([2, 3], |i| i as f32 + 1.0);
        let graph = Graph::new();
        let v = graph.input("x", [2, 3]);
        let outputs = [
            (v.concat(v, 0), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            (v.concat(v.slice(1, 0, 1), 1), vec![1.0, 2.0, 3.0, 1.0, 4.0, 5.0, 6.0, 4.0]),
            (v.slice(0, 1, 2), vec![4.0, 5.0, 6.0]),
            (v.slice(1, 1, 3), vec![2.0, 3.0, 5.0, 6.0]),
            (v.pad(1, 1, 0), vec![0.0, 1.0, 2.0, 3.0, 0.0, 4.0, 5.0, 6.0]),
            (v.pad(0, 0, 1), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0, 0.0]),
            (v.transpose(), vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
            (v.reshape([3, 2]), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ];
        for (output, want) in outputs {
            let y = graph.eval(&[output], &[&x]).unwrap().remove(0);
            assert_eq!((y.shape, y.data), (output.shape(), want));
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let x = Shape::from([2, 3]);
        let says = |op: &dyn Op, x: &[Shape]| op.infer(x).unwrap_err();
        assert!(says(&Concat { axis: 0 }, &[x, Shape::from([2, 4])]).contains("all axes but 0"));
        assert!(says(&Concat { axis: 2 }, &[x, x]).contains("no axis 2"));
        assert!(says(&Slice { axis: 1, from: 2, to: 2 }, &[x]).contains("2..2"));
        assert!(says(&Slice { axis: 1, from: 2, to: 4 }, &[x]).contains("2..4"));
        assert!(says(&ZeroPad { axis: 5, before: 0, after: 1 }, &[x]).contains("no axis 5"));
        assert!(says(&Permute { order: vec![1, 1] }, &[x]).contains("every axis"));
        assert!(says(&Permute { order: vec![0] }, &[x]).contains("every axis"));
        let graph = Graph::new();
        let _wrong = graph.input("x", x).reshape([5]);
        let error = graph.nodes().unwrap_err().to_string();
        assert!(error.contains("reshape of x: [2,3] does not fill [5]"), "{error}");
    }
}
