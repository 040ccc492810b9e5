//! The fit: tokens of a few good pictures and of views of them, what is learned of these, and every reference's own score by the others.

use super::learned::{Comparison, Learned};
use super::model::{Dino, distances};
use super::references::{Reference, References, Tokens};
use super::spectrum::{Moments, Subspace};
use super::{Config, Detector, ModelFile};
use crate::data::dataset::Dataset;
use crate::data::load::Loading;
use crate::engine::{Gpu, Graph, Plan, Store};
use crate::error::{Error, Result, shown, size};
use crate::memory::peak_memory;
use crate::methods::batched::RunOptions;
use crate::methods::limit::{self, LimitRule};
use crate::methods::looking::Missed;
use crate::methods::patchcore::{Backbone, MAX_ROWS};
use crate::models::Network;
use crate::tensor::Tensor;
use crate::watch::Watch;
use crate::weights::Weights;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Fewer references give no limit: each is scored by what the others taught, and one other alone says little of how good parts differ.
pub const ENOUGH: usize = 3;

/// Seconds of a fit by stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Tokens of the references.
    pub features: f64,
    /// What is learned of them.
    pub learning: f64,
    /// The references' own scores.
    pub scoring: f64,
}

/// How a fit works.
#[derive(Clone, Debug, Default)]
pub struct FitOptions {
    /// How plans are made, and pictures per run.
    pub run: RunOptions,
    /// How pictures are loaded.
    pub loading: Loading,
    /// Bytes of memory that the bank may take; `None`: as much as is needed.
    pub limit_ram: Option<u64>,
    /// Whether the backbone's weights are left out of the model's file.
    pub no_embed_backbone: bool,
    /// How the limits follow from the references' scores.
    pub limit_rule: LimitRule,
}

/// What a fit works on.
#[derive(Clone, Copy, Debug)]
pub struct Good<'a> {
    /// The references are its good pictures.
    pub set: &'a Dataset,
    /// The network.
    pub network: &'static Network,
    /// Its weights.
    pub weights: &'a Weights,
}

/// How a fit went.
#[derive(Debug, Default)]
pub struct Report {
    /// Pictures that could not be read.
    pub missed: Missed,
    /// How long it took.
    pub times: Times,
}

impl Good<'_> {
    /// Whether the choices suit the network and the pictures: needs no device. Gives the values of a token.
    ///
    /// # Errors
    /// [`Error::Usage`] for invalid choices and too little memory, [`Error::Input`] if there is no good picture, or too many.
    pub fn check(&self, config: &Config, limit_ram: Option<u64>) -> Result<usize> {
        config.check(self.network)?;
        let dim = config.dim(self.network, self.weights)?;
        let (data, pictures) = (shown(&self.set.root), self.set.train.len());
        if pictures == 0 {
            return Err(Error::Input(format!("{data}: has no good picture to fit on")));
        }
        if let Detector::Neighbors { .. } = config.detector {
            let each = (config.size / self.network.multiple).pow(2) * config.view_count();
            let rows = each.saturating_mul(pictures);
            if rows > MAX_ROWS {
                return Err(Error::Input(format!(
                    "{data}: {pictures} good pictures give {rows} tokens, but at most {MAX_ROWS} are supported: give --shots {}, or a \
                     smaller --size",
                    (MAX_ROWS / each).max(1)
                )));
            }
            let bytes = 8 * (rows * dim) as u64; // in memory twice when it is written
            if limit_ram.is_some_and(|limit| bytes > limit) {
                return Err(Error::Usage(format!(
                    "--limit-ram: the bank of {pictures} good pictures takes {0}, more than may be used; give at least --limit-ram {0}, \
                     fewer pictures with --shots, or a smaller --size",
                    size(bytes)
                )));
            }
        }
        Ok(dim)
    }
}

/// Fits AnomalyDINO or SubspaceAD. Of files that are the same one is used.
///
/// # Errors
/// As [`Good::check`]; [`Error::Usage`] for a limit rule that gives no limit; [`Error::Input`] for a picture that cannot be read, unless
/// [`Loading::keep_going`]; [`Error::Numeric`] for tokens that are not finite or all the same; whatever the device and the watcher report.
pub async fn fit(
    gpu: &Gpu,
    good: Good<'_>,
    config: &Config,
    options: &FitOptions,
    watch: &dyn Watch,
) -> Result<(Dino, Report)> {
    good.check(config, options.limit_ram)?;
    let pictures = good.set.train.len();
    let expected = if pictures < ENOUGH { 0 } else { pictures };
    limit::check_asked(&options.limit_rule, &vec![0.0; expected])?;
    let views = config.view_count() * pictures;
    watch.say(&format!("fitting   {pictures} good pictures, {views} views"));
    let (mut since, mut times) = (Instant::now(), Times::default());
    let (references, missed) = References::look(gpu, good, (config, options), watch).await?;
    times.features = lap(&mut since, "features");
    let learned = learn(&references, config)?;
    times.learning = lap(&mut since, "learning");
    let (scores, peaks) = match references.all.len() {
        n if n < ENOUGH => (vec![], vec![]),
        _ => Scoring { gpu, config, options, watch }.scores(&references, &learned).await?,
    };
    times.scoring = lap(&mut since, "scoring");
    limit::check_asked(&options.limit_rule, &scores)?;
    let file = ModelFile {
        config: config.clone(),
        grid: references.all.first().map_or([1; 2], Reference::grid),
        backbone: Backbone {
            name: good.network.name.into(),
            sha256: good.weights.sha256(),
            weights: (!options.no_embed_backbone).then(|| good.weights.clone()),
        },
        learned,
        pictures: references.all.into_iter().map(|r| r.seen).collect(),
        scores,
        peaks,
        left_out: references.left_out,
        limit_rule: options.limit_rule,
    };
    Ok((Dino::fitted(file, good.network, good.weights.clone()), Report { missed, times }))
}

/// Seconds since the last lap.
fn lap(since: &mut Instant, stage: &str) -> f64 {
    let seconds = since.elapsed().as_secs_f64();
    *since = Instant::now();
    let peak = peak_memory().map_or(String::new(), |b| format!(", peak memory so far {:.0} MB", b as f64 / 1e6));
    log::info!("{stage} took {seconds:.1} s{peak}");
    seconds
}

/// What all references teach.
fn learn(references: &References, config: &Config) -> Result<Learned> {
    let all = || references.all.iter().map(|r| &r.tokens);
    match config.detector {
        Detector::Neighbors { .. } => {
            let (mut data, mut counts, mut d) = (vec![], vec![], 1);
            for rows in all().filter_map(Tokens::rows) {
                data.extend_from_slice(&rows.data);
                counts.push(rows.shape.dim(0));
                d = rows.shape.last().max(1);
            }
            if data.is_empty() {
                return Err(Error::Input(
                    "no token of the references is in the foreground; leave --mask-references out".into(),
                ));
            }
            Ok(Learned::Bank { rows: Arc::new(Tensor::new([data.len() / d, d], data)), counts })
        }
        Detector::Subspace { share } => {
            let whole = joined(all().filter_map(Tokens::moments));
            let subspace = whole.and_then(|all| all.subspace(share));
            Ok(Learned::Subspace(subspace.ok_or_else(|| {
                Error::Numeric("the tokens of the references are all the same; are these the right weights?".into())
            })?))
        }
    }
}

fn joined<'m>(mut all: impl Iterator<Item = &'m Moments>) -> Option<Moments> {
    let mut whole = all.next()?.clone();
    all.for_each(|moments| whole.join(moments));
    Some(whole)
}

/// References scored by what the others teach.
struct Scoring<'a> {
    gpu: &'a Gpu,
    config: &'a Config,
    options: &'a FitOptions,
    watch: &'a dyn Watch,
}

impl Scoring<'_> {
    /// Score and largest value of the map of each reference; infinite where the others teach nothing.
    async fn scores(&self, references: &References, learned: &Learned) -> Result<(Vec<f64>, Vec<f64>)> {
        let distances = match learned {
            Learned::Bank { counts, .. } => self.to_others(references, counts, learned).await?,
            Learned::Subspace(_) => self.outside_others(references)?,
        };
        let score = |(reference, distances): (&Reference, Option<Tensor>)| {
            let Some(distances) = distances else { return Ok((f64::INFINITY, f64::INFINITY)) };
            let found = self.config.finding(distances, Some(&reference.upright))?;
            let map = found.map.map(|map| match self.config.whole_maps() {
                true => self.config.raise().map(&map, reference.size),
                false => map,
            });
            let peak = map.iter().flat_map(|map| &map.data).copied().fold(f32::NEG_INFINITY, f32::max);
            Ok((found.score, f64::from(peak)))
        };
        let both = references.all.iter().zip(distances).map(score).collect::<Result<Vec<_>>>()?;
        Ok(both.into_iter().unzip())
    }

    /// Distances to the tokens of the bank that are not of the reference itself or its views.
    async fn to_others(
        &self,
        references: &References,
        counts: &[usize],
        learned: &Learned,
    ) -> Result<Vec<Option<Tensor>>> {
        let (comparison, store) = (Comparison::new(learned.clone()), Store::new());
        let (all, n) = (counts.iter().sum::<usize>(), references.all.len());
        let (mut plans, mut found, mut first) = (BTreeMap::new(), vec![], 0);
        for (i, (reference, count)) in references.all.iter().zip(counts).enumerate() {
            self.watch.go_on()?;
            let own = [first as f32, (first + count) as f32];
            first += count;
            if *count == all {
                found.push(None);
                continue;
            }
            let ([h, w], d) = (reference.grid(), reference.upright.shape.last());
            if !plans.contains_key(&(h * w)) {
                plans.clear(); // one at a time: most references have one size
                plans.insert(h * w, self.plan(&comparison, [h * w, d], &store).await?);
            }
            let Some(plan) = plans.get(&(h * w)) else { continue };
            let queries = reference.upright.clone().reshape([h * w, d]);
            let skip = Tensor::new([h * w, 2], own.repeat(h * w));
            let outputs = plan.run(&[&queries, &skip]).await?;
            let nearest = outputs.into_iter().next().ok_or_else(|| Error::Gpu("a plan gave no output".into()))?;
            let values = nearest.data.len() / (h * w);
            found.push(Some(distances(&nearest.reshape([1, h, w, values]), 0, 1)));
            self.watch.progress("scoring", i + 1, n);
        }
        Ok(found)
    }

    async fn plan(&self, comparison: &Comparison, tokens: [usize; 2], store: &Store) -> Result<Plan<'_>> {
        let graph = Graph::new();
        let (queries, skip) = (graph.input("queries", tokens), graph.input("skip", [tokens[0], 2]));
        let nearest = comparison.compared(queries, self.config.neighbors(), &self.gpu.caps, Some(skip));
        Plan::new(self.gpu, &graph, &[nearest], store, self.options.run.planning()).await
    }

    /// What lies outside the subspace of the other references' tokens.
    fn outside_others(&self, references: &References) -> Result<Vec<Option<Tensor>>> {
        let Detector::Subspace { share } = self.config.detector else { return Ok(vec![]) };
        let n = references.all.len();
        let one = |i: usize, reference: &Reference| {
            self.watch.go_on()?;
            let others = references.all.iter().enumerate().filter(|(j, _)| *j != i);
            let subspace = joined(others.filter_map(|(_, r)| r.tokens.moments())).and_then(|all| all.subspace(share));
            self.watch.progress("scoring", i + 1, n);
            let left = |s: Subspace| Tensor::new(reference.grid(), s.outside(&reference.upright));
            Ok(subspace.map(left))
        };
        references.all.iter().enumerate().map(|(i, reference)| one(i, reference)).collect()
    }
}
