//! Pictures to patch vectors.

use super::load::{Arrival, Loaded, Loading};
use crate::cli::session::Session;
use crate::data::dataset::Sample;
use crate::data::{Mask, Picture, Preprocess};
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::methods::embed::{EmbedOptions, Embedder};
use crate::methods::patchcore::{Config, extractor};
use crate::models::Model;
use crate::tensor::Tensor;
use crate::weights::Weights;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

/// One picture, looked at.
pub struct Looked {
    /// Its number among the samples.
    pub number: usize,
    /// Hash of its file.
    pub sha256: String,
    /// The picture.
    pub picture: Picture,
    /// Which of its pixels are defective, where that is known.
    pub mask: Option<Mask>,
    /// Patch vectors `[places, d]`.
    pub rows: Tensor,
    /// Projected ones, where a projection is given.
    pub projected: Option<Tensor>,
    /// Milliseconds for decoding, and for this picture's share of the network's run.
    pub milliseconds: [f64; 2],
}

/// What became of samples that were not looked at.
#[derive(Default)]
pub struct Missed {
    /// How many were left out because their hash is known.
    pub left_out: usize,
    /// Number and reason of those that could not be read.
    pub failed: Vec<(usize, String)>,
}

impl Missed {
    /// Whether sample `number` could not be read.
    pub fn has(&self, number: usize) -> bool {
        self.failed.iter().any(|f| f.0 == number)
    }
}

/// A backbone with everything that turns pictures into patch vectors.
pub struct Extractor<'g> {
    embedder: Embedder<'g>,
    preprocess: Preprocess,
}

impl<'g> Extractor<'g> {
    /// Plans it.
    pub fn new(
        session: &Session,
        gpu: &'g Gpu,
        network: (&Model, &Weights),
        config: &Config,
        projection: Option<Arc<Tensor>>,
        batch: u16,
    ) -> Result<Extractor<'g>> {
        let (limit_memory, choices) = (session.limit_memory(gpu), session.choices(gpu));
        let options = EmbedOptions { taps: vec![], batch: batch.into(), limit_memory, choices };
        let embedder = pollster::block_on(extractor(gpu, network, config, projection, &options))?;
        Ok(Extractor { embedder, preprocess: config.preprocess(network.0) })
    }

    /// Calls `each` with every picture, in order, and says which were missed.
    pub fn run(
        &self,
        session: &Session,
        samples: &[Sample],
        loading: &Loading,
        mut each: impl FnMut(Looked) -> Result<()>,
    ) -> Result<Missed> {
        let bar = session.progress(samples.len(), "features");
        let (send, receive) = sync_channel(0);
        let (mut missed, mut done) = (Missed::default(), 0);
        std::thread::scope(|scope| {
            scope.spawn(move || loading.run(session, &self.preprocess, samples, self.embedder.batch(), &send));
            // The receiver goes when this ends, which ends the thread.
            for batch in receive {
                let mut ready = vec![];
                done += batch.len();
                for arrival in batch {
                    match arrival {
                        Arrival::Ready(loaded) => ready.push(*loaded),
                        Arrival::LeftOut => missed.left_out += 1,
                        Arrival::Failed(number, e) if loading.keep_going => missed.failed.push((number, e.to_string())),
                        Arrival::Failed(_, e) => return Err(e),
                    }
                }
                session.go_on()?;
                for looked in self.look(ready, samples)? {
                    each(looked)?;
                }
                bar.at(done);
            }
            Ok(())
        })?;
        bar.done();
        Ok(missed)
    }

    fn look(&self, ready: Vec<Loaded>, samples: &[Sample]) -> Result<Vec<Looked>> {
        let (mut inputs, mut pictures, start) = (vec![], vec![], Instant::now());
        for mut loaded in ready {
            inputs.push(std::mem::replace(&mut loaded.input, Tensor::zeros([0])));
            pictures.push(loaded);
        }
        let features = pollster::block_on(self.embedder.run(&inputs))?;
        let share = start.elapsed().as_secs_f64() * 1e3 / inputs.len().max(1) as f64;
        let mut all = vec![];
        for (features, loaded) in features.into_iter().zip(pictures) {
            let mut flat = features.into_iter().map(|t| {
                let [places, d] = [t.shape.dim(1), t.shape.dim(2)];
                t.reshape([places, d])
            });
            let Some(rows) = flat.next() else { continue };
            if rows.data.iter().any(|v| !v.is_finite()) {
                let name = samples.get(loaded.number).map_or("", |s| s.name.as_str());
                return Err(Error::Numeric(format!(
                    "{name}: its patch vectors are not finite; are the weights right?"
                )));
            }
            let Loaded { number, sha256, picture, mask, milliseconds, .. } = loaded;
            let projected = flat.next();
            all.push(Looked { number, sha256, picture, mask, rows, projected, milliseconds: [milliseconds, share] });
        }
        Ok(all)
    }
}
