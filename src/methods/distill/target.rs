//! What a teacher is to say: patch vectors of a network, as PatchCore has them, pooled to as many values as the teacher has outputs.

use super::{Config, Source};
use crate::engine::{Scope, Var};
use crate::error::{Error, Result};
use crate::methods::efficientad::Statistics;
use crate::methods::patchcore;
use crate::tensor::Shape;

/// The target of a distillation.
#[derive(Debug)]
pub struct Target<'a> {
    source: Source<'a>,
    embedding: patchcore::Config,
    /// Rows and columns of the teacher's map.
    grid: usize,
    /// Edge length of the network's input.
    pub edge: usize,
    values: usize,
}

/// Edge lengths of the network's input that are tried, as multiples of the teacher's.
const TIMES: [usize; 5] = [1, 2, 4, 3, 8];

impl<'a> Target<'a> {
    /// With an input of the network so large that its finest place has a place for every one of the teacher's map.
    ///
    /// # Errors
    /// [`Error::Usage`] for places that the network does not have, and where no size fits.
    pub fn new(source: Source<'a>, config: &Config) -> Result<Target<'a>> {
        let values = config.pdn().outputs;
        let embedding = patchcore::Config {
            layers: config.layers.clone(),
            pretrain_dim: Some(1024),
            target_dim: Some(values),
            ..patchcore::Config::new(patchcore::Preset::Official)
        };
        let grid = config.image_size / 4;
        for times in TIMES {
            let edge = times * config.image_size / source.network.multiple * source.network.multiple;
            let embedding = patchcore::Config { size: edge, crop: false, ..embedding.clone() };
            let found = embedding.geometry(source.network, source.weights)?;
            if found.grid == [grid; 2] {
                return Ok(Target { source, embedding, grid, edge, values });
            }
        }
        Err(Error::Usage(format!(
            "--layers {}: at no size of its input does {} have {grid}x{grid} places there, as the teacher has; give finer or coarser ones",
            config.layers.join(","),
            source.network.name
        )))
    }

    /// What pictures for the network go through, their size aside.
    pub fn preprocess(&self) -> crate::data::Preprocess {
        self.source.network.preprocess
    }

    /// Shape of `n` pictures for the network.
    pub fn shape(&self, n: usize) -> Shape {
        Shape::from([n, self.edge, self.edge, 3])
    }

    /// What the network says of pictures `[n, edge, edge, 3]`: `[n, h, w, values]`.
    ///
    /// # Errors
    /// [`Error::Usage`] for a place that it does not have.
    pub fn raw<'g>(&self, pictures: Var<'g>) -> Result<Var<'g>> {
        let places = self.source.network.build(pictures, &Scope::new(pictures.graph(), self.source.weights.tensors()));
        let rows = self.embedding.embed(&places).ok_or_else(|| Error::Usage("--layers: one is no place".into()))?;
        Ok(rows.reshape([pictures.dim(0), self.grid, self.grid, self.values]))
    }

    /// The same with mean 0 and deviation 1.
    ///
    /// # Errors
    /// As [`Target::raw`].
    pub fn of<'g>(&self, pictures: Var<'g>, statistics: &Statistics) -> Result<Var<'g>> {
        self.raw(pictures).map(|raw| statistics.scaled(raw))
    }
}
