//! `lupe patchcore fit`: good pictures in, a model file out.

use super::args::{Fit, Preset as Named};
use super::bag::{Bag, Sizes};
use super::failed;
use super::features::{Extractor, Missed};
use super::load::{Loading, read};
use crate::cli::network::network;
use crate::cli::output::{print, write};
use crate::cli::session::{Session, describe, peak_memory};
use crate::data::dataset::{Dataset, Sample, good};
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::methods::patchcore::model::{Backbone, Model, Seen};
use crate::methods::patchcore::score::Scorer;
use crate::methods::patchcore::select::Selector;
use crate::methods::patchcore::{Config, Geometry, MAX_ROWS, Preset, random};
use crate::models;
use crate::tensor::Tensor;
use crate::weights::Weights;
use crate::weights::container::sha256;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// Seconds of a fit by stage.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    features: f64,
    coreset: f64,
    scoring: f64,
}

/// What a fit works with.
struct Work<'a> {
    session: &'a Session,
    args: &'a Fit,
    gpu: &'a Gpu,
    config: &'a Config,
    geometry: Geometry,
}

/// Runs the command.
pub fn run(session: &Session, args: &Fit) -> Result<()> {
    let config = config(args)?;
    let set = Dataset::open(&args.data)?.split(args.test_split);
    let (model, weights) = network(&args.backbone, args.weights.as_deref())?;
    let geometry = config.geometry(model, &weights)?;
    check(args, set.train.len(), geometry)?;
    session.watch_for_interrupts()?;
    let gpu = session.gpu()?;
    session.say(&format!("device    {}", describe(&gpu.info)));
    let work = Work { session, args, gpu: &gpu, config: &config, geometry };
    let mut times = Times::default();
    let (mut bag, missed) = timed("features", &mut times.features, || work.features(&set.train, model, &weights))?;
    let picks = timed("coreset", &mut times.coreset, || work.select(bag.take_projected()?, bag.pictures.len()))?;
    let mut fitted = Model {
        geometry,
        bank: Arc::new(work.bank(&bag, &picks)?),
        sources: picks.iter().map(|i| [(i / geometry.places()) as u32, (i % geometry.places()) as u32]).collect(),
        scores: vec![],
        peaks: vec![],
        held_out: held_out(set.test.iter().filter(|s| good(s)))?,
        pictures: seen(&set.train, &missed, &bag),
        backbone: Backbone {
            name: model.name.into(),
            sha256: weights.sha256(),
            weights: (!args.no_embed_backbone).then_some(weights),
        },
        config: config.clone(),
        origin: None,
    };
    (fitted.scores, fitted.peaks) = timed("scoring", &mut times.scoring, || work.scores(&fitted, &bag))?;
    write(&args.output, &fitted.to_bytes()?)?;
    bag.remove();
    report(session, args, &fitted, times)?;
    failed(&set.train, &missed)
}

/// Whether there are pictures to fit on, and not too many.
fn check(args: &Fit, pictures: usize, geometry: Geometry) -> Result<()> {
    let data = args.data.display();
    let n = pictures.saturating_mul(geometry.places());
    if pictures == 0 {
        return Err(Error::Input(format!(
            "{data}: no good picture is left to fit on; raise --test-split, or 0 to keep none aside"
        )));
    }
    if n > MAX_ROWS {
        let most = MAX_ROWS / geometry.places().max(1);
        return Err(Error::Input(format!(
            "{data}: {pictures} good pictures give {n} patch vectors, {MAX_ROWS} at most can be numbered: fit on {most} of \
             them, or with a smaller --size"
        )));
    }
    Ok(())
}

/// The training pictures that were read, in order.
fn seen(train: &[Sample], missed: &Missed, bag: &Bag) -> Vec<Seen> {
    let read = train.iter().enumerate().filter(|(i, _)| !missed.has(*i));
    let one = |((_, s), hash): ((usize, &Sample), &String)| Seen { name: s.name.clone(), sha256: hash.clone() };
    read.zip(&bag.pictures).map(one).collect()
}

/// Does a stage and tells, with `-v`, what it took.
fn timed<T>(stage: &str, seconds: &mut f64, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = f()?;
    *seconds = start.elapsed().as_secs_f64();
    let peak =
        peak_memory().map_or(String::new(), |bytes| format!(", peak memory so far {:.0} MB", bytes as f64 / 1e6));
    log::info!("{stage} took {seconds:.1} s{peak}");
    Ok(result)
}

fn config(args: &Fit) -> Result<Config> {
    let preset = match args.preset {
        Named::Official => Preset::Official,
        Named::Anomalib => Preset::Anomalib,
    };
    let usual = Config::new(preset);
    let config = Config {
        layers: args.layers.clone().unwrap_or(usual.layers),
        ratio: args.ratio.unwrap_or(usual.ratio),
        seed: args.seed,
        neighbors: args.neighbors.unwrap_or(usual.neighbors),
        reweight: args.reweight.unwrap_or(usual.reweight),
        size: args.size.unwrap_or(usual.size),
        resize: args.resize.unwrap_or(usual.resize),
        crop: usual.crop && !args.no_crop,
        ..usual
    };
    config.check()?;
    if args.resize.is_some() && !config.crop {
        let what = "--resize has no meaning without a crop; --size is the edge of the whole picture";
        return Err(Error::Usage(what.into()));
    }
    Ok(config)
}

impl Work<'_> {
    /// Patch vectors of all training pictures.
    fn features(&self, train: &[Sample], model: &models::Model, weights: &Weights) -> Result<(Bag, Missed)> {
        let Work { session, args, gpu, config, geometry } = self;
        let n = train.len() * geometry.places();
        let projection = if config.ratio < 1.0 { random::projection(config, n, geometry.dim) } else { None };
        let mut bag = self.bag(train, projection.as_ref().map_or(0, |p| p.shape.dim(0)), &weights.sha256())?;
        session.left_by_interrupt(&bag.left());
        let (known, held) = (bag.pictures.len(), bag.describe(train.len()));
        session.say(&format!(
            "fitting   {} good pictures, {n} patch vectors of {} values ({held})",
            train.len(),
            geometry.dim
        ));
        if bag.replaced {
            session.say("note: an earlier fit of other choices was interrupted; its patch vectors are of no use here");
        }
        if known > 0 {
            session.say(&format!("resuming  {known} pictures are there from an earlier fit; --fresh makes them again"));
        }
        let rest = train.get(known..).unwrap_or_default();
        if rest.is_empty() {
            return Ok((bag, Missed::default()));
        }
        let extractor =
            Extractor::new(session, gpu, (model, weights), config, projection.map(Arc::new), args.work.batch)?;
        let loading = Loading::of(&args.work);
        let mut missed = extractor.run(session, rest, &loading, |looked| {
            let projected = looked.projected.map_or(vec![], |p| p.data);
            bag.push(session, looked.sha256, &looked.rows.data, &projected)
        })?;
        missed.failed.iter_mut().for_each(|f| f.0 += known);
        if bag.pictures.is_empty() {
            return Err(Error::Input(format!("{}: none of its pictures can be read", args.data.display())));
        }
        Ok((bag, missed))
    }

    /// The bag of an earlier fit of the same kind, or a new one; `narrow` is the number of projected values.
    fn bag(&self, train: &[Sample], narrow: usize, weights: &str) -> Result<Bag> {
        let Work { session, args, gpu, config, geometry } = self;
        let n = train.len() * geometry.places();
        let sizes = Sizes { rows: geometry.places() * geometry.dim, projected: geometry.places() * narrow };
        // The selection holds what it looks at twice, here and on the device, and the bank is held twice when it is written.
        let others = 4 * (2 * n * narrow + 2 * config.bank_rows(n) * geometry.dim) as u64;
        let room = session.limit_ram(args.work.limit_ram).saturating_sub(others);
        let key = json!([config.for_features(), weights, narrow, describe(&gpu.info), env!("CARGO_PKG_VERSION")]);
        Bag::open(&args.output, &sha256(key.to_string().as_bytes()), sizes, train, room, args.fresh)
    }

    /// Rows of the bank, rising.
    fn select(&self, rows: Vec<f32>, pictures: usize) -> Result<Vec<usize>> {
        let n = pictures * self.geometry.places();
        let wanted = self.config.bank_rows(n);
        if wanted == n {
            return Ok((0..n).collect());
        }
        let rows = Tensor::new([n, rows.len() / n.max(1)], rows);
        let bar = self.session.progress(wanted, "coreset");
        let mut selector = Selector::new(self.gpu, rows, wanted, self.session.limit_memory(self.gpu));
        pollster::block_on(selector.run(self.gpu, self.config, &mut |done| {
            bar.at(done);
            self.session.go_on().is_ok()
        }))
        .map_err(|e| self.session.go_on().err().unwrap_or(e))?;
        bar.done();
        if selector.exhausted {
            let found = selector.picks.len();
            self.session.say(&format!(
                "note: {found} rows hold everything there is; {wanted} were wanted, the rest are repetitions"
            ));
        }
        selector.picks.sort_unstable();
        Ok(selector.picks)
    }

    /// The patch vectors of these numbers, rising, `[m, d]`.
    fn bank(&self, bag: &Bag, picks: &[usize]) -> Result<Tensor> {
        let (places, d) = (self.geometry.places(), self.geometry.dim);
        let mut bank = Vec::with_capacity(picks.len() * d);
        for group in picks.chunk_by(|a, b| a / places == b / places) {
            let rows = bag.rows(group.first().map_or(0, |i| i / places))?;
            for i in group {
                bank.extend(rows.iter().skip(i % places * d).take(d));
            }
        }
        Ok(Tensor::new([picks.len(), d], bank))
    }

    /// Every training picture's score and its map's largest value, against the bank without its own rows; infinite where nothing is left
    /// of the bank then.
    fn scores(&self, model: &Model, bag: &Bag) -> Result<(Vec<f64>, Vec<f64>)> {
        let limit = self.session.limit_memory(self.gpu);
        let new = Scorer::new(self.gpu, &model.config, &self.geometry, model.bank.clone(), limit);
        let scorer = pollster::block_on(new)?;
        let bar = self.session.progress(model.pictures.len(), "scoring");
        let (mut scores, mut peaks) = (vec![], vec![]);
        for i in 0..model.pictures.len() {
            self.session.go_on()?;
            let (from, to) = model.own_rows(i);
            let (score, peak) = if to - from == model.sources.len() {
                (f64::INFINITY, f64::INFINITY) // the bank holds nothing but this picture
            } else {
                let queries = Tensor::new([self.geometry.places(), self.geometry.dim], bag.rows(i)?.into_owned());
                let scored = pollster::block_on(scorer.run(&queries, (from, to)))?;
                (scored.score, f64::from(scored.map.data.iter().copied().fold(f32::NEG_INFINITY, f32::max)))
            };
            scores.push(score);
            peaks.push(peak);
            bar.at(i + 1);
        }
        bar.done();
        Ok((scores, peaks))
    }
}

fn held_out<'a>(samples: impl Iterator<Item = &'a Sample>) -> Result<Vec<Seen>> {
    samples.map(|s| Ok(Seen { name: s.name.clone(), sha256: sha256(&read(&s.path)?) })).collect()
}

fn report(session: &Session, args: &Fit, model: &Model, times: Times) -> Result<()> {
    let (limit, n) = (model.limit(), model.pictures.len());
    if session.json {
        return print(
            &json!({
                "model": args.output, "pictures": n, "bank": model.sources.len(), "limit": limit,
                "seconds": {"features": times.features, "coreset": times.coreset, "scoring": times.scoring},
            })
            .to_string(),
        );
    }
    let limit = limit.map_or("none: there is no second picture to compare with".into(), |l| {
        format!("{l:.4}, the largest score among {n} good pictures, each without its own part of the bank")
    });
    let file = args.output.display();
    print(&format!(
        "wrote     {file}\nbank      {} rows of {} values\nlimit     {limit}\ntime      {:.1} s features, {:.1} s coreset, {:.1} s scoring\n\nNext: lupe patchcore predict {file} PICTURES -o results",
        model.sources.len(),
        model.geometry.dim,
        times.features,
        times.coreset,
        times.scoring
    ))
}
