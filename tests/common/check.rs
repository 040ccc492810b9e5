//! One candidate of one case beside its reference, in fenced memory: what the sweep of ops and the report of a card share.

use lupe::engine::Gpu;
use lupe::engine::probe::probe;
use lupe::ops::Case;
use lupe::tensor::{Shape, Tensor};
use lupe::{Error, Result};

/// Whether fully checked modules of a case do not take long.
pub fn small(case: &Case) -> bool {
    let fits = |y: Shape| y.len() <= 20_000 && case.op.flops(&case.inputs, y) <= 20_000_000;
    case.output().is_ok_and(fits)
}

/// A case with its inputs and what the reference makes of them.
pub struct Expected<'c> {
    case: &'c Case,
    inputs: Vec<Tensor>,
    want: Tensor,
}

impl<'c> Expected<'c> {
    /// Computes the reference.
    ///
    /// # Errors
    /// [`Error::Shape`] for a case that is none.
    pub fn new(case: &'c Case) -> Result<Expected<'c>> {
        let inputs = case.tensors();
        let given: Vec<&Tensor> = inputs.iter().collect();
        let want = case.op.reference(&given, case.output().map_err(Error::Shape)?);
        Ok(Expected { case, inputs, want })
    }

    /// Modules to compare in: production's (`false`), and fully checked ones where that does not take long.
    pub fn modes(&self) -> &'static [bool] {
        if small(self.case) { &[false, true] } else { &[false] }
    }

    /// Compares candidate `number` with the reference in every mode, and the modes with each other bit for bit; the bits that it gave,
    /// one for every NaN, since which one it is follows from no sum.
    ///
    /// # Errors
    /// [`Error::Numeric`] with the mode and what differs, the worst element included; others as of [`probe`].
    pub fn check(&self, gpu: &Gpu, number: usize, modes: &[bool]) -> Result<Vec<u32>> {
        let inputs: Vec<&Tensor> = self.inputs.iter().collect();
        let mut seen: Vec<Vec<u32>> = vec![];
        for &checked in modes {
            let mode = if checked { "checked" } else { "production" };
            let wrong = |what: &str| Error::Numeric(format!("{mode}: {what}"));
            let got = probe(gpu, &self.case.op, number, &inputs, checked)?;
            if let Some(first) = got.trespasses.first() {
                return Err(wrong(first));
            }
            let compared = self.case.compare(&got.output, &self.want);
            compared.map_err(|what| wrong(&format!("{what}; {}", self.worst(&got.output))))?;
            seen.push(got.output.data.iter().map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect());
        }
        if seen.windows(2).any(|w| w[0] != w[1]) {
            return Err(Error::Numeric("production and checked modules disagree".into()));
        }
        Ok(seen.swap_remove(0))
    }

    /// The element that lies furthest from the reference; one that is no number where it should be lies furthest.
    fn worst(&self, got: &Tensor) -> String {
        let far = |&(_, (&g, &w)): &(usize, (&f32, &f32))| match g.is_finite() == w.is_finite() {
            true if g.is_finite() => (g - w).abs(),
            true => 0.0,
            false => f32::INFINITY,
        };
        let pairs = got.data.iter().zip(&self.want.data).enumerate();
        let worst = pairs.max_by(|a, b| far(a).total_cmp(&far(b)));
        worst.map_or("no element".into(), |(i, (g, w))| format!("worst is element {i}: {g}, the reference {w}"))
    }
}
