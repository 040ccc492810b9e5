//! `lupe patchcore fit`: good pictures in, a model file out.

use super::args::{Fit, Preset as Named};
use super::features::{Extractor, backbone};
use crate::cli::output::{print, write};
use crate::cli::session::{Session, describe};
use crate::data::dataset::{Dataset, Sample, good};
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::methods::patchcore::model::{Backbone, Model, Seen};
use crate::methods::patchcore::score::Scorer;
use crate::methods::patchcore::select::Selector;
use crate::methods::patchcore::{Config, Geometry, Preset, random};
use crate::tensor::Tensor;
use crate::weights::container::sha256;
use serde_json::json;
use std::sync::Arc;

/// Runs the command.
pub fn run(session: &Session, args: &Fit) -> Result<()> {
    let config = config(args);
    config.check()?;
    let set = Dataset::open(&args.data)?.split(args.test_split);
    if set.train.is_empty() {
        return Err(Error::Input(format!("{}: no good picture is left to fit on", args.data.display())));
    }
    let (model, weights) = backbone(&args.backbone, args.weights.as_deref())?;
    let geometry = config.geometry(model, &weights)?;
    session.watch_for_interrupts()?;
    let gpu = session.gpu()?;
    session.say(&format!("device    {}", describe(&gpu.info)));
    session.say(&format!(
        "fitting   {} good pictures, {} patch vectors",
        set.train.len(),
        set.train.len() * geometry.places()
    ));
    let n = set.train.len() * geometry.places();
    let projection = if config.ratio < 1.0 { random::projection(&config, n, geometry.dim).map(Arc::new) } else { None };
    let extractor = Extractor::new(session, &gpu, (model, &weights), &config, projection, args.batch)?;
    let (mut rows, mut projected, mut pictures) = (vec![], vec![], vec![]);
    extractor.run(session, &set.train, "features", |looked| {
        let name = set.train.get(looked.number).map(|s| s.name.clone()).unwrap_or_default();
        pictures.push(Seen { name, sha256: looked.sha256 });
        rows.extend_from_slice(&looked.rows.data);
        projected.extend(looked.projected.unwrap_or(looked.rows).data);
        Ok(())
    })?;
    let narrow = projected.len() / n.max(1);
    let picks = select(session, &gpu, &config, Tensor::new([n, narrow], projected))?;
    let row = |i: &usize| rows.iter().skip(i * geometry.dim).take(geometry.dim).copied();
    let bank = Arc::new(Tensor::new([picks.len(), geometry.dim], picks.iter().flat_map(row).collect()));
    let places = geometry.places();
    let mut fitted = Model {
        geometry,
        backbone: Backbone {
            name: model.name.into(),
            sha256: weights.sha256(),
            weights: (!args.no_embed_backbone).then_some(weights),
        },
        bank,
        sources: picks.iter().map(|i| [(i / places) as u32, (i % places) as u32]).collect(),
        scores: vec![],
        held_out: held_out(set.test.iter().filter(|s| good(s)))?,
        pictures,
        config,
    };
    fitted.scores = scores(session, &gpu, &fitted, &rows, geometry)?;
    write(&args.output, &fitted.to_bytes()?)?;
    report(session, args, &fitted)
}

fn config(args: &Fit) -> Config {
    let preset = match args.preset {
        Named::Official => Preset::Official,
        Named::Anomalib => Preset::Anomalib,
    };
    let usual = Config::new(preset);
    Config {
        layers: args.layers.clone().unwrap_or(usual.layers),
        ratio: args.ratio.unwrap_or(usual.ratio),
        seed: args.seed,
        neighbors: args.neighbors.unwrap_or(usual.neighbors),
        reweight: args.reweight.unwrap_or(usual.reweight),
        size: args.size.unwrap_or(usual.size),
        resize: args.resize.unwrap_or(usual.resize),
        crop: usual.crop && !args.no_crop,
        ..usual
    }
}

/// Rows of the bank, rising.
fn select(session: &Session, gpu: &Gpu, config: &Config, rows: Tensor) -> Result<Vec<usize>> {
    let n = rows.shape.dim(0);
    let wanted = config.bank_rows(n);
    if wanted == n {
        return Ok((0..n).collect());
    }
    let bar = session.progress(wanted, "coreset");
    let mut selector = Selector::new(gpu, &rows, wanted, session.limit_memory(gpu));
    pollster::block_on(selector.run(gpu, config, &mut |done| {
        bar.set_position(done as u64);
        session.go_on().is_ok()
    }))?;
    bar.finish_and_clear();
    if selector.exhausted {
        let found = selector.picks.len();
        session.say(&format!(
            "note: {found} rows hold everything there is; {wanted} were wanted, the rest are repetitions"
        ));
    }
    selector.picks.sort_unstable();
    Ok(selector.picks)
}

/// Every training picture's score against the bank without its own rows; infinite for a picture that is the only one.
fn scores(session: &Session, gpu: &Gpu, model: &Model, rows: &[f32], geometry: Geometry) -> Result<Vec<f64>> {
    if model.pictures.len() < 2 {
        return Ok(vec![f64::INFINITY; model.pictures.len()]);
    }
    let limit = session.limit_memory(gpu);
    let scorer = pollster::block_on(Scorer::new(gpu, &model.config, &geometry, model.bank.clone(), limit))?;
    let bar = session.progress(model.pictures.len(), "scoring");
    let mut scores = vec![];
    for (i, own) in rows.chunks_exact(geometry.places() * geometry.dim).enumerate() {
        session.go_on()?;
        let (from, to) = model.own_rows(i);
        if to - from == model.sources.len() {
            scores.push(f64::INFINITY); // the bank holds nothing but this picture
            continue;
        }
        let queries = Tensor::new([geometry.places(), geometry.dim], own.to_vec());
        scores.push(pollster::block_on(scorer.run(&queries, (from, to)))?.score);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(scores)
}

fn held_out<'a>(samples: impl Iterator<Item = &'a Sample>) -> Result<Vec<Seen>> {
    let seen = |s: &Sample| {
        let bytes =
            std::fs::read(&s.path).map_err(|e| Error::Input(format!("{}: cannot be read: {e}", s.path.display())))?;
        Ok(Seen { name: s.name.clone(), sha256: sha256(&bytes) })
    };
    samples.map(seen).collect()
}

fn report(session: &Session, args: &Fit, model: &Model) -> Result<()> {
    let (limit, n) = (model.limit(), model.pictures.len());
    if session.json {
        return print(
            &json!({"model": args.output, "pictures": n, "bank": model.sources.len(), "limit": limit}).to_string(),
        );
    }
    let limit = limit.map_or("none: one picture has no others to compare with".into(), |l| {
        format!("{l:.4}, the largest of {n} good pictures")
    });
    print(&format!(
        "wrote     {}\nbank      {} rows of {} values\nlimit     {limit}\n\nNext: lupe patchcore predict {} PICTURES -o results",
        args.output.display(),
        model.sources.len(),
        model.geometry.dim,
        args.output.display()
    ))
}
