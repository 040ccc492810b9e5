//! Folds batch norms into the convolutions before them.

use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

type Named = BTreeMap<String, Arc<Tensor>>;

/// How a family of networks names and computes its batch norms.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorms {
    /// Added to the variance.
    pub eps: f64,
    /// Path of the convolution before the batch norm at a path; `None` if that is not one of this family's.
    pub follows: fn(&str) -> Option<String>,
}

impl BatchNorms {
    /// Of a network without any.
    pub const NONE: BatchNorms = BatchNorms { eps: 0.0, follows: |_| None };

    /// Whether the network has none.
    pub fn is_none(&self) -> bool {
        self.eps == 0.0
    }

    /// Names of the biases that convolutions have besides their batch norms: folding takes them in.
    pub fn absorbed(&self, named: &Named) -> Vec<String> {
        let convs = named.keys().filter_map(|k| (self.follows)(k.strip_suffix(".running_var")?));
        convs.map(|conv| format!("{conv}.bias")).filter(|bias| named.contains_key(bias)).collect()
    }
}

/// `W'_c = W_c s_c`, `b'_c = bias_c - mean_c s_c` with `s_c = weight_c / sqrt(var_c + eps)`, in f64, rounded once.
pub fn fold(mut named: Named, norms: &BatchNorms) -> Result<Named, Vec<String>> {
    let paths: Vec<String> = named.keys().filter_map(|k| k.strip_suffix(".running_var")).map(str::to_string).collect();
    let mut problems = vec![];
    for norm in paths {
        match folded(&named, &norm, norms) {
            Ok((conv, weight, bias)) => {
                for part in ["weight", "bias", "running_mean", "running_var"] {
                    named.remove(&format!("{norm}.{part}"));
                }
                named.insert(format!("{conv}.weight"), Arc::new(weight));
                named.insert(format!("{conv}.bias"), Arc::new(bias));
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(named) } else { Err(problems) }
}

fn folded(named: &Named, norm: &str, norms: &BatchNorms) -> Result<(String, Tensor, Tensor), String> {
    let conv = (norms.follows)(norm).ok_or(format!("{norm} is a batch norm that follows no known convolution"))?;
    let weight = named.get(&format!("{conv}.weight")).ok_or(format!("{norm} needs {conv}.weight, which is missing"))?;
    let channels = weight.shape.dim(0);
    let part = |name: &str| match named.get(&format!("{norm}.{name}")) {
        Some(t) if t.data.len() == channels => Ok(t),
        Some(t) => Err(format!("{norm}.{name} has shape {}, but {conv} has {channels} channels", t.shape)),
        None => Err(format!("{norm}.{name} is missing")),
    };
    let (gain, shift, mean, var) = (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
    if let Some(v) = var.data.iter().find(|v| f64::from(**v) + norms.eps <= 0.0) {
        return Err(format!("{norm}.running_var contains {v}, which cannot be a variance"));
    }
    let own = named.get(&format!("{conv}.bias"));
    let scale: Vec<f64> =
        gain.data.iter().zip(&var.data).map(|(&g, &v)| f64::from(g) / (f64::from(v) + norms.eps).sqrt()).collect();
    let bias = shift.data.iter().zip(&mean.data).zip(&scale).enumerate().map(|(c, ((&b, &m), s))| {
        let own = own.and_then(|t| t.data.get(c)).map_or(0.0, |&v| f64::from(v));
        (f64::from(b) + (own - f64::from(m)) * s) as f32
    });
    let bias = Tensor::new([channels], bias.collect());
    let per_channel = (weight.data.len() / channels.max(1)).max(1);
    let rows = weight.data.chunks(per_channel).zip(&scale);
    let data = rows.flat_map(|(row, s)| row.iter().map(move |&w| (f64::from(w) * s) as f32)).collect();
    Ok((conv, Tensor::new(weight.shape, data), bias))
}
