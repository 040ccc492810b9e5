//! Pictures to patch vectors: the next ones are decoded while the device works on these.

use crate::cli::session::Session;
use crate::data::dataset::Sample;
use crate::data::{Limits, Picture, Preprocess};
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::methods::embed::{EmbedOptions, Embedder};
use crate::methods::patchcore::Config;
use crate::models::{self, Model};
use crate::tensor::Tensor;
use crate::weights::Weights;
use crate::weights::container::sha256;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// One picture, looked at.
pub struct Looked {
    /// Its number among the samples.
    pub number: usize,
    /// Hash of its file.
    pub sha256: String,
    /// The picture.
    pub picture: Picture,
    /// Patch vectors `[places, d]`.
    pub rows: Tensor,
    /// Projected ones, where a projection is given.
    pub projected: Option<Tensor>,
}

/// A backbone with everything that turns pictures into patch vectors.
pub struct Extractor<'g> {
    embedder: Embedder<'g>,
    preprocess: Preprocess,
}

/// The network of that name with its folded weights: from a file, else built in.
pub fn backbone(name: &str, file: Option<&Path>) -> Result<(&'static Model, Weights)> {
    let model = models::find(name).ok_or_else(|| {
        let names: Vec<&str> = models::ALL.iter().map(|m| m.name).collect();
        Error::Usage(format!("there is no network {name}; there are {}", names.join(", ")))
    })?;
    let weights = match file {
        Some(path) => Weights::open(path)?,
        None if model.name == models::EMBEDDED.name => Weights::embedded()?,
        None => return Err(Error::Usage(format!("{name} has no built-in weights: give --weights FILE"))),
    };
    Ok((model, weights.fold_batch_norm()?))
}

impl<'g> Extractor<'g> {
    /// Plans it.
    pub fn new(
        session: &Session,
        gpu: &'g Gpu,
        (model, weights): (&Model, &Weights),
        config: &Config,
        projection: Option<Arc<Tensor>>,
        batch: u16,
    ) -> Result<Extractor<'g>> {
        let options = EmbedOptions { taps: vec![], batch: batch.into(), limit_memory: session.limit_memory(gpu) };
        let embedder = pollster::block_on(Embedder::with_head(
            gpu,
            model,
            weights,
            [config.size; 2],
            &options,
            &|graph, stages| {
                let rows = config.embed(stages);
                let Some(p) = &projection else { return vec![rows] };
                let [n, places, d] = [rows.dim(0), rows.dim(1), rows.dim(2)];
                let projected = rows.reshape([n * places, d]).matmul_t(graph.weight("projection", p.clone()));
                vec![rows, projected.reshape([n, places, p.shape.dim(0)])]
            },
        ))?;
        Ok(Extractor { embedder, preprocess: config.preprocess(model) })
    }

    /// Calls `each` with every picture, in order.
    pub fn run(
        &self,
        session: &Session,
        samples: &[Sample],
        what: &str,
        mut each: impl FnMut(Looked) -> Result<()>,
    ) -> Result<()> {
        let bar = session.progress(samples.len(), what);
        let batch = self.embedder.batch();
        let (send, receive) = sync_channel(batch);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for sample in samples {
                    // Nobody listens any more after an error or an interrupt.
                    if send.send(self.load(&sample.path)).is_err() {
                        break;
                    }
                }
            });
            let (mut number, mut open) = (0, true);
            while open {
                let mut waiting = vec![];
                while waiting.len() < batch {
                    match receive.recv() {
                        Ok(loaded) => waiting.push(loaded?),
                        Err(_) => {
                            open = false;
                            break;
                        }
                    }
                }
                session.go_on()?;
                let (inputs, pictures): (Vec<Tensor>, Vec<(String, Picture)>) =
                    waiting.into_iter().map(|(sha, picture, input)| (input, (sha, picture))).unzip();
                let features = pollster::block_on(self.embedder.run(&inputs))?;
                for (features, (sha256, picture)) in features.into_iter().zip(pictures) {
                    let mut flat = features.into_iter().map(|t| {
                        let d = t.shape.last();
                        let places = t.data.len() / d.max(1);
                        t.reshape([places, d])
                    });
                    let Some(rows) = flat.next() else { continue };
                    if rows.data.iter().any(|v| !v.is_finite()) {
                        let name = samples.get(number).map_or("", |s| s.name.as_str());
                        return Err(Error::Numeric(format!(
                            "{name}: its patch vectors are not finite; are the weights right?"
                        )));
                    }
                    each(Looked { number, sha256, picture, rows, projected: flat.next() })?;
                    number += 1;
                    bar.inc(1);
                }
            }
            bar.finish_and_clear();
            Ok(())
        })
    }

    fn load(&self, path: &Path) -> Result<(String, Picture, Tensor)> {
        let name = path.display().to_string();
        if path.is_dir() {
            return Err(Error::Input(format!("{name}: is a folder; a picture is wanted")));
        }
        let bytes = std::fs::read(path).map_err(|e| Error::Input(format!("{name}: cannot be read: {e}")))?;
        let picture = Picture::decode(&bytes, &name, Limits::default())?;
        let input = self.preprocess.apply(&picture)?;
        Ok((sha256(&bytes), picture, input))
    }
}
