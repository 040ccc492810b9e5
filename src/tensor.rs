//! Tensors in host memory: f32, row-major, rank 0 to 4.

use std::fmt;

/// Sizes of up to four axes; `Copy`, so that graphs can pass it around freely.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; 4],
    rank: usize,
}

impl Shape {
    /// A shape of these sizes. More than four axes is a bug of the caller: the rest are multiplied into the last.
    pub fn new(sizes: &[usize]) -> Shape {
        let mut dims = [1; 4];
        for (i, &s) in sizes.iter().enumerate() {
            dims[i.min(3)] *= s;
        }
        Shape { dims, rank: sizes.len().min(4) }
    }

    /// The sizes, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Size of axis `i`; 1 beyond the last axis.
    pub fn dim(&self, i: usize) -> usize {
        self.dims.get(i).copied().unwrap_or(1)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As a matrix: (product of all axes but the last, the last axis). A scalar is (1, 1).
    pub fn rows(&self) -> (usize, usize) {
        let cols = self.last();
        (self.len().checked_div(cols).unwrap_or(0), cols)
    }

    /// Size of the innermost axis; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// As a picture `[n, h, w, c]`: missing outer axes are 1.
    pub fn nhwc(&self) -> [usize; 4] {
        let mut out = [1; 4];
        out[4 - self.rank..].copy_from_slice(self.dims());
        out
    }
}

impl From<&[usize]> for Shape {
    fn from(s: &[usize]) -> Shape {
        Shape::new(s)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(s: [usize; N]) -> Shape {
        Shape::new(&s)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let sizes: Vec<String> = self.dims().iter().map(usize::to_string).collect();
        write!(f, "[{}]", sizes.join(","))
    }
}

/// A tensor in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Sizes of its axes.
    pub shape: Shape,
    /// Elements, row-major; `shape.len()` of them.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor of `shape` over `data`. Panics when the number of elements disagrees: a bug of the caller.
    pub fn new(shape: impl Into<Shape>, data: Vec<f32>) -> Tensor {
        let shape = shape.into();
        assert_eq!(shape.len(), data.len(), "a tensor of shape {shape} has {} elements", data.len());
        Tensor { shape, data }
    }

    /// All zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        Tensor { shape, data: vec![0.0; shape.len()] }
    }

    /// Element `i` of each axis is `f(flat index)`.
    pub fn from_fn(shape: impl Into<Shape>, f: impl FnMut(usize) -> f32) -> Tensor {
        let shape = shape.into();
        Tensor { shape, data: (0..shape.len()).map(f).collect() }
    }

    /// The same data under another shape of equal length.
    pub fn reshape(self, shape: impl Into<Shape>) -> Tensor {
        Tensor::new(shape, self.data)
    }

    /// A copy of the elements from number `offset` on, as many as `shape` has.
    pub fn view(&self, offset: usize, shape: Shape) -> Tensor {
        Tensor::new(shape, self.data[offset..offset + shape.len()].to_vec())
    }

    /// Axes reordered: axis `i` of the result is axis `order[i]` of `self`.
    pub fn permute(&self, order: &[usize]) -> Tensor {
        let from = self.shape.dims();
        assert_eq!(order.len(), from.len(), "permute wants every axis once");
        let mut stride = vec![1; from.len()];
        for i in (0..from.len().saturating_sub(1)).rev() {
            stride[i] = stride[i + 1] * from[i + 1];
        }
        let to: Vec<usize> = order.iter().map(|&a| from[a]).collect();
        Tensor::from_fn(Shape::new(&to), |flat| {
            let (mut rest, mut at) = (flat, 0);
            for i in (0..to.len()).rev() {
                at += rest % to[i] * stride[order[i]];
                rest /= to[i];
            }
            self.data[at]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_as_rows_and_pictures() {
        assert_eq!(Shape::from([2, 3, 4]).rows(), (6, 4));
        assert_eq!(Shape::from([]).rows(), (1, 1));
        assert_eq!(Shape::from([5, 7]).nhwc(), [1, 1, 5, 7]);
        assert_eq!(Shape::from([2, 3]).to_string(), "[2,3]");
    }

    #[test]
    fn permute_is_a_transpose() {
        let t = Tensor::from_fn([2, 3], |i| i as f32);
        assert_eq!(t.permute(&[1, 0]).data, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let x = Tensor::from_fn([2, 3, 4, 5], |i| i as f32);
        assert_eq!(x.permute(&[0, 2, 3, 1]).permute(&[0, 3, 1, 2]), x);
    }
}
