//! Statistics of tokens in f64: their mean and covariance, the subspace that holds most of their variance, and the first component alone.

use crate::tensor::Tensor;
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// Tokens as columns, `[d, n]`, in f64.
fn columns(tokens: &Tensor) -> DMatrix<f64> {
    let (n, d) = tokens.shape.rows();
    DMatrix::from_iterator(d, n, tokens.data.iter().map(|&v| f64::from(v)))
}

/// Sums over tokens, from which mean and covariance follow; those of several pictures add up.
#[derive(Clone, Debug)]
pub struct Moments {
    n: usize,
    /// Subtracted from every token first, so that nothing cancels: the same for all that are added.
    about: DVector<f64>,
    sum: DVector<f64>,
    products: DMatrix<f64>,
}

impl Moments {
    /// Of no tokens, about the mean of these, `[.., d]`.
    pub fn about(tokens: &Tensor) -> Moments {
        let (d, about) = (tokens.shape.last(), columns(tokens).column_mean());
        Moments { n: 0, about, sum: DVector::zeros(d), products: DMatrix::zeros(d, d) }
    }

    /// The same without any tokens.
    pub fn empty(&self) -> Moments {
        let d = self.about.len();
        Moments { n: 0, about: self.about.clone(), sum: DVector::zeros(d), products: DMatrix::zeros(d, d) }
    }

    /// Counts tokens `[.., d]`.
    pub fn add(&mut self, tokens: &Tensor) {
        let mut x = columns(tokens);
        x.column_iter_mut().for_each(|mut column| column -= &self.about);
        self.n += x.ncols();
        self.sum += x.column_sum();
        self.products.gemm(1.0, &x, &x.transpose(), 1.0);
    }

    /// Counts what another one counted; it has to be about the same.
    pub fn join(&mut self, other: &Moments) {
        self.n += other.n;
        self.sum += &other.sum;
        self.products += &other.products;
    }

    /// Tokens counted.
    pub fn count(&self) -> usize {
        self.n
    }

    /// Mean and principal components: as few as together have at least the share `tau` of the variance. `None` for fewer than two tokens,
    /// tokens that are all the same, and tokens that are not finite.
    pub fn subspace(&self, tau: f64) -> Option<Subspace> {
        let n = self.n as f64;
        let mean = &self.sum / n;
        let covariance = (&self.products - &mean * mean.transpose() * n) / (n - 1.0);
        if self.n < 2 || !covariance.iter().all(|v| v.is_finite()) {
            return None;
        }
        let eigen = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
        let value = |i: usize| eigen.eigenvalues.get(i).copied().unwrap_or_default();
        order.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
        let eigenvalues: Vec<f64> = order.iter().map(|&i| value(i)).collect();
        let total: f64 = eigenvalues.iter().sum();
        if total.is_nan() || total <= 0.0 {
            return None;
        }
        let below = eigenvalues.iter().scan(0.0, |sum, v| {
            *sum += v;
            Some(*sum / total)
        });
        let kept = (below.take_while(|share| *share < tau).count() + 1).min(order.len());
        let d = order.len();
        let component = |&i: &usize| eigen.eigenvectors.column(i).iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let components = Tensor::new([kept, d], order.iter().take(kept).flat_map(component).collect());
        Some(Subspace { mean: (mean + &self.about).iter().copied().collect(), components, eigenvalues })
    }
}

/// Where most of the variance of tokens lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Subspace {
    /// Their mean, `d` values.
    pub mean: Vec<f64>,
    /// Orthonormal directions `[k, d]`, the one of most variance first.
    pub components: Tensor,
    /// Variances along all directions, descending.
    pub eigenvalues: Vec<f64>,
}

impl Subspace {
    /// The squared length of each token `[.., d]` without the mean and what lies in the subspace.
    pub fn outside(&self, tokens: &Tensor) -> Vec<f32> {
        let (mut x, mean) = (columns(tokens), DVector::from_column_slice(&self.mean));
        x.column_iter_mut().for_each(|mut column| column -= &mean);
        let components = columns(&self.components);
        let inside = &components * components.tr_mul(&x);
        (x - inside).column_iter().map(|left| left.norm_squared() as f32).collect()
    }
}

/// Steps of Lanczos's iteration before it begins again from what it found.
const STEPS: usize = 32;

/// Scores of tokens `[.., d]` on their first principal component: centred, not scaled; the largest entry of the component is positive.
///
/// The component comes from Lanczos's iteration: all eigenvectors of 768 values would take 0.6 s a picture, this takes 0.05.
pub fn first_scores(tokens: &Tensor) -> Vec<f64> {
    let mut x = columns(tokens);
    let mean = x.column_mean();
    x.column_iter_mut().for_each(|mut column| column -= &mean);
    // The token that lies farthest out: where one direction dominates it points there.
    let farthest = (0..x.ncols()).max_by(|&a, &b| x.column(a).norm_squared().total_cmp(&x.column(b).norm_squared()));
    let Some(mut vector) = farthest.and_then(|i| x.column(i).into_owned().try_normalize(0.0)) else {
        return vec![0.0; x.ncols()];
    };
    for _ in 0..STEPS {
        let (better, settled) = lanczos(&x, vector);
        vector = better;
        if settled {
            break;
        }
    }
    let peak = vector.iter().fold(0.0f64, |peak, &v| if v.abs() > peak.abs() { v } else { peak });
    (x.tr_mul(&vector) * peak.signum()).iter().copied().collect()
}

/// A better first eigenvector of x xᵀ, and whether it is as good as it gets.
fn lanczos(x: &DMatrix<f64>, start: DVector<f64>) -> (DVector<f64>, bool) {
    let (mut basis, mut diagonal, mut beside) = (vec![start], vec![], vec![]);
    for i in 0..STEPS.min(x.nrows()) {
        let Some(last) = basis.get(i) else { break };
        let mut next = x * x.tr_mul(last);
        diagonal.push(next.dot(last));
        // Twice is enough: what rounding leaves of earlier directions would grow.
        for _ in 0..2 {
            basis.iter().for_each(|b| next -= b * b.dot(&next));
        }
        let rest = next.norm();
        beside.push(rest);
        match next.try_normalize(1e-13 * diagonal.first().copied().unwrap_or(0.0)) {
            Some(unit) => basis.push(unit),
            None => break,
        }
    }
    let m = diagonal.len();
    let entry = |i: usize, j: usize| {
        if i == j {
            diagonal.get(i)
        } else if i.abs_diff(j) == 1 {
            beside.get(i.min(j))
        } else {
            None
        }
    };
    let eigen = SymmetricEigen::new(DMatrix::from_fn(m, m, |i, j| entry(i, j).copied().unwrap_or_default()));
    let (best, largest) = eigen.eigenvalues.argmax();
    let weights = eigen.eigenvectors.column(best);
    let mut vector = DVector::zeros(x.nrows());
    basis.iter().zip(weights.iter()).for_each(|(b, w)| vector += b * *w);
    let left = weights.iter().next_back().map_or(0.0, |w| w.abs()) * beside.last().copied().unwrap_or(0.0);
    (vector.try_normalize(0.0).unwrap_or_default(), left <= 1e-10 * largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::uniform;

    fn tokens(name: &str, n: usize, d: usize) -> Tensor {
        // Directions of falling variance, about a mean far from zero.
        Tensor::from_fn([n, d], |i| 100.0 + (uniform(name, i as u64) as f32 - 0.5) * 10.0 * 0.8f32.powi((i % d) as i32))
    }

    #[test]
    fn moments_of_parts_are_those_of_the_whole() {
        let (a, b) = (tokens("a", 90, 7), tokens("b", 60, 7));
        let both = Tensor::new([150, 7], [a.data.clone(), b.data.clone()].concat());
        let mut whole = Moments::about(&a);
        whole.add(&both);
        let mut parts = whole.empty();
        parts.add(&a);
        let mut second = whole.empty();
        second.add(&b);
        parts.join(&second);
        assert_eq!((parts.count(), second.count()), (150, 60));
        let (one, two) = (whole.subspace(0.9).unwrap(), parts.subspace(0.9).unwrap());
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-10);
        assert!(near(&one.mean, &two.mean) && near(&one.eigenvalues, &two.eigenvalues), "{one:?} {two:?}");
        let mean: f64 = both.data.iter().step_by(7).map(|&v| f64::from(v)).sum::<f64>() / 150.0;
        assert!((one.mean[0] - mean).abs() < 1e-9, "{} {mean}", one.mean[0]);
    }

    #[test]
    fn as_few_components_as_have_the_share() {
        // Variances 4 and 1, along a diagonal and across it.
        let s = std::f32::consts::FRAC_1_SQRT_2;
        let points = [[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        let data = points.iter().flat_map(|[a, b]| [s * (a - b), s * (a + b)]).collect();
        let rows = Tensor::new([4, 2], data);
        let mut moments = Moments::about(&rows);
        moments.add(&rows);
        let of = |tau: f64| moments.subspace(tau).unwrap();
        assert_eq!([of(0.79), of(0.81)].map(|s| s.components.shape.dim(0)), [1, 2]);
        let first = of(0.5);
        assert!((first.eigenvalues[0] - 8.0 / 3.0).abs() < 1e-6 && (first.eigenvalues[1] - 2.0 / 3.0).abs() < 1e-6);
        assert!((first.components.data[0].abs() - s).abs() < 1e-6, "{first:?}");
        assert_eq!(of(1.0).components.shape.dim(0), 2, "never more than there are");
    }

    #[test]
    fn no_variance_is_no_subspace() {
        let same = Tensor::new([5, 3], [1.0, 2.0, 3.0].repeat(5));
        let mut moments = Moments::about(&same);
        assert_eq!(moments.subspace(0.99), None);
        moments.add(&same);
        assert_eq!(moments.subspace(0.99), None);
        assert!(first_scores(&same).iter().all(|s| s.abs() < 1e-12), "{:?}", first_scores(&same));
        moments.add(&Tensor::new([2, 3], vec![f32::NAN; 6]));
        assert_eq!(moments.subspace(0.99), None);
    }

    #[test]
    fn first_scores_are_those_of_all_eigenvectors() {
        for (name, n, d) in [("x", 300, 40), ("y", 20, 64), ("z", 2, 5), ("w", 200, 3)] {
            let rows = tokens(name, n, d);
            let mut moments = Moments::about(&rows);
            moments.add(&rows);
            let all = moments.subspace(0.01).unwrap();
            let scores = first_scores(&rows);
            let variance = scores.iter().map(|s| s * s).sum::<f64>() / (n as f64 - 1.0);
            assert!((variance / all.eigenvalues[0] - 1.0).abs() < 1e-9, "{name}: {variance} {:?}", all.eigenvalues[0]);
            let first = &all.components.data[..d];
            let sign = first.iter().fold(0.0f32, |p, &v| if v.abs() > p.abs() { v } else { p }).signum();
            for (row, score) in rows.data.chunks(d).zip(&scores) {
                let centred = row.iter().zip(&all.mean).map(|(&v, m)| f64::from(v) - m);
                let want: f64 = centred.zip(first).map(|(v, &c)| v * f64::from(c * sign)).sum();
                assert!((want - score).abs() < 1e-4, "{name}: {score}, not {want}");
            }
        }
    }
}
