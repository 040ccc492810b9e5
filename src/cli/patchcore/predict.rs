//! `lupe patchcore predict`: scores, verdicts and heat maps of new pictures.

use super::args::{Common, Predict, Work};
use super::failed;
use super::features::{Extractor, Looked, Missed};
use super::load::Loading;
use super::results::{Results, ndjson};
use crate::cli::network::network;
use crate::cli::output::print;
use crate::cli::session::{Session, describe, peak_memory};
use crate::data::Preprocess;
use crate::data::dataset::{Sample, pictures};
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::methods::patchcore::model::Model;
use crate::methods::patchcore::score::{Scored, Scorer};
use crate::models;
use crate::weights::Weights;
use crate::weights::safetensors::with_file;
use std::path::Path;
use std::time::Instant;

/// A model file and the backbone it was fitted with.
pub struct Opened {
    /// The model.
    pub model: Model,
    /// Its network.
    pub net: &'static models::Model,
    /// The network's weights.
    pub weights: Weights,
    /// What pictures go through.
    pub preprocess: Preprocess,
    /// Values of the first and last colour of heat maps, the same for all pictures of a model.
    pub scale: [f32; 2],
}

/// Opens a model; its backbone comes from the file, or from `weights` if it is the same one.
///
/// # Errors
/// [`Error::Weights`] for a damaged model or another backbone.
pub fn open(path: &Path, weights: Option<&Path>) -> Result<Opened> {
    let mut model = with_file(path, |bytes| Model::from_bytes(bytes, &path.display().to_string()))?;
    let fail = |what: String| Error::Weights(vec![format!("{}: {what}", path.display())]);
    let name = model.backbone.name.clone();
    let net = models::find(&name).ok_or_else(|| fail(format!("its backbone {name} is not known to this Lupe")))?;
    let weights = match (model.backbone.weights.take(), weights) {
        (Some(own), None) => own,
        (_, file) => {
            let (_, given) = network(&name, file)?;
            if given.sha256() != model.backbone.sha256 {
                return Err(fail(format!("was fitted with other weights of {name}; give those with --weights")));
            }
            given
        }
    };
    if model.config.geometry(net, &weights)? != model.geometry {
        return Err(fail("its sizes do not follow from its choices".into()));
    }
    let preprocess = model.config.preprocess(net);
    // Twice what a good picture reaches: a place that is barely above the limit is told from one that is far above.
    let scale = [0.0, model.map_limit().map_or_else(|| model.spread(), |l| 2.0 * l) as f32];
    Ok(Opened { model, net, weights, preprocess, scale })
}

/// Says what a model without a limit cannot give: scores are there, verdicts are not.
pub fn say_without_limit(session: &Session, opened: &Opened, common: &Common) {
    if opened.model.map_limit().is_none() && common.masks {
        session.say("note: this model has no limit, so no masks are written");
    }
}

/// Scores `samples` into `results`, and calls `each` with every one.
pub fn score(
    (session, gpu): (&Session, &Gpu),
    opened: &Opened,
    samples: &[Sample],
    loading: &Loading,
    results: &mut Results<'_>,
    work: &Work,
    mut each: impl FnMut(&Sample, &Looked, &Scored) -> Result<()>,
) -> Result<Missed> {
    session.watch_for_interrupts()?;
    session.left_by_interrupt("results.* and metrics.json were not written");
    session.say(&format!("device    {}", describe(&gpu.info)));
    let Model { config, geometry, bank, .. } = &opened.model;
    let extractor = Extractor::new(session, gpu, (opened.net, &opened.weights), config, None, work.batch)?;
    let limit = session.limit_memory(gpu);
    let scorer = pollster::block_on(Scorer::new(gpu, config, geometry, bank.clone(), limit))?;
    let missed = extractor.run(session, samples, loading, |looked| {
        let Some(sample) = samples.get(looked.number) else { return Ok(()) };
        session.go_on()?;
        let start = Instant::now();
        let scored = pollster::block_on(scorer.run(&looked.rows, (0, 0)))
            .map_err(|e| if let Error::Numeric(e) = e { Error::Numeric(format!("{}: {e}", sample.name)) } else { e })?;
        let scoring = start.elapsed().as_secs_f64() * 1e3;
        each(sample, &looked, &scored)?;
        results.add(sample, looked, scored, scoring)
    })?;
    for (number, why) in &missed.failed {
        if let Some(sample) = samples.get(*number) {
            results.add_failed(*number, sample, why);
        }
    }
    Ok(missed)
}

/// Tells, with `-v`, how much memory it took.
pub fn log_peak() {
    if let Some(bytes) = peak_memory() {
        log::info!("peak memory {:.0} MB", bytes as f64 / 1e6);
    }
}

/// Two pictures of one name would overwrite each other's results.
fn distinct(samples: &[Sample]) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    match samples.iter().find(|s| !seen.insert(&s.name)) {
        Some(s) => Err(Error::Usage(format!("two pictures are called {}; score them into different folders", s.name))),
        None => Ok(()),
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &Predict) -> Result<()> {
    let mut samples = pictures(&args.pictures)?;
    let own = args.output.canonicalize().ok(); // results of an earlier run among the pictures are no pictures
    samples.retain(|s| !s.path.canonicalize().is_ok_and(|p| own.as_ref().is_some_and(|own| p.starts_with(own))));
    distinct(&samples)?;
    let (common, work) = (&args.common, &args.common.work);
    let (gpu, opened) = session.gpu_beside(|| open(&args.model, common.weights.as_deref()))?;
    if args.exit_code && opened.model.limit().is_none() {
        let model = args.model.display();
        return Err(Error::Usage(format!("{model}: has no limit, so --exit-code could never tell a reject")));
    }
    say_without_limit(session, &opened, common);
    let mut results = Results::new(&opened, common, &samples, &args.output)?;
    let loading = Loading::of(work);
    let missed = score((session, &gpu), &opened, &samples, &loading, &mut results, work, |_, _, _| Ok(()))?;
    log_peak();
    let above = results.above;
    let lines = results.write()?;
    if session.json {
        print(ndjson(&lines)?.trim_end())?;
    } else {
        let (looked, out) = (samples.len() - missed.failed.len(), args.output.display());
        let verdict = opened.model.limit().map_or(format!("{looked} pictures scored; no limit is known"), |l| {
            let n = opened.model.pictures.len();
            format!("{above} of {looked} pictures are above the limit (limit {l:.4}, the largest score among {n} good pictures)")
        });
        print(&format!("{verdict}\nresults   {out}"))?;
    }
    failed(&samples, &missed)?;
    if above > 0 && args.exit_code {
        return Err(Error::Rejects(format!("{above} pictures are above the limit")));
    }
    Ok(())
}
