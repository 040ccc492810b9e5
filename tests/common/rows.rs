//! Patch vectors of pictures, as a fit makes them.

use super::sweep::gpu;
use lupe::data::Prepared;
use lupe::engine::Scope;
use lupe::methods::RunOptions;
use lupe::methods::batched::{Batched, head, part};
use lupe::methods::patchcore::Config;
use lupe::models::Network;
use lupe::tensor::Tensor;
use lupe::weights::Weights;
use std::sync::Arc;

/// A backbone that gives patch vectors, and projected ones where there is a projection.
pub struct Rows<'a>(Batched<'a, 'static>);

impl<'a> Rows<'a> {
    pub fn new(
        (network, weights): (&'a Network, &'a Weights),
        config: &'a Config,
        projection: Option<Arc<Tensor>>,
    ) -> Rows<'a> {
        let head = head(move |graph, pictures| {
            let places = network.build(pictures, &Scope::new(graph, weights.tensors()));
            let rows = config.embed(&places).unwrap();
            let Some(p) = &projection else { return vec![rows] };
            let [n, places, d] = [rows.dim(0), rows.dim(1), rows.dim(2)];
            let narrow = rows.reshape([n * places, d]).matmul_t(graph.weight("projection", p.clone()));
            vec![rows, narrow.reshape([n, places, p.shape.dim(0)])]
        });
        let (preprocess, size) = (config.preprocess(network), [config.size; 2]);
        Rows(pollster::block_on(Batched::new(gpu(), &preprocess, size, &RunOptions::default(), head)).unwrap())
    }

    /// For each picture patch vectors `[1, places, d]`, and projected ones.
    pub fn run(&mut self, pictures: &[Prepared]) -> Vec<Vec<Tensor>> {
        let (mut all, n) = (vec![], self.0.batch());
        for chunk in pictures.chunks(n) {
            let under = pollster::block_on(self.0.submit(&chunk.iter().collect::<Vec<_>>())).unwrap();
            let outputs = self.0.collect(under).unwrap();
            all.extend((0..chunk.len()).map(|i| outputs.iter().map(|o| part(o, i, n)).collect()));
        }
        all
    }
}
