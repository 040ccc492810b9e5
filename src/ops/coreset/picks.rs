//! The picks among candidates, from the distances between them: one workgroup, no dispatch between picks.

use crate::engine::{Caps, Family, Kernel, Op};
use crate::ops::better;
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: distances `[c, c]`, anchors `[c]`, and what a pick must be better than `[1, 2]`, in value or, with the same value, by a
/// lower number; the first need not be. Output `[steps, 2]`: the anchor and which candidate; after the last, -1 and that one again.
#[derive(Debug)]
pub(super) struct Picks {
    pub steps: usize,
}

/// Candidates whose anchors workgroup memory holds everywhere, beside what the search takes.
const MOST: usize = 2048;

impl Picks {
    /// Anchors in the registers of one subgroup.
    fn software(&self, n: usize, caps: &Caps) -> Option<Kernel> {
        let lanes = caps.subgroup.filter(|l| [4, 8, 16].contains(l))?;
        let each = n.div_ceil(lanes as usize);
        let kernel = Kernel::new(shader!("k_center_picks_software"), 3, lanes)
            .set("LANES", format!("{lanes}u"))
            .set("EACH", format!("{each}u"))
            .param("n", n)
            .param("steps", self.steps)
            .iterations(self.steps * 4)
            .subgroup(lanes);
        (each <= 256).then_some(kernel)
    }

    fn shared(&self, n: usize, wg: usize) -> Kernel {
        Kernel::new(shader!("k_center_picks"), 3, wg as u32)
            .set("WG", wg)
            .param("n", n)
            .param("steps", self.steps)
            .iterations(n.div_ceil(wg) + self.steps * (1 + n.div_ceil(wg)))
            .shared((4 * MOST + 8 * wg) as u32)
    }
}

impl Op for Picks {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [apart, anchor, last] = x else { return Err("expected distances, anchors and a bound".into()) };
        let n = anchor.dim(0);
        if anchor.rank() != 1 || !(1..=MOST).contains(&n) || apart.dims() != [n, n] || last.dims() != [1, 2] {
            return Err(format!("expected distances [c, c], anchors [c], at most {MOST}, and a bound [1, 2]"));
        }
        Ok(Shape::from([self.steps, 2]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let n = x[1].dim(0);
        let (software, shared) = (self.software(n, caps), [256, 64].map(|wg| self.shared(n, wg)));
        match caps.family {
            Family::Software => software.into_iter().chain(shared).collect(),
            Family::Gpu => [shared[0].clone()].into_iter().chain(software).chain([shared[1].clone()]).collect(),
        }
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (mut anchors, n, last) = (x[1].data.clone(), x[1].data.len(), (x[2].data[0], x[2].data[1]));
        let (mut found, mut going) = (Vec::with_capacity(y.len()), true);
        for step in 0..self.steps {
            let pairs = anchors.iter().enumerate().map(|(i, &v)| (v, i as f32));
            let best = pairs.reduce(|a, b| if better(b, a) { b } else { a }).unwrap_or(last);
            going = going && (step == 0 || better(best, last));
            let pick = if going { best } else { (-1.0, found.last().copied().unwrap_or(0.0)) };
            found.extend([pick.0, pick.1]);
            let lower = |(a, &d): (&mut f32, &f32)| *a = if a.is_nan() || d.is_nan() { f32::NAN } else { a.min(d) };
            anchors.iter_mut().zip(&x[0].data[pick.1 as usize * n..]).for_each(lower);
        }
        Tensor::new(y, found)
    }
}
