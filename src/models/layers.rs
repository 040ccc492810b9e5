//! What networks of several families are made of.

use crate::engine::{Scope, Var};
use crate::weights::BatchNorms;

/// The batch norm at `norm` of what `conv` gives; where it was folded into the convolution, that one's bias.
pub fn batch_norm<'g>(y: Var<'g>, conv: &Scope<'g, '_>, norm: &Scope<'g, '_>, norms: &BatchNorms) -> Var<'g> {
    let c = [y.dim(3)];
    if !norm.has("running_var") {
        return y + conv.param("bias", c);
    }
    let [weight, bias, mean, var] = ["weight", "bias", "running_mean", "running_var"].map(|name| norm.param(name, c));
    y.batch_norm(weight, bias, mean, var, norms.eps as f32)
}

/// The classifier at `fc`: `feature x weight + bias`, `[n, classes]`; as many classes as the weights have. None without weights that fit.
pub fn classifier<'g>(feature: Var<'g>, fc: &Scope<'g, '_>) -> Option<Var<'g>> {
    let c = feature.dim(1);
    let classes = match (fc.shape("weight"), fc.shape("bias")) {
        (Some(weight), Some(bias)) if weight.dims() == [bias.len(), c] => bias.len(),
        (None, None) if fc.offers("weight") => 1000,
        _ => return None,
    };
    Some(feature.matmul_t(fc.param("weight", [classes, c])) + fc.param("bias", [classes]))
}
