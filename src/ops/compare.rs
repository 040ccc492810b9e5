//! What a candidate's output must be like beside the reference's.

use super::{Case, Fill};
use crate::tensor::Tensor;

impl Case {
    /// Normalised mean square error within the case's bound, per row too where outliers are planted. The same places are non-finite
    /// in both; there may be more of them than in `want` only where the case says why ([`Case::spreads`]).
    ///
    /// # Errors
    /// Where and by how much `got` is not as `want`.
    pub fn compare(&self, got: &Tensor, want: &Tensor) -> Result<(), String> {
        for (i, (g, w)) in got.data.iter().zip(&want.data).enumerate() {
            if !w.is_finite() && g.is_finite() {
                return Err(format!("element {i} is {g}, the reference {w}: a non-finite number was lost"));
            }
            if w.is_finite() && !g.is_finite() && self.spreads.is_none() {
                return Err(format!("element {i} is {g}, the reference {w}: a non-finite number where none belongs"));
            }
        }
        let rows = if self.fill == Fill::Outliers { want.shape.last().max(1) } else { want.data.len().max(1) };
        for (row, (g, w)) in got.data.chunks(rows).zip(want.data.chunks(rows)).enumerate() {
            let error = nmse(g, w);
            if error > self.bound {
                return Err(format!("row {row}: normalised error {error:.2e}, allowed {:.0e}", self.bound));
            }
        }
        Ok(())
    }
}

fn nmse(got: &[f32], want: &[f32]) -> f64 {
    let finite = || got.iter().zip(want).filter(|(g, w)| g.is_finite() && w.is_finite());
    let error: f64 = finite().map(|(&g, &w)| (f64::from(g) - f64::from(w)).powi(2)).sum();
    let power: f64 = finite().map(|(_, &w)| f64::from(w).powi(2)).sum();
    if error == 0.0 { 0.0 } else { error / power }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::matmul::Matmul;

    /// What comparing `got` with [`WANT`] comes to.
    fn compared(case: &Case, got: [f32; 4]) -> Result<(), String> {
        let tensor = |data: [f32; 4]| Tensor::from_fn([4], |i| data[i]);
        case.compare(&tensor(got), &tensor(WANT))
    }

    const WANT: [f32; 4] = [f32::NAN, f32::INFINITY, 2.0, -1.0];

    #[test]
    fn numbers_that_are_not_finite_stay_where_they_belong() {
        let case = |fill| Case::new(Matmul::default(), &[]).fill(fill);
        for fill in [Fill::NonFinite, Fill::Uniform] {
            let strict = case(fill);
            assert_eq!(compared(&strict, WANT), Ok(()));
            let wrong = |got, what: &str| {
                let said = compared(&strict, got).expect_err("a planted fault");
                assert!(said.contains(what), "{said}");
            };
            wrong([f32::NAN; 4], "element 2 is NaN, the reference 2");
            wrong([f32::NAN, 7.0, 2.0, -1.0], "element 1 is 7, the reference inf: a non-finite number was lost");
            wrong([0.0, f32::INFINITY, 2.0, -1.0], "was lost");
            wrong([f32::NAN, f32::INFINITY, 2.0, f32::NAN], "element 3 is NaN");
            wrong([f32::NAN, f32::INFINITY, 2.1, -1.0], "normalised error");
        }
    }

    #[test]
    fn a_case_that_spreads_still_loses_none_and_compares_the_rest() {
        let case = Case::new(Matmul::default(), &[]).fill(Fill::NonFinite).spreads("for a test");
        assert_eq!(compared(&case, [f32::NAN, f32::INFINITY, 2.0, f32::NAN]), Ok(()));
        assert!(compared(&case, [f32::NAN, 7.0, 2.0, f32::NAN]).is_err());
        assert!(compared(&case, [f32::NAN, f32::INFINITY, 2.1, f32::NAN]).is_err());
    }
}
