//! Greedy k-centre selection: the row farthest from everything chosen so far, again and again (Sener and Savarese 2018; section 3.2
//! of PatchCore). State is the anchor, each row's distance to its nearest centre; nothing leaves the device between steps.

use crate::engine::{Caps, Family, Form, Kernel, Op, Var};
use crate::ops::{Case, Fill};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: rows `[n, d]`, pick `[1, 2]` (value, number of the row), and what earlier parts gave `[1, d]`.
#[derive(Debug)]
struct GatherRow {
    first: usize,
}

/// Inputs: rows `[n, d]`, anchor `[n]`, centre `[1, d]`.
#[derive(Debug)]
struct KCenter;

/// Picks so far, and the anchor of every part of the rows.
#[derive(Clone, Debug)]
pub struct Selection<'g> {
    /// `[1, 2]` each: the anchor at the time, and the number of the row.
    pub picks: Vec<Var<'g>>,
    /// `[n]` for every part.
    pub anchors: Vec<Var<'g>>,
}

/// `steps` steps of the selection from `anchors`: each takes the row with the largest anchor, then lowers every anchor to the
/// distance to it. The rows lie in `parts` `[n, d]`, numbered through.
pub fn k_center<'g>(parts: &[Var<'g>], anchors: &[Var<'g>], steps: usize) -> Selection<'g> {
    let mut state = Selection { picks: vec![], anchors: anchors.to_vec() };
    for _ in 0..steps {
        let Some(pick) = farthest(&state.anchors) else { break };
        state.anchors = lowered(parts, &state.anchors, pick);
        state.picks.push(pick);
    }
    state
}

/// The largest anchor and the number of its row.
fn farthest<'g>(anchors: &[Var<'g>]) -> Option<Var<'g>> {
    let (mut first, mut best): (usize, Option<Var>) = (0, None);
    for anchor in anchors {
        let own = anchor.arg_max_of_all(first);
        best = Some(best.map_or(own, |b| b.concat(own, 0)));
        first += anchor.dim(0);
    }
    best.map(|b| if anchors.len() > 1 { b.best_pair() } else { b })
}

/// Anchors after the row of `pick` `[1, 2]` has become a centre.
pub fn lowered<'g>(parts: &[Var<'g>], anchors: &[Var<'g>], pick: Var<'g>) -> Vec<Var<'g>> {
    let (mut first, mut centre): (usize, Option<Var>) = (0, None);
    for part in parts {
        let inputs: Vec<Var> = [*part, pick].into_iter().chain(centre).collect();
        centre = Some(part.apply(GatherRow { first }, &inputs));
        first += part.dim(0);
    }
    let step = |(part, anchor): (&Var<'g>, &Var<'g>)| centre.map(|c| part.apply(KCenter, &[*part, *anchor, c]));
    parts.iter().zip(anchors).filter_map(step).collect()
}

const WG: usize = 64;

/// Rows that a lane of the software kernel takes: the centre is loaded once for them.
const ROWS_PER_LANE: usize = 4;

impl Op for GatherRow {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [rows, pick, rest @ ..] = x else { return Err("rows and a pick are wanted".into()) };
        let row = Shape::from([1, rows.dim(1)]);
        if rows.rank() != 2 || rows.is_empty() || pick.dims() != [1, 2] || rest.len() > 1 || rest.iter().any(|r| *r != row) {
            return Err("rows [n, d], a pick [1, 2] and perhaps an earlier row [1, d] are wanted".into());
        }
        Ok(row)
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let (n, d) = (x[0].dim(0), x[0].dim(1));
        let kernel = Kernel::new(shader!("gather_row"), x.len(), WG as u32);
        let kernel = if x.len() == 3 { kernel } else { kernel.import("earlier", "earlier_none") };
        vec![kernel.param("d", d).param("n", n).param("first", self.first).flat_groups(d.div_ceil(WG))]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (n, d, number) = (x[0].shape.dim(0), x[0].shape.dim(1), x[1].data[1] as usize);
        if x[1].data[1] >= 0.0 && (self.first..self.first + n).contains(&number) {
            return Tensor::new(y, x[0].data[(number - self.first) * d..][..d].to_vec());
        }
        x.get(2).map_or(Tensor::zeros(y), |t| (*t).clone())
    }
}

impl Op for KCenter {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [rows, anchor, centre]
                if rows.rank() == 2
                    && !rows.is_empty()
                    && anchor.dims() == [rows.dim(0)]
                    && centre.dims() == [1, rows.dim(1)] =>
            {
                Ok(*anchor)
            }
            _ => Err("rows [n, d], an anchor [n] and a centre [1, d] are wanted".into()),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let (rows, d) = x[0].rows();
        let image = Form::Image { pad: 0 };
        let software = Kernel::new(shader!("k_center_software"), 3, WG as u32)
            .read(0, 2, image)
            .read(2, 4, image)
            .param("rows", rows)
            .param("k4", d.div_ceil(4))
            .iterations(d.div_ceil(4))
            .flat_groups(rows.div_ceil(WG * ROWS_PER_LANE));
        let lanes = |lanes: usize| {
            let kernel = Kernel::new(shader!("k_center"), 3, WG as u32)
                .set("LANES", lanes)
                .param("rows", rows)
                .param("d", d)
                .iterations(d.div_ceil(lanes))
                .flat_groups(rows.div_ceil(WG / lanes));
            if lanes == 1 { kernel.import("reduce", "reduce_alone") } else { kernel.shared(4 * WG as u32) }
        };
        let first = (caps.family == Family::Software).then_some(software);
        first.into_iter().chain([16, 64, 1].map(lanes)).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let d = x[0].shape.dim(1);
        Tensor::from_fn(y, |r| {
            let row = &x[0].data[r * d..][..d];
            let squares = row.iter().zip(&x[2].data).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
            let (distance, old) = (squares.sum::<f64>().sqrt(), f64::from(x[1].data[r]));
            (if distance.is_nan() || old.is_nan() { f64::NAN } else { old.min(distance) }) as f32
        })
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        3 * x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let gather = |first, x: &[&[usize]]| Case::new(GatherRow { first }, x).fill(Fill::Pairs);
    let centre = |n: usize, d: usize| Case::new(KCenter, &[&[n, d], &[n], &[1, d]]);
    vec![
        gather(0, &[&[5, 130], &[1, 2]]),
        gather(1, &[&[5, 7], &[1, 2], &[1, 7]]),
        centre(1, 1),
        centre(1000, 128),
        centre(333, 9).fill(Fill::Outliers),
        centre(70, 30).fill(Fill::NonFinite),
        centre(20_000, 4),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Graph;

    #[test]
    fn the_farthest_comes_first_whatever_the_parts() {
        let points = [0.0f32, 1.0, 10.0, 4.0, 10.0];
        let run = |cut: usize| {
            let graph = Graph::new();
            let part = |at: std::ops::Range<usize>| Tensor::new([at.len(), 1], points[at].to_vec());
            let data = [part(0..cut), part(cut..5)];
            let rows: Vec<Var> = data.iter().map(|t| graph.weight("rows", t.clone().into())).collect();
            let start = |t: &Tensor| Tensor::new([t.data.len()], t.data.clone()); // distance to the point 0
            let anchors: Vec<Var> = data.iter().map(|t| graph.weight("anchor", start(t).into())).collect();
            let picks = k_center(&rows, &anchors, 4).picks;
            graph.eval(&picks, &[]).unwrap().iter().map(|p| (p.data[0], p.data[1])).collect::<Vec<_>>()
        };
        let want = [(10.0, 2.0), (4.0, 3.0), (1.0, 1.0), (0.0, 0.0)];
        assert_eq!(run(2), want);
        assert_eq!(run(3), want);
    }
}
