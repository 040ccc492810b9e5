//! Gradients of layer norm: by its input, and what the one by its weight is the sum of.

use super::{ordered, software};
use crate::engine::{Caps, Form, Kernel, Op};
use crate::ops::{Case, Fill, row_kernels};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: x `[.., c]`, weight `[c]`, the gradient by the output, as x; the gradient by x.
#[derive(Debug)]
pub struct LayerNormDx {
    pub eps: f32,
}

/// Inputs: x and the gradient by the output, both `[.., c]`; that gradient times x as it is before weight and bias. Its column sums are the
/// gradient by the weight.
#[derive(Debug)]
pub struct LayerNormDw {
    pub eps: f32,
}

/// From images to an image or, as a twin, a buffer; `dy` is the number of that input.
fn twins(kernel: Option<Kernel>, dy: usize) -> Vec<Kernel> {
    let kernel = kernel.map(|k| k.read(dy, 2 + dy as u32, Form::Image { pad: 0 }));
    kernel.into_iter().flat_map(|k| [k.clone(), k.write(Form::Buffer).form("rows_image", "rows_buffer")]).collect()
}

/// A row less its mean, and its deviation.
fn centred(row: &[f32], eps: f32) -> (Vec<f64>, f64) {
    let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
    let centred: Vec<f64> = row.iter().map(|&v| f64::from(v) - mean).collect();
    let variance = centred.iter().map(|v| v * v).sum::<f64>() / row.len() as f64;
    (centred, (variance + f64::from(eps)).sqrt())
}

impl Op for LayerNormDx {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x, w, dy] if !x.is_empty() && w.dims() == [x.last()] && dy == x => Ok(*x),
            [x, ..] => Err(format!("a weight of {} and a gradient {x} are expected", x.last())),
            [] => Err("no input given".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let software = software(shader!("layer_norm_dx_software"), 3, x[0], caps);
        let software = software.map(|(kernel, lanes)| kernel.param("row4", x[0].last() / 4).subgroup(lanes));
        let rows = row_kernels((shader!("layer_norm_dx"), 3), x[0], 3, caps);
        ordered((twins(software, 2), rows), self.eps, caps)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let c = y.last();
        let rows = x[0].data.chunks(c).zip(x[2].data.chunks(c)).flat_map(|(row, dy)| {
            let (centred, deviation) = centred(row, self.eps);
            let g: Vec<f64> = dy.iter().zip(&x[1].data).map(|(&d, &w)| f64::from(d) * f64::from(w)).collect();
            let plain = g.iter().sum::<f64>() / c as f64;
            let along = g.iter().zip(&centred).map(|(g, d)| g * d).sum::<f64>() / c as f64 / deviation;
            let of = move |(g, d): (f64, f64)| ((g - plain - d / deviation * along) / deviation) as f32;
            g.into_iter().zip(centred).map(of)
        });
        Tensor::new(y, rows.collect())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        14 * x[0].len() as u64
    }
}

impl Op for LayerNormDw {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [x, dy] if !x.is_empty() && dy == x => Ok(*x),
            _ => Err("a tensor and a gradient of its shape are expected".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let software = software(shader!("layer_norm_dw_software"), 2, x[0], caps);
        let software = software.map(|(kernel, _)| kernel.param("row4", x[0].last() / 4));
        let rows = row_kernels((shader!("layer_norm_dw"), 2), x[0], 3, caps);
        ordered((twins(software, 1), rows), self.eps, caps)
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let rows = x[0].data.chunks(y.last()).zip(x[1].data.chunks(y.last())).flat_map(|(row, dy)| {
            let (centred, deviation) = centred(row, self.eps);
            let of = move |(d, &dy): (f64, &f32)| (f64::from(dy) * (d / deviation)) as f32;
            centred.into_iter().zip(dy).map(of)
        });
        Tensor::new(y, rows.collect())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        8 * x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let dx = |eps: f32, x: &[usize]| Case::new(LayerNormDx { eps }, &[x, &x[x.len() - 1..], x]).bound(1e-11);
    let dw = |eps: f32, x: &[usize]| Case::new(LayerNormDw { eps }, &[x, x]).bound(1e-11);
    vec![
        dx(1e-6, &[1, 4]),
        dx(1e-5, &[7, 24]),
        dx(1e-6, &[2, 197, 384]),
        dx(1e-6, &[3, 5, 64]).fill(Fill::Outliers),
        dx(1e-5, &[9, 33]).fill(Fill::NonFinite).planted_in(0),
        dx(1e-6, &[2, 17, 48]).fill(Fill::NonFinite).planted_in(2),
        dx(1e-6, &[70, 20]).fill(Fill::NonFinite).planted_in(1),
        dx(1e-6, &[2, 3, 1280]),
        dw(1e-6, &[1, 4]),
        dw(1e-5, &[7, 25]),
        dw(1e-6, &[2, 197, 384]),
        dw(1e-6, &[3, 5, 64]).fill(Fill::Outliers),
        dw(1e-5, &[9, 33]).fill(Fill::NonFinite).planted_in(0),
        dw(1e-6, &[2, 17, 48]).fill(Fill::NonFinite),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let x = Tensor::new([1, 2], vec![1.0, 3.0]);
        let [w, dy] = [[2.0, 1.0], [1.0, 0.0]].map(|v: [f32; 2]| Tensor::new([2], v.to_vec()));
        let dy = dy.reshape([1, 2]);
        // Two values always become -1 and 1, if nothing is added to the variance: nothing changes them.
        assert_eq!(LayerNormDx { eps: 0.0 }.reference(&[&x, &w, &dy], x.shape).data, [0.0, 0.0]);
        assert_eq!(LayerNormDw { eps: 0.0 }.reference(&[&x, &dy], x.shape).data, [-1.0, 0.0]);
        // With 3 added the deviation is 2, they are -1/2 and 1/2: (2 - 1 - 1/4) / 2 and (0 - 1 + 1/4) / 2.
        assert_eq!(LayerNormDx { eps: 3.0 }.reference(&[&x, &w, &dy], x.shape).data, [0.375, -0.375]);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let (x, c) = (Shape::from([2, 3]), Shape::from([3]));
        assert!(LayerNormDx { eps: 0.0 }.infer(&[x, c, c]).unwrap_err().contains("[2,3]"));
        assert!(LayerNormDx { eps: 0.0 }.infer(&[]).is_err());
        assert!(LayerNormDw { eps: 0.0 }.infer(&[x, c]).is_err());
    }
}
