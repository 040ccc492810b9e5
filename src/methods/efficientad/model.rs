//! A fitted EfficientAD, ready to use.

use super::fit::flat;
use super::maps::largest;
use super::step::Step;
use super::train::{dropped, learning};
use super::{Config, METHOD, ModelFile};
use crate::data::Preprocess;
use crate::engine::{Caps, Graph, Named, Parameters, Scope, Var};
use crate::error::{Error, Result};
use crate::files::write;
use crate::methods::batched::part;
use crate::methods::fitted::{Answer, Finding, Fitted, Known, Stage, boxed, repeated};
use crate::methods::limit::{LimitRule, Trained};
use crate::tensor::Tensor;
use crate::train::learn;
use crate::weights::WeightsFile;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The content of its file, and the weights of its three networks.
#[derive(Debug)]
pub struct EfficientAd {
    /// The content of its file.
    pub file: ModelFile,
    /// The weights of teacher, student and autoencoder; the teacher's outputs are brought to one scale.
    named: Named,
    notes: Vec<String>,
    scale: [f32; 2],
}

/// Reads a file; its teacher's weights come from it, or from `weights` if they are the same.
///
/// # Errors
/// [`Error::Weights`] for a damaged model or other weights.
pub(super) fn open(bytes: &[u8], origin: &str, weights: Option<&WeightsFile>) -> Result<Box<dyn Fitted>> {
    Ok(Box::new(EfficientAd::new(ModelFile::from_bytes(bytes, origin)?, origin, weights)?))
}

impl EfficientAd {
    /// A file's content with its teacher's weights, from the file itself or from a weights file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] for other weights, or sizes that do not follow from its choices.
    pub fn new(file: ModelFile, origin: &str, weights: Option<&WeightsFile>) -> Result<EfficientAd> {
        let (_, teacher) = file.backbone.open(origin, weights)?;
        let networks = file.config.networks();
        let mut named = networks.normalised(teacher.tensors(), &file.statistics);
        named.extend(file.trained.iter().map(|(name, t)| (name.clone(), t.clone())));
        networks.check(&named, origin)?;
        Ok(EfficientAd::fitted(file, named, teacher.notes()))
    }

    /// A file's content with the weights of its networks.
    pub(super) fn fitted(file: ModelFile, named: Named, notes: &[String]) -> EfficientAd {
        // Twice what a good picture reaches: a place barely above the limit looks different from one far above it. A tenth is what few
        // pixels of good pictures reach.
        let scale = match file.map_limit() {
            Some(limit) if limit > 0.0 => [0.0, 2.0 * limit as f32],
            Some(limit) => [limit as f32 - 0.1, limit as f32 + 0.1],
            None => [0.0, 0.2],
        };
        EfficientAd { file, named, notes: notes.to_vec(), scale }
    }

    /// Writes its file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), &self.file.to_bytes()?)
    }

    fn config(&self) -> &Config {
        &self.file.config
    }
}

impl Fitted for EfficientAd {
    fn method(&self) -> &'static str {
        METHOD.name
    }

    fn preprocess(&self) -> Preprocess {
        self.config().preprocess()
    }

    fn input_size(&self) -> [usize; 2] {
        [self.config().image_size; 2]
    }

    fn training_stage(&self, batch: usize, picture: &Tensor) -> Result<Option<Stage<'_>>> {
        let (config, size) = (self.config(), self.input_size());
        let step = Step { networks: config.networks(), batch, penalty: config.penalty.is_some() };
        let learning = learning(config.steps);
        let parameters = Parameters::new(&self.file.trained, learning.rule.slots(), |_| true);
        let taught = Tensor::zeros(step.map(size));
        let inputs = vec![repeated(picture, step.pictures()), taught, dropped(config.seed, 0), learning.numbers(0)];
        let build = boxed(move |graph| {
            let scope = Scope::new(graph, &self.named).training(&parameters);
            let losses = step.build(graph, (size, true), &self.file.statistics, &scope);
            learn(losses.total, &learning);
            losses.named().into_iter().map(|l| l.1).collect()
        });
        Ok(Some(Stage { name: "training", inputs, build }))
    }

    fn limit(&self) -> Option<f64> {
        self.file.limit()
    }

    fn map_limit(&self) -> Option<f64> {
        self.file.map_limit()
    }

    fn limit_rule(&self) -> Option<LimitRule> {
        self.file.limit().map(|_| self.file.limit_rule)
    }

    fn training(&self) -> Vec<Trained<'_>> {
        let ModelFile { scores, peaks, .. } = &self.file;
        let all = self.file.kept().iter().zip(scores).zip(peaks);
        all.map(|((seen, &score), &peak)| Trained { name: &seen.name, score, peak }).collect()
    }

    fn with_limit(&self, rule: LimitRule) -> Result<Vec<u8>> {
        self.file.with_limit(rule)?.to_bytes()
    }

    fn scale(&self) -> [f32; 2] {
        self.scale
    }

    fn localises(&self) -> bool {
        true
    }

    fn whole_map(&self, map: &Tensor, size: [usize; 2]) -> Option<Tensor> {
        self.config().whole_maps().then(|| self.config().whole(map, size))
    }

    fn whole_score(&self, map: &Tensor) -> Option<f64> {
        Some(largest(map))
    }

    fn known(&self) -> Known<'_> {
        let ModelFile { pictures, left_out, .. } = &self.file;
        Known::Fitted { on: pictures, left_out, held_out: &[] }
    }

    fn answer<'g>(&self, graph: &'g Graph, pictures: Var<'g>, _: &Caps) -> Answer<'g> {
        let maps = self.config().networks().maps(pictures, &Scope::new(graph, &self.named));
        let [n, h, w, c] = maps.taught.shape().nhwc();
        Answer { outputs: vec![maps.student, maps.autoencoder], features: Some(maps.taught.reshape([n, h * w, c])) }
    }

    fn check(&self) -> Result<()> {
        let finite = self.named.values().flat_map(|t| &t.data).all(|v| v.is_finite());
        let scales = [self.file.scales.student, self.file.scales.autoencoder];
        match finite && scales.iter().all(|s| s.usable()) {
            true => Ok(()),
            false => Err(Error::Numeric("the model contains a number that is not finite; fit again".into())),
        }
    }

    fn findings(&self, outputs: &[Tensor], n: usize) -> Vec<Result<Finding>> {
        let finding = |i| {
            let [student, autoencoder] = outputs else { return Err(Error::Gpu("a plan gave no maps".into())) };
            let [student, autoencoder] = [student, autoencoder].map(|all| flat(part(all, i, n)));
            let map = self.config().combined(&student, &autoencoder, &self.file.scales);
            let score = largest(&map);
            match score.is_finite() {
                true => Ok(Finding { score, map: Some(map), ..Finding::default() }),
                false => Err(Error::Numeric(
                    "a score is not a finite number, so there is no verdict; are these the right weights?".into(),
                )),
            }
        };
        (0..n).map(finding).collect()
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn facts(&self) -> Map<String, Value> {
        let ModelFile { backbone, config, .. } = &self.file;
        Map::from_iter([
            ("backbone".to_string(), json!(backbone.name)),
            ("backbone_sha256".into(), json!(backbone.sha256)),
            ("config".into(), json!(config)),
        ])
    }
}
