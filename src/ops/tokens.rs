//! The tokens of a vision transformer: rows that every picture has, then its patches with their positions (Dosovitskiy et al. 2021).

use crate::engine::{Backward, Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: patches `[n, h, w, d]` or `[n, t, d]`, prefix `[r, d]`, positions `[t, d]`; output `[n, r + t, d]`.
#[derive(Debug)]
struct Tokens;

impl<'g> Var<'g> {
    /// Patches `[n, h, w, d]` or `[n, t, d]` as tokens `[n, r + t, d]`: the rows of `prefix` `[r, d]` come first in every picture, and
    /// patch `i` has row `i` of `positions` `[t, d]` added.
    pub fn tokens(self, prefix: Var<'g>, positions: Var<'g>) -> Var<'g> {
        self.apply(Tokens, &[self, prefix, positions])
    }
}

const WG: usize = 256;

impl Op for Tokens {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [x, prefix, positions] = x else { return Err("expected patches, prefix and positions".into()) };
        let d = x.last();
        let t = x.len().checked_div(x.dim(0) * d).unwrap_or(0);
        match (x.rank(), prefix.dims(), positions.dims()) {
            (3 | 4, &[r, e], &[p, f]) if e == d && f == d && p == t && t * r > 0 => Ok(Shape::from([x.dim(0), r + t, d])),
            _ => Err(format!("prefix [r,{d}] and positions [{t},{d}] go with patches {x}")),
        }
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("tokens"), 3, WG as u32);
            let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
            let kernel = kernel.param("len", y.len() / width).param("prefix", x[1].len() / width);
            kernel.param("picture", x[2].len() / width).flat_groups((y.len() / width).div_ceil(WG))
        };
        widths(y.last()).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let pictures = x[0].data.chunks(x[2].data.len()).flat_map(|picture| {
            let patches = picture.iter().zip(&x[2].data).map(|(&v, &p)| (f64::from(v) + f64::from(p)) as f32);
            x[1].data.iter().copied().chain(patches)
        });
        Tensor::new(y, pictures.collect())
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let &[x, prefix, positions] = at.x else { return None };
        let (first, all) = (prefix.dim(0), at.y.dim(1));
        // Every picture has the same rows added: their gradients are sums over pictures.
        let over_pictures = |rows: Var<'g>, of: Var<'g>| match x.dim(0) {
            1 => rows.reshape(of.shape()),
            n => rows.reshape([n, of.shape().len()]).column_sums().reshape(of.shape()),
        };
        let patches = || at.dy.slice(1, first, all);
        Some(vec![
            at.by(0, || patches().reshape(x.shape())),
            at.by(1, || over_pictures(at.dy.slice(1, 0, first), prefix)),
            at.by(2, || over_pictures(patches(), positions)),
        ])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new(Tokens, &[&[2, 3, 5, 8], &[1, 8], &[15, 8]]),
        Case::new(Tokens, &[&[3, 4, 6], &[5, 6], &[4, 6]]).fill(Fill::NonFinite),
        Case::new(Tokens, &[&[1, 14, 14, 384], &[1, 384], &[196, 384]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let x = Tensor::new([2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let (prefix, positions) = (Tensor::new([1, 2], vec![7.0, 8.0]), Tensor::new([1, 2], vec![10.0, 20.0]));
        let y = Tokens.reference(&[&x, &prefix, &positions], Shape::from([2, 2, 2]));
        assert_eq!(y.data, [7.0, 8.0, 11.0, 22.0, 7.0, 8.0, 13.0, 24.0]);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let (x, prefix) = (Shape::from([2, 3, 4, 8]), Shape::from([1, 8]));
        let says = |positions: Shape| Tokens.infer(&[x, prefix, positions]);
        assert_eq!(says(Shape::from([12, 8])), Ok(Shape::from([2, 13, 8])));
        assert!(says(Shape::from([11, 8])).unwrap_err().contains("positions [12,8]"));
        assert!(Tokens.infer(&[x]).is_err());
    }
}
