//! `lupe patchcore eval`: metrics of a model on labelled pictures.

use super::args::Eval;
use super::failed;
use super::features::Missed;
use super::load::Loading;
use super::metrics::{Sums, table};
use super::predict::{log_peak, open, say_without_limit, score};
use super::results::{Results, save};
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::data::dataset::{Dataset, Sample, good};
use crate::error::{Error, Result};
use crate::methods::patchcore::model::Model;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Runs the command.
pub fn run(session: &Session, args: &Eval) -> Result<()> {
    let set = Dataset::open(&args.data)?;
    let (common, work) = (&args.common, &args.common.work);
    let (gpu, opened) = session.gpu_beside(|| open(&args.model, common.weights.as_deref()))?;
    let samples = with_masks(args, to_test(&opened.model, set))?;
    let mut loading = Loading::of(work);
    if args.allow_seen {
        session.say("warning: pictures that the model was fitted on are counted too; the metrics flatter it");
    } else if opened.model.origin.is_some() {
        session.say("note: which pictures this model was fitted on is not known, so none is left out; keep them out of the test");
    } else {
        loading.leave_out = opened.model.pictures.iter().map(|p| p.sha256.clone()).collect();
    }
    say_without_limit(session, &opened, common);
    let mut results = Results::new(&opened, common, &samples, &args.output)?;
    let mut sums = Sums::new(samples.iter().any(|s| s.mask.is_some()), session.limit_ram(work.limit_ram));
    let missed = score((session, &gpu), &opened, &samples, &loading, &mut results, work, |sample, looked, scored| {
        sums.add(&opened, sample, looked, scored)
    })?;
    let device = &gpu.info;
    if sums.pictures() == 0 {
        let why = if missed.failed.is_empty() { "the model was fitted on all of them" } else { "none can be read" };
        return Err(Error::Input(format!("{}: no test picture is left: {why}", args.data.display())));
    }
    results.write()?;
    let metrics = sums.finish(
        counts(&opened.model, &missed),
        model(&opened.model),
        json!({
            "name": device.name, "backend": device.backend, "driver": device.driver, "driver_info": device.driver_info,
        }),
    )?;
    log_peak();
    let text = serde_json::to_string_pretty(&metrics).map_err(|e| Error::Output(format!("metrics.json: {e}")))?;
    save(&args.output.join("metrics.json"), (text + "\n").as_bytes())?;
    match session.json {
        true => print(&metrics.to_string())?,
        false => print(&format!("{}\nresults   {}", table(&metrics), args.output.display()))?,
    }
    failed(&samples, &missed)
}

fn counts(model: &Model, missed: &Missed) -> Map<String, Value> {
    Map::from_iter([
        ("train".to_string(), json!(model.pictures.len())),
        ("skipped_seen".into(), json!(missed.left_out)),
        ("failed".into(), json!(missed.failed.len())),
    ])
}

fn model(model: &Model) -> Value {
    let mut facts = json!({
        "backbone": model.backbone.name, "backbone_sha256": model.backbone.sha256, "config": model.config,
        "limit": model.limit(), "train": model.pictures.len(),
    });
    if let (Some(facts), Some(origin)) = (facts.as_object_mut(), &model.origin) {
        facts.insert("origin".into(), json!(origin));
    }
    facts
}

/// Test pictures; where the set has no good ones, those that the fit kept aside.
fn to_test(model: &Model, set: Dataset) -> Vec<Sample> {
    let aside: BTreeSet<&str> = model.held_out.iter().map(|p| p.name.as_str()).collect();
    let test_good = set.test.iter().any(good);
    let kept = set.train.into_iter().filter(|s| !test_good && aside.contains(s.name.as_str()));
    let mut all: Vec<Sample> = set.test.into_iter().chain(kept).collect();
    all.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    all
}

/// Either every defective picture has a mask, or none has, unless those without are to be left out.
fn with_masks(args: &Eval, samples: Vec<Sample>) -> Result<Vec<Sample>> {
    let missing = |s: &&Sample| !good(s) && s.mask.is_none();
    let any = samples.iter().any(|s| s.mask.is_some());
    match samples.iter().find(missing) {
        _ if samples.is_empty() => Err(Error::Input(format!(
            "{}: has no pictures to test with; expected test/*, or folders of defects beside good/",
            args.data.display()
        ))),
        Some(s) if any && !args.skip_unmasked => {
            let n = samples.iter().filter(missing).count();
            Err(Error::Input(format!(
                "{n} defective pictures have no mask, {} first; add them or give --skip-unmasked",
                s.name
            )))
        }
        Some(_) if any => Ok(samples.into_iter().filter(|s| good(s) || s.mask.is_some()).collect()),
        _ => Ok(samples),
    }
}
