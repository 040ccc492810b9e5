//! Layer norm over the last axis (Ba et al. 2016), and its gradients.

mod back;

use back::{LayerNormDw, LayerNormDx};

use crate::engine::{Backward, Caps, Family, Form, Kernel, Op, Shader, Var};
use crate::ops::{Case, Fill, row_kernels};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: x `[.., c]`, weight `[c]`, bias `[c]`; output as x.
#[derive(Debug)]
struct LayerNorm {
    eps: f32,
}


impl<'g> Var<'g> {
    /// (x - mean) / sqrt(variance + eps) * weight + bias along the last axis, with the mean and the biased variance of each row; `weight`
    /// and `bias` are vectors `[c]`.
    pub fn layer_norm(self, weight: Var<'g>, bias: Var<'g>, eps: f32) -> Var<'g> {
        self.apply(LayerNorm { eps }, &[self, weight, bias])
    }
}

impl Op for LayerNorm {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x, w, b] if !x.is_empty() && [w, b].iter().all(|v| v.dims() == [x.last()]) => Ok(*x),
            [x, ..] => Err(format!("weight and bias must be vectors of {}", x.last())),
            [] => Err("no input given".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let software = software(shader!("layer_norm_software"), 3, x[0], caps);
        let software = software.map(|(kernel, lanes)| kernel.param("c4", x[0].last() / 4).subgroup(lanes));
        ordered((software.into_iter().collect(), row_kernels((shader!("layer_norm"), 3), x[0], 3, caps)), self.eps, caps)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let c = y.last();
        let rows = x[0].data.chunks(c).flat_map(|row| {
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / c as f64;
            let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / c as f64;
            let deviation = (variance + f64::from(self.eps)).sqrt();
            let of = move |(&v, (&w, &b)): (&f32, (&f32, &f32))| {
                ((f64::from(v) - mean) / deviation * f64::from(w) + f64::from(b)) as f32
            };
            row.iter().zip(x[1].data.iter().zip(&x[2].data)).map(of)
        });
        Tensor::new(y, rows.collect())
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let &[x, weight, _] = at.x else { return None };
        let (dy, eps) = (at.dy, self.eps);
        Some(vec![
            at.by(0, || dy.apply(LayerNormDx { eps }, &[x, weight, dy])),
            at.by(1, || dy.apply(LayerNormDw { eps }, &[x, dy]).column_sums()),
            at.by(2, || dy.column_sums()),
        ])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        8 * x[0].len() as u64
    }
}

/// A kernel of the software family, a row a lane, and its lanes; channels in fours.
fn software(shader: &'static Shader, inputs: usize, x: Shape, caps: &Caps) -> Option<(Kernel, u32)> {
    let lanes = caps.subgroup.filter(|lanes| [4, 8, 16].contains(lanes) && x.last().is_multiple_of(4))?;
    let ((rows, c), image) = (x.rows(), Form::Image { pad: 0 });
    let kernel = Kernel::new(shader, inputs, lanes).set("LANES", format!("{lanes}u")).read(0, 2, image).write(image);
    let kernel = kernel.param("rows", rows).groups(rows.div_ceil(lanes as usize), 1, 1).iterations(3 * c / 4);
    Some((kernel.ordered("a row a lane"), lanes))
}

/// Both families with their epsilon, the adapter's own first.
fn ordered((software, rows): (Vec<Kernel>, Vec<Kernel>), eps: f32, caps: &Caps) -> Vec<Kernel> {
    let all = if caps.family == Family::Software { [software, rows] } else { [rows, software] };
    all.concat().into_iter().map(|k| k.param("eps", eps)).collect()
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |eps: f32, x: &[usize]| Case::new(LayerNorm { eps }, &[x, &x[x.len() - 1..], &x[x.len() - 1..]]).bound(1e-11);
    let mut all = vec![
        case(1e-6, &[1, 4]),
        case(1e-5, &[7, 24]),
        case(1e-6, &[2, 197, 384]),
        case(1e-6, &[3, 5, 64]).fill(Fill::Outliers),
        case(1e-5, &[9, 33]).fill(Fill::NonFinite).planted_in(0),
        case(1e-6, &[2, 17, 48]).fill(Fill::NonFinite).planted_in(0),
        case(1e-6, &[70, 20]).fill(Fill::NonFinite).planted_in(1),
        case(1e-6, &[2, 3, 1280]),
    ];
    all.extend(back::cases());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let x = Tensor::new([2, 2], vec![1.0, 3.0, 100.0, 100.0]);
        let [w, b] = [[2.0, 1.0], [0.5, 0.0]].map(|v: [f32; 2]| Tensor::new([2], v.to_vec()));
        let y = LayerNorm { eps: 0.0 }.reference(&[&x, &w, &b], x.shape);
        assert_eq!(y.data[..2], [-1.5, 1.0]);
        let y = LayerNorm { eps: 1.0 }.reference(&[&x, &w, &b], x.shape);
        assert_eq!(y.data[2..], [0.5, 0.0]);
    }

    #[test]
    fn vectors_of_another_length_are_told() {
        let (x, c) = (Shape::from([2, 3]), Shape::from([2]));
        assert!(LayerNorm { eps: 0.0 }.infer(&[x, c, c]).unwrap_err().contains("vectors of 3"));
        assert!(LayerNorm { eps: 0.0 }.infer(&[]).is_err());
    }
}
