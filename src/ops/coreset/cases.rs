//! Cases of the selection's steps: odd sizes around every tile edge.

use super::apart::{Apart, Nearest};
use super::gather::Gather;
use super::picks::Picks;
use crate::ops::{Case, Fill};

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let gather = |first, x: &[&[usize]]| Case::new(Gather { first }, x).fill(Fill::Pairs);
    let nearest = |n: usize, p: usize, d: usize| Case::new(Nearest, &[&[n, d], &[p, d], &[n], &[p, 2]]);
    let picks = |steps, n: usize| Case::new(Picks { steps }, &[&[n, n], &[n], &[1, 2]]);
    vec![
        gather(0, &[&[5, 130], &[1, 2]]),
        gather(1, &[&[50, 7], &[33, 2], &[33, 7]]),
        nearest(1, 1, 1),
        nearest(1000, 1, 128),
        nearest(20_000, 70, 4).fill(Fill::Pairs),
        nearest(333, 33, 9).fill(Fill::Outliers),
        nearest(70, 40, 30).fill(Fill::NonFinite),
        Case::new(Apart, &[&[333, 9], &[70, 9]]).fill(Fill::Outliers),
        Case::new(Apart, &[&[65, 64], &[65, 64]]).fill(Fill::NonFinite),
        picks(20, 1),
        picks(70, 300).fill(Fill::Outliers),
        picks(5, 130).fill(Fill::NonFinite),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use crate::engine::Graph;
    use crate::tensor::Tensor;

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

    #[test]
    fn a_round_ends_where_a_row_that_is_no_candidate_may_come() {
        let graph = Graph::new();
        let rows = graph.weight("rows", Tensor::new([6, 1], vec![0.0, 1.0, 10.0, 4.0, 9.5, 7.0]).into());
        let anchor = graph.weight("anchor", Tensor::new([6], vec![0.0, 1.0, 10.0, 4.0, 9.5, 7.0]).into());
        let given = |name, of: &[f32]| graph.weight(name, Tensor::new([of.len() / 2, 2], of.to_vec()).into());
        let round = |candidates: &[f32], last: &[f32]| {
            let state = k_center_round(&[rows], &[anchor], given("c", candidates), given("last", last), 4);
            graph.eval(&[state.picks[0], state.anchors[0]], &[]).unwrap()
        };
        let found = round(&[10.0, 2.0, 4.0, 3.0, 9.5, 4.0], &[7.0, 3.0]);
        assert_eq!(found[0].data, [10.0, 0.0, -1.0, 0.0, -1.0, 0.0, -1.0, 0.0]);
        assert_eq!(found[1].data, [0.0, 1.0, 0.0, 4.0, 0.5, 3.0]);
        let tie = round(&[10.0, 2.0, 4.0, 3.0, 9.5, 4.0], &[4.0, 2.0]);
        assert_eq!(tie[0].data, [10.0, 0.0, 4.0, 1.0, -1.0, 1.0, -1.0, 1.0]);
    }
}
