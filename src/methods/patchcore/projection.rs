//! What PatchCore draws at random: the projection before the selection, and the rows at which the selection starts.

use super::{Config, Preset};
use crate::random::{distinct, uniform};
use crate::tensor::Tensor;

/// The matrix `[k, d]` by which rows are projected before the selection, or `None` if they are narrow enough. `official`: 128
/// rows, uniform in ±1/√d. `anomalib`: very sparse (Li et al. 2006), k by Johnson and Lindenstrauss for `n` rows and eps 0.9.
pub fn projection(config: &Config, n: usize, d: usize) -> Option<Tensor> {
    let name = format!("patchcore.projection.{}", config.seed);
    match config.preset {
        Preset::Official if d <= 128 => None,
        Preset::Official => {
            let bound = 1.0 / (d as f64).sqrt();
            Some(Tensor::from_fn([128, d], |i| ((2.0 * uniform(&name, i as u64) - 1.0) * bound) as f32))
        }
        Preset::Anomalib => {
            const EPS: f64 = 0.9;
            let k = (4.0 * (n as f64).ln() / (EPS * EPS / 2.0 - EPS * EPS * EPS / 3.0)) as usize;
            if k == 0 || k >= d {
                return None;
            }
            let density = 1.0 / (d as f64).sqrt();
            let value = (1.0 / density).sqrt() / (k as f64).sqrt();
            Some(Tensor::from_fn([k, d], |i| {
                let u = uniform(&name, i as u64);
                let signed = if u < density / 2.0 { value } else { -value };
                if u < density { signed as f32 } else { 0.0 }
            }))
        }
    }
}

/// The `count` rows of `n` at which the selection starts.
pub fn starts(seed: u64, count: usize, n: usize) -> Vec<usize> {
    distinct(&format!("patchcore.start.{seed}"), count, n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_the_projections() {
        let anomalib = Config::new(Preset::Anomalib);
        let k = |n| projection(&anomalib, n, 1536).map(|t| t.shape.dim(0));
        assert_eq!([47_040, 163_856, 214_016, 306_544].map(k), [265, 296, 303, 311].map(Some));
        assert!(projection(&anomalib, 47_040, 200).is_none());
        let dense = projection(&Config::new(Preset::Official), 1, 1024).unwrap();
        assert!(dense.shape.dims() == [128, 1024] && dense.data.iter().all(|v| v.abs() <= 0.03125));
        assert!([112, 128].iter().all(|&d| projection(&Config::new(Preset::Official), 1, d).is_none()));
        let sparse = projection(&anomalib, 47_040, 1536).unwrap();
        let share = sparse.data.iter().filter(|v| **v != 0.0).count() as f64 / sparse.data.len() as f64;
        assert!((share * 1536f64.sqrt() - 1.0).abs() < 0.05, "{share}");
    }
}
