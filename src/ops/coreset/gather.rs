//! Rows by their numbers.

use super::{MAX_ROW, WG};
use crate::engine::{Caps, Kernel, Op};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: rows `[n, d]`, picks `[p, 2]` (value, number of the row), and what earlier parts gave `[p, d]`.
#[derive(Debug)]
pub(super) struct Gather {
    pub first: usize,
}

impl Op for Gather {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [rows, picks, rest @ ..] = x else { return Err("expected rows and picks".into()) };
        let found = Shape::from([picks.dim(0), rows.dim(1)]);
        let fits = rows.rank() == 2 && !rows.is_empty() && picks.rank() == 2 && picks.dim(1) == 2 && !picks.is_empty();
        if !fits || rest.len() > 1 || rest.iter().any(|r| *r != found) {
            return Err("expected rows [n, d], picks [p, 2] and perhaps earlier rows [p, d]".into());
        }
        if self.first + rows.dim(0) > MAX_ROW {
            return Err(format!("numbers of rows beyond {MAX_ROW} cannot be told apart as f32"));
        }
        Ok(found)
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let kernel = Kernel::new(shader!("gather_rows"), x.len(), WG as u32);
        let kernel = if x.len() == 3 { kernel } else { kernel.import("earlier", "earlier_none") };
        let kernel = kernel.param("d", x[0].dim(1)).param("n", x[0].dim(0)).param("first", self.first);
        vec![kernel.param("elements", y.len()).flat_groups(y.len().div_ceil(WG))]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (n, d) = (x[0].shape.dim(0), x[0].shape.dim(1));
        Tensor::from_fn(y, |i| {
            let number = x[1].data[i / d * 2 + 1];
            if number >= 0.0 && (self.first..self.first + n).contains(&(number as usize)) {
                return x[0].data[(number as usize - self.first) * d + i % d];
            }
            x.get(2).map_or(0.0, |t| t.data[i])
        })
    }
}
