//! Elements several times over: one row for all rows of a matrix, one element for each row, one everywhere.

use crate::engine::{Backward, Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Every run of `run` elements as often as it takes to fill `to`.
#[derive(Debug)]
struct Repeat {
    run: usize,
    to: Shape,
}

impl<'g> Var<'g> {
    /// Every run of `run` elements several times in a row, as often as it takes to fill `to`: with as many runs as pictures a value for each
    /// channel goes to all pixels.
    pub fn repeated(self, run: usize, to: Shape) -> Var<'g> {
        if self.shape().len() == to.len() { self.reshape(to) } else { self.apply(Repeat { run, to }, &[self]) }
    }

    /// A vector `[c]` as every row of a tensor `[.., c]` of this shape.
    pub fn spread_rows(self, to: Shape) -> Var<'g> {
        self.repeated(to.last(), to)
    }

    /// One element for each row of a tensor of this shape, all along that row; one element alone goes everywhere.
    pub fn spread_columns(self, to: Shape) -> Var<'g> {
        self.repeated(1, to)
    }
}

const WG: usize = 256;

impl Repeat {
    /// Runs of x, and how often each of them stands in y.
    fn runs(&self, x: Shape) -> Option<[usize; 2]> {
        let whole = self.run > 0 && !x.is_empty() && x.len().is_multiple_of(self.run);
        (whole && !self.to.is_empty() && self.to.len().is_multiple_of(x.len()))
            .then(|| [x.len() / self.run, self.to.len() / x.len()])
    }
}

impl Op for Repeat {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x] if self.runs(*x).is_some() => Ok(self.to),
            _ => Err(format!("runs of {} do not fill {} evenly", self.run, self.to)),
        }
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let Some([_, times]) = self.runs(x[0]) else { return vec![] };
        let kernel = |width: usize, run: usize| {
            let kernel = Kernel::new(shader!("repeat"), 1, WG as u32).param("run", run);
            let kernel = kernel.param("len", y.len() / width).param("span", self.run * times / width);
            kernel.flat_groups((y.len() / width).div_ceil(WG))
        };
        let fours = || kernel(4, self.run.div_ceil(4)).set("T", "vec4f");
        let fours = match self.run {
            run if run.is_multiple_of(4) => Some(fours().set("X", "vec4f")),
            1 if times.is_multiple_of(4) => Some(fours()),
            _ => None,
        };
        fours.into_iter().chain([kernel(1, self.run)]).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let span = y.len() / (x[0].data.len() / self.run);
        Tensor::from_fn(y, |i| x[0].data[i / span * self.run + i % span % self.run])
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let x = at.x[0].shape();
        let [runs, times] = self.runs(x)?;
        let by = || match (runs, self.run) {
            (_, 1) => at.dy.reshape([runs, times]).sum().reshape(x),
            (1, run) => at.dy.reshape([times, run]).column_sums().reshape(x),
            (_, run) => at.dy.reshape([runs, times, run]).transpose().sum().reshape(x),
        };
        Some(vec![at.by(0, by)])
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |run, x: &[usize], to: &[usize]| Case::new(Repeat { run, to: Shape::new(to) }, &[x]).bound(0.0);
    vec![
        case(12, &[12], &[5, 7, 12]),
        case(7, &[7], &[33, 7]).fill(Fill::NonFinite),
        case(1, &[9, 1], &[9, 20]).fill(Fill::NonFinite),
        case(1, &[2, 3, 5], &[2, 3, 5, 7]),
        case(1, &[1], &[1025]),
        case(1, &[1], &[64, 16]),
        case(8, &[3, 8], &[3, 5, 7, 8]),
        case(3, &[4, 3], &[4, 11, 9, 3]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Graph;

    #[test]
    fn by_hand() {
        let x = Tensor::new([2], vec![1.0, 2.0]);
        let graph = Graph::new();
        let v = graph.input("x", [2]);
        let to = Shape::from([2, 2]);
        let outputs = [v.spread_rows(to), v.spread_columns(to), v.slice(0, 0, 1).spread_columns(to), v.spread_rows(v.shape())];
        let y = graph.eval(&outputs, &[&x]).unwrap();
        assert_eq!(y[0].data, [1.0, 2.0, 1.0, 2.0]);
        assert_eq!(y[1].data, [1.0, 1.0, 2.0, 2.0]);
        assert_eq!(y[2].data, [1.0; 4]);
        assert_eq!(y[3], x);
        let wrong = Repeat { run: 2, to: Shape::from([3]) };
        assert!(wrong.infer(&[Shape::from([2])]).unwrap_err().contains("evenly"));
        assert!(Repeat { run: 0, to }.infer(&[Shape::from([2])]).is_err());
    }
}
