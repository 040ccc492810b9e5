//! What is planned, profiled, verified or tuned: a network by name, or the network of a fitted model.

use super::network::network;
use super::patchcore::opened;
use super::session::Session;
use crate::data::{Limits, Picture, Preprocess, Scaling};
use crate::engine::{Asked, Graph, Scope, Var};
use crate::error::{Error, Result};
use crate::methods::patchcore::model::Model as PatchCore;
use crate::methods::stand_in;
use crate::models::{self, Model, resnet};
use crate::tensor::Tensor;
use crate::weights::Weights;
use clap::Args;
use std::path::{Path, PathBuf};

/// How a subject is named.
#[derive(Debug, Args)]
pub struct Named {
    /// A network, or a fitted model (FILE.lupe)
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The network's weights; without them, and where none are built in, drawn ones stand in: the times are the same
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Edge of the network's input [default: what its preprocessing makes]
    #[arg(long)]
    pub size: Option<usize>,
    /// Pictures in one run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
}

/// A network with weights.
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// Network.
    pub net: &'static Model,
    /// Its weights.
    pub weights: Weights,
    /// Whether the weights are drawn, not given.
    pub stands_in: bool,
    /// The fitted model that it belongs to.
    pub fitted: Option<PatchCore>,
    /// Shape of its input.
    pub input: [usize; 4],
    /// What pictures go through.
    pub preprocess: Preprocess,
}

impl Subject {
    /// Opens it.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown network or a size that it cannot take, [`Error::Weights`] for a file that is no model.
    pub fn open(session: &Session, named: &Named) -> Result<Subject> {
        let path = Path::new(&named.model);
        let subject = match path.extension().is_some_and(|e| e == "lupe") {
            true => Subject::fitted(path, named)?,
            false => Subject::network(named)?,
        };
        if subject.stands_in {
            session.say(&format!("note: no weights of {} were given; drawn ones stand in", subject.name));
        }
        Ok(subject)
    }

    fn network(named: &Named) -> Result<Subject> {
        let built_in = named.model == models::EMBEDDED.name;
        let stands_in = named.weights.is_none() && !built_in;
        let (net, weights) = match models::find(&named.model).filter(|_| stands_in) {
            Some(net) => (net, stand_in::weights(&net.net)),
            None => network(&named.model, named.weights.as_deref())?,
        };
        let preprocess = match named.size {
            None => net.preprocess,
            Some(size) if (32..=4096).contains(&size) => {
                // The crop's share of the shorter edge is ImageNet's, 224 of 256.
                let scaling = Some(Scaling::ShortEdge(size * 8 / 7));
                Preprocess { scaling, crop: Some([size; 2]), ..net.preprocess }
            }
            Some(size) => return Err(Error::Usage(format!("--size {size}: 32 to 4096 is wanted"))),
        };
        let [h, w] = preprocess.crop.unwrap_or([224; 2]);
        let input = [named.batch.into(), h, w, 3];
        Ok(Subject { name: named.model.clone(), net, weights, stands_in, fitted: None, input, preprocess })
    }

    fn fitted(path: &Path, named: &Named) -> Result<Subject> {
        if named.size.is_some() {
            return Err(Error::Usage("--size: a fitted model has its own".into()));
        }
        let opened = opened(path, named.weights.as_deref())?;
        let size = opened.model.config.size;
        Ok(Subject {
            name: path.display().to_string(),
            net: opened.net,
            weights: opened.weights,
            stands_in: false,
            input: [named.batch.into(), size, size, 3],
            preprocess: opened.preprocess,
            fitted: Some(opened.model),
        })
    }

    /// What runs for a batch of pictures: logits where there is a last layer, else the feature; a fitted model's patch vectors.
    pub fn graph<'g>(&'g self, graph: &'g Graph, asked: &'g Asked) -> Vec<Var<'g>> {
        let root = Scope::new(graph, self.weights.tensors(), asked);
        let stages = self.net.net.features(graph.input("picture", self.input), &root);
        match &self.fitted {
            Some(model) => vec![model.config.embed(&stages)],
            None if root.has("fc.weight") => vec![resnet::classifier(stages.feature, &root)],
            None => vec![stages.feature],
        }
    }

    /// The network's input: `picture` as often as the batch wants it, or noise.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn input(&self, picture: Option<&Path>) -> Result<Tensor> {
        let [n, h, w, c] = self.input;
        let one = match picture {
            Some(path) => self.preprocess.apply(&Picture::open(path, Limits::default())?)?,
            None => Tensor::from_fn([1, h, w, c], |i| ((i * 7919) % 255) as f32 / 128.0 - 1.0),
        };
        Ok(Tensor::new([n, h, w, c], one.data.repeat(n)))
    }
}
