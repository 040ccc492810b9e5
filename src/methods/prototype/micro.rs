//! A step of fine-tuning with few pictures in memory at a time: vectors of all without what a backward pass needs; the loss and its gradient by
//! each vector; then every few pictures once more, forward and backward, gradients added up; and the update. A picture's vector depends on
//! no other picture, so the gradients are those of the whole step, summed in another order.

use super::finetune::{Backbone, Classes, Finetune, Ground, Heard, STAGE, batches, learning, loss};
use crate::engine::{Gpu, Graph, Options, Plan, Trained, Var, gradients};
use crate::error::{Error, MemoryBound, Result};
use crate::tensor::{Shape, Tensor};
use crate::train::{Learning, update};
use crate::watch::Watch;
use std::cell::Cell;
use std::sync::Arc;

/// Where the gradient of every parameter is added up.
type Sums = Vec<Arc<Tensor>>;

/// The plans of a step.
pub(super) struct Micro<'a> {
    forward: Plan<'a>,
    head: Plan<'a>,
    backward: Plan<'a>,
    update: Plan<'a>,
    /// Pictures at a time.
    few: usize,
    learning: Learning,
    steps: u64,
}

impl<'a> Micro<'a> {
    /// Plans steps with so many pictures at a time, or half as many, and so on, until they fit.
    ///
    /// # Errors
    /// [`Error::Memory`] where not even one picture fits.
    pub async fn new(
        gpu: &'a Gpu,
        (backbone, support): (&Backbone<'_>, &Classes),
        tuning: &Finetune,
        ground: &'a Ground,
        (options, pictures): (&Options, usize),
    ) -> Result<Micro<'a>> {
        let all = 2 * support.len();
        let mut few = pictures.clamp(1, all.max(1));
        let sums: Sums = ground.parameters.iter().map(|(_, p)| Arc::new(Tensor::zeros([1, p.shape.len()]))).collect();
        loop {
            let taken = Cell::new(0);
            let work = Work { gpu, backbone, support, tuning, ground, options, sums: &sums, taken };
            match work.planned(few).await {
                Err(Error::Memory { .. }) if few > 1 => few = few.div_ceil(2),
                made => return made,
            }
        }
    }

    /// Pictures at a time.
    pub fn few(&self) -> usize {
        self.few
    }

    /// Bytes of device memory that all plans take together.
    pub fn bytes(&self) -> u64 {
        let all = [&self.forward, &self.head, &self.backward, &self.update];
        let shared = all.map(|plan| plan.bytes() - plan.own_bytes()).into_iter().max().unwrap_or(0);
        all.map(Plan::own_bytes).into_iter().sum::<u64>() + shared
    }

    /// Runs all steps; their losses.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a loss that is no number; the watcher's interrupt; what the device reports.
    pub fn run(
        &mut self,
        inputs: &mut dyn FnMut(u64) -> Result<Vec<Tensor>>,
        (heard, watch): (&mut Heard<'_>, &dyn Watch),
    ) -> Result<Vec<f32>> {
        let mut losses = vec![];
        for step in 0..self.steps {
            watch.progress(STAGE, step as usize, self.steps as usize);
            watch.go_on()?;
            let pictures = inputs(step)?.pop().ok_or_else(|| Error::Internal("a step without pictures".into()))?;
            let loss = self.step(step, &pictures)?;
            heard(step, &[loss]);
            losses.push(loss);
        }
        watch.progress(STAGE, self.steps as usize, self.steps as usize);
        Ok(losses)
    }

    fn step(&self, step: u64, pictures: &Tensor) -> Result<f32> {
        let run = |plan: &Plan<'a>, inputs: &[&Tensor]| plan.collect(plan.submit(inputs)?);
        let few = batches(pictures, self.few);
        let mut vectors = vec![];
        for (batch, real) in &few {
            let found = run(&self.forward, &[batch])?.pop().unwrap_or_else(|| Tensor::zeros([1]));
            vectors.extend(found.data.iter().take(real * found.shape.last()).copied());
        }
        let n = pictures.shape.dim(0);
        let vectors = Tensor::new([n, vectors.len() / n.max(1)], vectors);
        let [loss, by] = <[Tensor; 2]>::try_from(run(&self.head, &[&vectors])?)
            .map_err(|_| Error::Internal("the head gave no gradient".into()))?;
        let loss = loss.data.first().copied().unwrap_or(f32::NAN);
        if !loss.is_finite() {
            let advice = "a smaller learning rate may help";
            return Err(Error::Numeric(format!("step {step} of the fine-tuning: the loss is {loss}; {advice}")));
        }
        // Rows that are not there have gradients of zero.
        let by = batches(&by, self.few);
        for (i, ((batch, _), (by, _))) in few.iter().zip(&by).enumerate() {
            let keep = Tensor::new([1], vec![if i == 0 { 0.0 } else { 1.0 }]);
            run(&self.backward, &[batch, by, &keep])?;
        }
        run(&self.update, &[&self.learning.numbers(step)])?;
        Ok(loss)
    }
}

/// What plans are made of.
struct Work<'a, 'w> {
    gpu: &'a Gpu,
    backbone: &'w Backbone<'w>,
    support: &'w Classes,
    tuning: &'w Finetune,
    ground: &'a Ground,
    options: &'w Options,
    sums: &'w Sums,
    /// Bytes that the plans so far have to themselves.
    taken: Cell<u64>,
}

impl<'a> Work<'a, '_> {
    async fn planned(&self, few: usize) -> Result<Micro<'a>> {
        let (learning, pictures) = (learning(self.tuning), self.support.pictures(few));
        let graph = Graph::new();
        let vectors = self.backbone.vectors(graph.input("pictures", pictures), &self.ground.parameters)?;
        let forward = self.plan(&graph, &[vectors]).await?;
        let (head, d) = (Graph::new(), vectors.dim(1));
        let given = head.input("vectors", [2 * self.support.len(), d]);
        let loss = loss(given, self.support, &self.backbone.head, self.tuning.balance);
        let by = gradients(loss, &[given]);
        let head = self.plan(&head, &[&[loss], &by[..]].concat()).await?;
        let backward = self.backward(pictures, d).await?;
        let graph = Graph::new();
        let trained = self.ground.parameters.in_graph(&graph);
        update(&trained, &self.sums(&graph, &trained), &learning);
        let update = self.plan(&graph, &[]).await?;
        Ok(Micro { forward, head, backward, update, few, learning, steps: self.tuning.steps })
    }

    /// What adds the gradients of a few pictures, given those by their vectors, to the sums.
    async fn backward(&self, pictures: Shape, d: usize) -> Result<Plan<'a>> {
        let graph = Graph::new();
        let vectors = self.backbone.vectors(graph.input("pictures", pictures), &self.ground.parameters)?;
        let by = graph.input("gradients", [pictures.dim(0), d]);
        let keep = graph.input("keep", [1]);
        // Its gradient by a vector is what was given.
        let product = (vectors * by).reshape([1, pictures.dim(0) * d]).sum();
        let trained = graph.trained();
        let found = gradients(product, &trained.iter().map(|t| t.value).collect::<Vec<_>>());
        for (sum, gradient) in self.sums(&graph, &trained).into_iter().zip(found) {
            sum.accumulate(gradient, keep);
        }
        self.plan(&graph, &[]).await
    }

    /// The sums of the gradients of parameters, which are in the order of their names.
    fn sums<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Vec<Var<'g>> {
        let named = |(sum, t): (&Arc<Tensor>, &Trained<'g>)| graph.state(&format!("{} gradient", t.name), sum);
        self.sums.iter().zip(trained).map(named).collect()
    }

    async fn plan(&self, graph: &Graph, outputs: &[Var<'_>]) -> Result<Plan<'a>> {
        let taken = self.taken.get();
        let limit_memory = self.options.limit_memory.map(|limit| limit.saturating_sub(taken));
        let options = Options { limit_memory, ..self.options.clone() };
        let made = Plan::new(self.gpu, graph, outputs, &self.ground.store, options).await;
        made.inspect(|plan| self.taken.set(taken + plan.own_bytes())).map_err(|e| match e {
            Error::Memory { need, have, bound: bound @ MemoryBound::Limit, batch } => {
                Error::Memory { need: need + taken, have: have + taken, bound, batch }
            }
            e => e,
        })
    }
}
