//! What a candidate's output must be like beside the reference's.

use super::{Case, Fill};
use crate::tensor::Tensor;

impl Case {
    /// Normalised mean square error within the case's bound, per row too where outliers are planted; non-finite numbers never lost.
    ///
    /// # Errors
    /// Where and by how much `got` is not as `want`.
    pub fn compare(&self, got: &Tensor, want: &Tensor) -> Result<(), String> {
        for (i, (g, w)) in got.data.iter().zip(&want.data).enumerate() {
            if !w.is_finite() && g.is_finite() {
                return Err(format!("element {i} is {g}, the reference {w}: a non-finite number was lost"));
            }
            if w.is_finite() && !g.is_finite() && self.fill != Fill::NonFinite {
                return Err(format!("element {i} is {g}, the reference {w}"));
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
