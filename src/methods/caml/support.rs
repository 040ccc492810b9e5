//! The support in a graph: for every asking its tokens, those of one size together.

use super::Ways;
use crate::engine::{Graph, Var};
use crate::models::caml::Checkpoint;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tokens at most that go through the transformer together: between the two layers of a block each has 4096 values in
/// released checkpoints, 64 MiB in all, half of what every adapter can bind.
pub(super) const TOGETHER: usize = 4096;

/// Askings that go through the transformer together.
#[derive(Clone, Debug)]
struct Part {
    /// Their numbers.
    askings: Vec<usize>,
    /// The tokens `[s, width]` of each.
    supports: Vec<Arc<Tensor>>,
}

/// The support as all askings have it.
#[derive(Clone, Debug)]
pub(super) struct Supports {
    parts: Vec<Part>,
    askings: usize,
}

impl Supports {
    /// Of pictures with these features, each of the class of that number.
    pub fn new(checkpoint: &Checkpoint, ways: &Ways, features: &[&[f32]], classes: &[usize]) -> Supports {
        let codes = checkpoint.codes();
        let mut by_size = BTreeMap::<usize, Vec<(usize, Arc<Tensor>)>>::new();
        for (number, asking) in ways.askings().iter().enumerate() {
            let own = classes.iter().zip(features).filter_map(|(class, f)| Some((*f, ways.label(asking, *class)?)));
            let (features, labels): (Vec<&[f32]>, Vec<usize>) = own.unzip();
            let tokens = checkpoint.caml.support(&features, &labels, &codes);
            by_size.entry(features.len()).or_default().push((number, Arc::new(tokens)));
        }
        let parts = by_size.into_iter().flat_map(|(size, all)| {
            let together = (TOGETHER / (size + 1)).max(1);
            let part = |chunk: &[(usize, Arc<Tensor>)]| {
                let (askings, supports) = chunk.iter().cloned().unzip();
                Part { askings, supports }
            };
            all.chunks(together).map(part).collect::<Vec<_>>()
        });
        Supports { parts: parts.collect(), askings: ways.askings().len() }
    }

    /// The logits `[k q, labels]` of queries `[q, f]`, one value for each part.
    pub fn logits<'g>(&self, checkpoint: &Checkpoint, graph: &'g Graph, queries: Var<'g>) -> Vec<Var<'g>> {
        let scope = checkpoint.scope(graph);
        let constant =
            |(number, tokens): (&usize, &Arc<Tensor>)| graph.weight(&format!("support.{number}"), tokens.clone());
        let part = |part: &Part| {
            let supports: Vec<Var> = part.askings.iter().zip(&part.supports).map(constant).collect();
            checkpoint.caml.logits(queries, &supports, &scope)
        };
        self.parts.iter().map(part).collect()
    }

    /// What the values of [`Supports::logits`] say of query `i` of `q`: the logits of every asking, in order.
    pub fn of_query<'t>(&self, outputs: &'t [Tensor], i: usize, q: usize) -> Vec<&'t [f32]> {
        let mut found: Vec<&[f32]> = vec![&[]; self.askings];
        for (part, logits) in self.parts.iter().zip(outputs) {
            let rows = logits.data.chunks_exact(logits.shape.last().max(1)).skip(i).step_by(q.max(1));
            part.askings.iter().zip(rows).for_each(|(asking, row)| {
                if let Some(place) = found.get_mut(*asking) {
                    *place = row;
                }
            });
        }
        found
    }
}
