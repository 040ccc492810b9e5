//! Greedy k-centre selection: the row farthest from everything chosen so far, again and again (Sener and Savarese 2018; section 3.2
//! of PatchCore). State is the anchor, each row's distance to its nearest centre.
//!
//! Anchors only ever fall. So the picks among the candidates, rows with the largest anchors, are the picks among all rows for as long
//! as they are better than the best row that is no candidate. A round finds these picks from the distances between candidates
//! alone; then all rows are read once for all of them.

mod apart;
mod cases;
mod gather;
mod picks;

pub use cases::cases;

use crate::engine::Var;
use apart::{Apart, Nearest};
use gather::Gather;
use picks::Picks;

/// Picks so far, and the anchor of every part of the rows.
#[derive(Clone, Debug)]
pub struct Selection<'g> {
    /// `[n, 2]` each: the anchor at the time, and the number of the row.
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

/// Up to `steps` such steps at once, the same picks and bits, from `candidates` `[c, 2]`: value and number of rows with the largest
/// anchors, by number. `last` `[1, 2]` is the best row that is none: its value, and how many candidates have a lower number. Picks
/// are `[steps, 2]`, the anchor and which candidate; after the last that is certain, values are -1.
pub fn k_center_round<'g>(
    parts: &[Var<'g>],
    anchors: &[Var<'g>],
    candidates: Var<'g>,
    last: Var<'g>,
    steps: usize,
) -> Selection<'g> {
    let Some(rows) = rows_of(parts, candidates) else { return Selection { picks: vec![], anchors: vec![] } };
    let values = candidates.slice(1, 0, 1).reshape([candidates.dim(0)]);
    let picks = rows.apply(Picks { steps }, &[rows.apply(Apart, &[rows, rows]), values, last]);
    let centres = rows.apply(Gather { first: 0 }, &[rows, picks]);
    Selection { picks: vec![picks], anchors: nearest(parts, anchors, centres, picks) }
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

/// Anchors after the rows of `picks` `[p, 2]` have become centres.
pub fn lowered<'g>(parts: &[Var<'g>], anchors: &[Var<'g>], picks: Var<'g>) -> Vec<Var<'g>> {
    rows_of(parts, picks).map_or(vec![], |centres| nearest(parts, anchors, centres, picks))
}

/// The rows of `parts` `[n, d]`, numbered through, that `picks` `[p, 2]` (value, number) name: `[p, d]`; none without parts.
pub fn rows_of<'g>(parts: &[Var<'g>], picks: Var<'g>) -> Option<Var<'g>> {
    let (mut first, mut rows): (usize, Option<Var>) = (0, None);
    for part in parts {
        let inputs: Vec<Var> = [*part, picks].into_iter().chain(rows).collect();
        rows = Some(part.apply(Gather { first }, &inputs));
        first += part.dim(0);
    }
    rows
}

fn nearest<'g>(parts: &[Var<'g>], anchors: &[Var<'g>], centres: Var<'g>, picks: Var<'g>) -> Vec<Var<'g>> {
    let of = |(part, anchor): (&Var<'g>, &Var<'g>)| part.apply(Nearest, &[*part, centres, *anchor, picks]);
    parts.iter().zip(anchors).map(of).collect()
}

/// Invocations of a workgroup.
const WG: usize = 64;

/// Centres that are left out together.
const GROUP: usize = 32;

/// Numbers of rows are stored as f32, which holds integers up to here.
const MAX_ROW: usize = 1 << 24;
