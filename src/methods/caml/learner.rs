//! The transformer by itself: supports and queries in, logits out, without an encoder.

use super::support::TOGETHER;
use super::{Asking, Ways};
use crate::engine::{Gpu, Graph, Options, Plan, Store};
use crate::error::{Error, Result};
use crate::methods::episodes;
use crate::models::caml::Checkpoint;
use crate::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// The transformer of a checkpoint, planned for supports of one size and so many queries a run.
pub struct Planned<'c, 'g> {
    checkpoint: &'c Checkpoint,
    plan: Plan<'g>,
    codes: Tensor,
    queries: usize,
}

impl<'c, 'g> Planned<'c, 'g> {
    /// Plans it for supports of `pictures` pictures; `store` may hold the weights already.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub async fn new(
        gpu: &'g Gpu,
        checkpoint: &'c Checkpoint,
        [pictures, queries]: [usize; 2],
        (store, options): (&Store, Options),
    ) -> Result<Planned<'c, 'g>> {
        let (graph, caml) = (Graph::new(), checkpoint.caml);
        let asked = graph.input("queries", [queries, caml.features]);
        let support = graph.input("support", [pictures, caml.width()]);
        let logits = caml.logits(asked, &[support], &checkpoint.scope(&graph));
        let plan = Plan::new(gpu, &graph, &[logits], store, options).await?;
        Ok(Planned { checkpoint, plan, codes: checkpoint.codes(), queries })
    }

    /// The logits of all labels for each query, with a support of these features and labels.
    ///
    /// # Errors
    /// Whatever the device reports; [`Error::Shape`] for a support of another size.
    pub fn logits(&self, features: &[&[f32]], labels: &[usize], queries: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let (caml, n) = (self.checkpoint.caml, self.queries);
        let support = caml.support(features, labels, &self.codes);
        let mut found = vec![];
        for chunk in queries.chunks(n.max(1)) {
            let mut rows = chunk.concat();
            rows.resize(n * caml.features, 0.0); // a plan's queries are fixed; what is not asked is zero
            let run = self.plan.submit(&[&Tensor::new([n, caml.features], rows), &support])?;
            let logits = self.plan.collect(run)?;
            let rows = logits.iter().flat_map(|t| t.data.chunks_exact(caml.labels)).take(chunk.len());
            found.extend(rows.map(<[f32]>::to_vec));
        }
        Ok(found)
    }
}

/// What learns the classes of an episode: the transformer, planned for supports of several sizes.
pub struct Learner<'c, 'g> {
    ways: Ways,
    planned: BTreeMap<usize, Planned<'c, 'g>>,
}

impl<'c, 'g> Learner<'c, 'g> {
    /// For episodes of the classes of `ways` with supports of so many pictures of each class, and so many queries in all.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub async fn new(
        gpu: &'g Gpu,
        checkpoint: &'c Checkpoint,
        ways: Ways,
        (supports, queries): (&[Vec<usize>], usize),
        options: &Options,
    ) -> Result<Learner<'c, 'g>> {
        let (store, mut planned) = (Store::new(), BTreeMap::new());
        // Classes take part in an asking or do not.
        let size = |asking: &Asking, support: &[usize]| -> usize {
            support.iter().enumerate().filter(|(c, _)| ways.label(asking, *c).is_some()).map(|(_, n)| n).sum()
        };
        let of = |support: &Vec<usize>| ways.askings().iter().map(|asking| size(asking, support)).collect::<Vec<_>>();
        for size in supports.iter().flat_map(of).collect::<BTreeSet<usize>>() {
            let at_once = queries.clamp(1, (TOGETHER / (size + 1)).max(1));
            let plan = Planned::new(gpu, checkpoint, [size, at_once], (&store, options.clone())).await?;
            planned.insert(size, plan);
        }
        Ok(Learner { ways, planned })
    }

    fn asked(&self, asking: &Asking, support: &[Vec<&[f32]>], queries: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let own = support.iter().enumerate().filter_map(|(c, list)| Some((self.ways.label(asking, c)?, list)));
        let labelled = own.flat_map(|(label, list)| list.iter().map(move |feature| (*feature, label)));
        let (features, labels): (Vec<&[f32]>, Vec<usize>) = labelled.unzip();
        let planned = self.planned.get(&features.len());
        let planned = planned
            .ok_or_else(|| Error::Internal(format!("no transformer was planned for supports of {}", features.len())))?;
        planned.logits(&features, &labels, queries)
    }
}

impl episodes::Learner for Learner<'_, '_> {
    /// The logarithms of probabilities.
    fn logits(&mut self, support: &[Vec<&[f32]>], queries: &[&[f32]]) -> Result<Vec<Vec<f64>>> {
        let asked = self.ways.askings().iter().map(|asking| self.asked(asking, support, queries));
        let asked = asked.collect::<Result<Vec<_>>>()?;
        let of_query = |i: usize| {
            let all: Vec<&[f32]> = asked.iter().filter_map(|a| a.get(i)).map(Vec::as_slice).collect();
            self.ways.log_probabilities(&all)
        };
        Ok((0..queries.len()).map(of_query).collect())
    }
}
