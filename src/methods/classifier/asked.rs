//! The pictures that were kept, asked what they are.

use super::Step;
use super::examples::{Example, Examples};
use crate::engine::{Gpu, Graph, Options, Parameters, Plan, Store};
use crate::error::Result;
use crate::methods::labelled::{best, softmax};
use crate::methods::metrics::Confusion;
use crate::tensor::{Shape, Tensor};
use crate::train::{Ahead, ahead};
use crate::watch::Watch;

/// What they are asked with.
pub(super) struct Asked<'a> {
    plan: Plan<'a>,
    shape: Shape,
}

/// What they said.
pub(super) struct Said {
    /// Which class was said of pictures of which class.
    pub confusion: Confusion,
    /// The sum of the losses of each class.
    sums: Vec<f64>,
}

impl Said {
    fn add(&mut self, class: usize, logits: &[f32]) {
        let logits: Vec<f64> = logits.iter().map(|l| f64::from(*l)).collect();
        let loss = -softmax(&logits).get(class).map_or(f64::NAN, |p| p.max(f64::MIN_POSITIVE).ln());
        self.sums.iter_mut().skip(class).take(1).for_each(|sum| *sum += loss);
        self.confusion.add(class, best(&logits).unwrap_or_default().0);
    }

    /// Their mean loss or, with all classes weighing the same, the mean of the classes' means.
    pub fn loss(&self, balance: bool) -> f64 {
        let counts = self.confusion.pictures();
        let means = self.sums.iter().zip(&counts).filter(|s| *s.1 > 0).map(|(sum, count)| sum / *count as f64);
        match balance {
            true => means.clone().sum::<f64>() / means.count().max(1) as f64,
            false => self.sums.iter().sum::<f64>() / counts.iter().sum::<usize>().max(1) as f64,
        }
    }
}

impl<'a> Asked<'a> {
    /// Plans it by the weights of a step, those of `parameters` as they are in `store`; `None` where no picture was kept.
    pub async fn new(
        gpu: &'a Gpu,
        (step, parameters, store): (&Step<'_>, &Parameters, &Store),
        examples: &Examples,
        batch: usize,
        options: &Options,
    ) -> Result<Option<Asked<'a>>> {
        if examples.kept() == 0 {
            return Ok(None);
        }
        let (graph, batch) = (Graph::new(), batch.min(examples.kept()));
        let logits = step.logits(&graph, batch, parameters)?;
        let plan = Plan::new(gpu, &graph, &[logits], store, options.clone()).await?;
        Ok(Some(Asked { plan, shape: step.shape(batch) }))
    }

    /// What they say by the weights as they are now.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) for a picture that cannot be read; the watcher's interrupt; what the device reports.
    pub fn said(&self, examples: &Examples, watch: &dyn Watch) -> Result<Said> {
        let (classes, n, batch) = (examples.classes(), examples.kept(), self.shape.dim(0));
        let mut said = Said { confusion: Confusion::new(classes), sums: vec![0.0; classes] };
        ahead(
            |i| examples.kept_at(i),
            0..n as u64,
            |ahead| {
                for from in (0..n).step_by(batch) {
                    watch.go_on()?;
                    self.ask(ahead, batch.min(n - from), &mut said)?;
                }
                Ok(said)
            },
        )
    }

    /// Asks about the next `n`.
    fn ask(&self, ahead: &mut Ahead<Example>, n: usize, said: &mut Said) -> Result<()> {
        let examples = (0..n).map(|_| ahead.take()).collect::<Result<Vec<Example>>>()?;
        let mut values: Vec<f32> = examples.iter().flat_map(|e| e.values.iter().copied()).collect();
        values.resize(self.shape.len(), 0.0); // a plan's batch is fixed
        let outputs = self.plan.collect(self.plan.submit(&[&Tensor::new(self.shape, values)])?)?;
        let rows = outputs.first().map_or(&[][..], |t| &t.data);
        let rows = rows.chunks_exact(rows.len() / self.shape.dim(0).max(1));
        examples.iter().zip(rows).for_each(|(e, row)| said.add(e.class, row));
        Ok(())
    }
}
