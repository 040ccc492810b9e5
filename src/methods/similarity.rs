//! Cosine similarity of features, and how well groups are told apart by it.

use crate::tensor::Tensor;

/// Similarities of all pairs, and what they say of the groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Separation {
    /// Cosine of every pair.
    pub table: Vec<Vec<f64>>,
    /// Smallest similarity within a group.
    pub within: f64,
    /// Largest similarity between groups.
    pub between: f64,
}

/// Cosine of two vectors; norms are floored at 1e-12.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a).sqrt().max(1e-12) * dot(b, b).sqrt().max(1e-12))
}

/// Similarities of `features`, the i-th of which belongs to group `groups[i]`.
pub fn separation(features: &[Tensor], groups: &[&str]) -> Separation {
    let row = |a: &Tensor| features.iter().map(|b| cosine(&a.data, &b.data)).collect::<Vec<f64>>();
    let table: Vec<Vec<f64>> = features.iter().map(row).collect();
    let (mut within, mut between) = (f64::INFINITY, f64::NEG_INFINITY);
    for (row, a) in table.iter().zip(groups) {
        for (&v, b) in row.iter().zip(groups) {
            if a == b {
                within = within.min(v);
            } else {
                between = between.max(v);
            }
        }
    }
    Separation { table, within, between }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_apart() {
        let t = |v: [f32; 2]| Tensor::new([1, 2], v.to_vec());
        let s = separation(&[t([1.0, 0.0]), t([2.0, 0.0]), t([0.0, 3.0])], &["a", "a", "b"]);
        assert!((s.within - 1.0).abs() < 1e-12 && s.between.abs() < 1e-12);
        assert!(cosine(&[0.0], &[0.0]).abs() < 1e-12);
    }
}
