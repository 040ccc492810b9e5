//! The head: from the vectors of each class to its prototype, and from a picture's vector to logits.
//!
//! Everything is f64 on the host: there are as many distances as classes, a few thousand products a picture beside the network's hundreds
//! of millions; and log-odds of pictures that are far from all classes need more digits than f32 has.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Norms are at least this before a vector is divided by its own.
const EPSILON: f64 = 1e-12;

/// How far a vector is from a prototype.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// The squared Euclidean distance: -‖q - p‖².
    #[default]
    Squared,
    /// The Euclidean distance: -‖q - p‖.
    Euclidean,
    /// The cosine of the angle between them.
    Cosine,
}

impl Distance {
    /// What it is multiplied by unless told otherwise: 1 as published, 10 for cosines, whose softmax is nearly uniform without.
    pub fn usual_scale(self) -> f64 {
        if self == Distance::Cosine { 10.0 } else { 1.0 }
    }

    /// Its name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Distance::Squared => "squared",
            Distance::Euclidean => "euclidean",
            Distance::Cosine => "cosine",
        }
    }
}

/// How vectors become logits: `-scale ‖q - p‖²`, `-scale ‖q - p‖` or `scale (cos(q, p) + bias)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The distance.
    pub distance: Distance,
    /// What it is multiplied by: an inverse temperature. It changes no label.
    pub scale: f64,
    /// Added to every cosine: it changes neither labels nor probabilities.
    pub bias: f64,
    /// Whether the mean of the support is subtracted from every vector, which is then divided by its norm (CL2N).
    pub center: bool,
    /// Whether squared distances are less the prototype's own variance, `tr(Σ̂) / n`: see [`Sums::scatter`].
    pub shot_correction: bool,
}

impl Head {
    /// With this distance, and everything else as it is published with it.
    pub fn new(distance: Distance) -> Head {
        Head { distance, scale: distance.usual_scale(), bias: 0.0, center: false, shot_correction: false }
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the value and what is allowed.
    pub fn check(&self) -> Result<()> {
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(Error::Usage(format!("scale {}: must be a number above 0", self.scale)));
        }
        if !self.bias.is_finite() {
            return Err(Error::Usage(format!("bias {}: must be a finite number", self.bias)));
        }
        if self.shot_correction && self.distance != Distance::Squared {
            let word = self.distance.word();
            return Err(Error::Usage(format!(
                "the shot correction is one of squared distances; with --distance {word} leave --shot-correction out"
            )));
        }
        Ok(())
    }
}

/// What is kept of the vectors of one class: enough for its mean and its spread, and for more vectors to be added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    /// How many there are.
    pub count: usize,
    /// Their sum.
    pub sum: Vec<f64>,
    /// The sum of their squared norms.
    pub squares: f64,
}

impl Sums {
    /// Of these vectors, all of one length.
    pub fn of(vectors: impl IntoIterator<Item = Vec<f64>>) -> Sums {
        vectors.into_iter().fold(Sums::default(), Sums::with)
    }

    /// These and one more.
    pub fn with(mut self, vector: Vec<f64>) -> Sums {
        self.count += 1;
        self.squares += dot(&vector, &vector);
        if self.sum.is_empty() {
            self.sum = vector;
        } else {
            self.sum.iter_mut().zip(vector).for_each(|(sum, v)| *sum += v);
        }
        self
    }

    /// Their mean: the class's prototype.
    pub fn mean(&self) -> Vec<f64> {
        self.sum.iter().map(|v| v / self.count.max(1) as f64).collect()
    }

    /// The sum of squared distances from their mean, exact to some 1e-16 of the sum of squared norms.
    pub fn scatter(&self) -> f64 {
        (self.squares - dot(&self.sum, &self.sum) / self.count.max(1) as f64).max(0.0)
    }
}

/// The trace of the covariance within classes, pooled over all of them; `None` where no class has two vectors.
///
/// In expectation a prototype of n vectors is farther from any query than the true mean is, by the squared distance `tr(Σ) / n`: classes
/// with fewer pictures look farther away.
pub fn pooled_trace(classes: &[Sums]) -> Option<f64> {
    let degrees: usize = classes.iter().map(|c| c.count.saturating_sub(1)).sum();
    (degrees > 0).then(|| classes.iter().map(Sums::scatter).sum::<f64>() / degrees as f64)
}

/// Prototypes, ready to compare vectors with.
#[derive(Clone, Debug)]
pub struct Prototypes {
    head: Head,
    center: Option<Vec<f64>>,
    means: Vec<Vec<f64>>,
    /// What is subtracted from the squared distance to each.
    corrections: Vec<f64>,
}

impl Prototypes {
    /// From the vectors of each class, one or more of each.
    ///
    /// # Errors
    /// As [`Head::check`]; [`Error::Usage`] if shots are to be corrected and no class has two vectors.
    pub fn new(head: &Head, classes: &[Vec<&[f32]>]) -> Result<Prototypes> {
        let center = head.center.then(|| Sums::of(classes.iter().flatten().map(|v| doubles(v))).mean());
        let seen = |v: &&[f32]| seen(&doubles(v), center.as_deref());
        let sums: Vec<Sums> = classes.iter().map(|vectors| Sums::of(vectors.iter().map(seen))).collect();
        let made = Prototypes::of_sums(&Head { center: false, ..*head }, &sums)?;
        Ok(Prototypes { head: *head, center, ..made })
    }

    /// Euclidean length of each, after centring where there is a centre.
    pub fn lengths(&self) -> Vec<f64> {
        self.means.iter().map(|mean| mean.iter().map(|v| v * v).sum::<f64>().sqrt()).collect()
    }

    /// From sums of vectors, where no centre is to be subtracted: that needs the vectors.
    ///
    /// # Errors
    /// As [`Prototypes::new`]; [`Error::Internal`] for a head that needs the vectors.
    pub fn of_sums(head: &Head, classes: &[Sums]) -> Result<Prototypes> {
        head.check()?;
        if head.center {
            return Err(Error::Internal("a centre was asked for where sums are all there is".into()));
        }
        let trace = match head.shot_correction {
            false => 0.0,
            true => pooled_trace(classes).ok_or_else(|| {
                let what = "the spread within classes cannot be estimated from one picture in every class; add a second one to any of \
                            them, or leave --shot-correction out";
                Error::Usage(what.into())
            })?,
        };
        let means = classes.iter().map(Sums::mean).collect();
        let corrections = classes.iter().map(|c| trace / c.count.max(1) as f64).collect();
        Ok(Prototypes { head: *head, center: None, means, corrections })
    }

    /// The logit of every class for a picture's vector.
    pub fn logits(&self, query: &[f32]) -> Vec<f64> {
        let query = seen(&doubles(query), self.center.as_deref());
        let Head { distance, scale, bias, .. } = self.head;
        let logit = |(mean, correction): (&Vec<f64>, &f64)| {
            let apart = || query.iter().zip(mean).map(|(q, p)| (q - p).powi(2)).sum::<f64>() - correction;
            match distance {
                Distance::Squared => -scale * apart(),
                Distance::Euclidean => -scale * apart().sqrt(),
                Distance::Cosine => scale * (dot(&normalised(query.clone()), &normalised(mean.clone())) + bias),
            }
        };
        self.means.iter().zip(&self.corrections).map(logit).collect()
    }
}

/// A vector as distances see it: as it is, or less the centre and of norm 1.
fn seen(vector: &[f64], center: Option<&[f64]>) -> Vec<f64> {
    match center {
        None => vector.to_vec(),
        Some(center) => normalised(vector.iter().zip(center).map(|(v, c)| v - c).collect()),
    }
}

/// A vector in f64.
pub fn doubles(vector: &[f32]) -> Vec<f64> {
    vector.iter().map(|v| f64::from(*v)).collect()
}

/// A vector divided by its norm, which is taken to be at least 1e-12.
pub fn normalised(vector: Vec<f64>) -> Vec<f64> {
    let norm = dot(&vector, &vector).sqrt().max(EPSILON);
    vector.into_iter().map(|v| v / norm).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_what_it_cannot_be() {
        let said = |head: Head| head.check().expect_err("refused").to_string();
        assert!(said(Head { scale: 0.0, ..Head::new(Distance::Cosine) }).contains("must be a number above 0"));
        assert!(said(Head { scale: f64::NAN, ..Head::new(Distance::Cosine) }).contains("must be a number above 0"));
        assert!(said(Head { bias: f64::INFINITY, ..Head::new(Distance::Cosine) }).contains("bias"));
        let corrected = Head { shot_correction: true, ..Head::new(Distance::Cosine) };
        assert!(said(corrected).contains("--distance cosine"));
        let corrected = Head { shot_correction: true, ..Head::new(Distance::Squared) };
        let one: &[f32] = &[1.0, 2.0];
        let refused = Prototypes::new(&corrected, &[vec![one], vec![one]]).expect_err("one picture each");
        assert!(refused.to_string().contains("one picture in every class"), "{refused}");
        assert!(Prototypes::new(&corrected, &[vec![one, one], vec![one]]).is_ok());
    }
}
