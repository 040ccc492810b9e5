//! `lupe patchcore predict`: scores, verdicts and heat maps of new pictures.

use super::args::{Common, Predict};
use super::features::{Extractor, Looked, backbone};
use crate::cli::output::{print, write};
use crate::cli::session::{Session, describe};
use crate::data::Preprocess;
use crate::data::dataset::{Sample, pictures};
use crate::data::render::{Canvas, full_map, overlay, tiff};
use crate::error::{Error, Result};
use crate::methods::patchcore::model::Model;
use crate::methods::patchcore::score::{Scored, Scorer};
use crate::models;
use crate::weights::Weights;
use crate::weights::safetensors::with_file;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

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
            let (_, given) = backbone(&name, file)?;
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
    Ok(Opened { model, net, weights, preprocess })
}

/// Scores `samples` and calls `each` with every one.
pub fn score(
    session: &Session,
    opened: &Opened,
    samples: &[Sample],
    batch: u16,
    mut each: impl FnMut(Looked, Scored) -> Result<()>,
) -> Result<()> {
    session.watch_for_interrupts()?;
    let gpu = session.gpu()?;
    session.say(&format!("device    {}", describe(&gpu.info)));
    let Model { config, geometry, bank, .. } = &opened.model;
    let extractor = Extractor::new(session, &gpu, (opened.net, &opened.weights), config, None, batch)?;
    let limit = session.limit_memory(&gpu);
    let scorer = pollster::block_on(Scorer::new(&gpu, config, geometry, bank.clone(), limit))?;
    extractor.run(session, samples, "scoring", |looked| {
        let scored = pollster::block_on(scorer.run(&looked.rows, (0, 0)))?;
        each(looked, scored)
    })
}

/// One line of results.
pub fn line(opened: &Opened, sample: &Sample, looked: &Looked, scored: &Scored) -> Value {
    let (width, height) = (looked.picture.width, looked.picture.height);
    let [x, y, w, h] = opened.preprocess.area(width, height);
    let (size, at) = (scored.map.shape.last().max(1), peak(&scored.map.data));
    let along = |i: usize, start: f64, length: f64| start + (i as f64 + 0.5) * length / size as f64;
    let limit = opened.model.limit();
    json!({
        "path": sample.name,
        "label": if sample.label.is_empty() { Value::Null } else { json!(sample.label) },
        "score": scored.score,
        "limit": limit,
        "above": limit.map(|l| scored.score > l),
        "peak": [along(at % size, x, w), along(at / size, y, h)],
        "crop": [x, y, w, h],
    })
}

fn peak(map: &[f32]) -> usize {
    let better = |best: (usize, f32), (i, &v): (usize, &f32)| if v > best.1 { (i, v) } else { best };
    map.iter().enumerate().fold((0, f32::NEG_INFINITY), better).0
}

/// The pictures that were asked for: heat map and raw map.
pub fn draw(
    opened: &Opened,
    common: &Common,
    out: &Path,
    sample: &Sample,
    looked: &Looked,
    scored: &Scored,
) -> Result<()> {
    let (width, height) = (looked.picture.width, looked.picture.height);
    let (area, size) = (opened.preprocess.area(width, height), scored.map.shape.last());
    if !common.no_heatmaps {
        // One scale for all pictures of a model: red is where a good picture has never been.
        let limit = opened.model.limit().map(|l| l as f32);
        let high = limit.unwrap_or_else(|| scored.map.data.iter().copied().fold(f32::MIN_POSITIVE, f32::max));
        let canvas = Canvas { width, height, rgb: looked.picture.rgb8().into_owned() };
        let picture = overlay(&canvas, &scored.map.data, size, size, area, [0.0, high * 1.25], limit);
        save(&out.join("heatmaps").join(format!("{}.png", sample.name)), &picture.png()?)?;
    }
    if common.maps {
        let full = full_map(&scored.map.data, size, size, area, width, height);
        save(&out.join("maps").join(format!("{}.tiff", sample.name)), &tiff(&full, width, height)?)?;
    }
    Ok(())
}

/// Writes a file below the results, its folders made.
pub fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| Error::Output(format!("{} cannot be made: {e}", folder.display())))?;
    write(path, bytes)
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
    let samples = pictures(&args.pictures)?;
    distinct(&samples)?;
    let opened = open(&args.model, args.common.weights.as_deref())?;
    let results: PathBuf = args.output.join("results.ndjson");
    save(&results, b"")?; // better to know now that nothing can be written there
    let (mut lines, mut above) = (vec![], 0);
    score(session, &opened, &samples, args.common.batch, |looked, scored| {
        let Some(sample) = samples.get(looked.number) else { return Ok(()) };
        let line = line(&opened, sample, &looked, &scored);
        above += usize::from(line.get("above") == Some(&json!(true)));
        draw(&opened, &args.common, &args.output, sample, &looked, &scored)?;
        lines.push(line.to_string());
        Ok(())
    })?;
    save(&results, (lines.join("\n") + "\n").as_bytes())?;
    if session.json {
        return print(&lines.join("\n"));
    }
    let limit = opened.model.limit().map_or("no limit is known".into(), |l| {
        format!("limit {l:.4}, the largest score among {} good pictures", opened.model.pictures.len())
    });
    print(&format!(
        "{above} of {} pictures are above the limit ({limit})\nresults   {}",
        samples.len(),
        args.output.display()
    ))
}
