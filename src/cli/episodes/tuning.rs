//! P>M>F's fine-tuning in episodes.

use super::{Args, draw, pooled};
use crate::cli::session::Session;
use crate::cli::subject::say_notes;
use crate::data::dataset::Classes;
use crate::error::{Error, Result};
use crate::methods::prototype::finetune::{Backbone, Ground};
use crate::methods::prototype::{Adaptation, Asked, Learner, decoded};
use crate::methods::vector::Source;
use crate::models;
use crate::watch::Watch;
use crate::weights::WeightsFile;
use serde_json::json;

/// P>M>F with its fine-tuning, which begins anew for every episode: what is kept of pictures is their pixels.
pub(super) fn run(
    session: &Session,
    args: &Args,
    set: &Classes,
    (file, adaptation): (Option<&WeightsFile>, Adaptation),
) -> Result<()> {
    if adaptation.auto {
        let what = "--lr auto: fit pmf finds a rate by its support; here give one, such as --lr 0.0001";
        return Err(Error::Usage(what.into()));
    }
    let asked = Asked { adaptation: Some(adaptation), ..args.asked() };
    let (network, raw) = models::unfolded(asked.backbone.as_deref().unwrap_or(asked.preset.usual_backbone()), file)?;
    say_notes(session, raw.notes());
    let config = asked.with_scalars(file)?.config(network)?;
    network.takes("size", [config.size; 2])?;
    let source = Source { network, weights: &raw, place: &config.place, preprocess: config.preprocess(network) };
    let (pictures, missed) = decoded(&set.samples, &source.preprocess, &args.work.loading(), session)?;
    let vectors = pictures.into_iter().map(|p| p.map(|(tensor, hash)| (tensor.data, hash))).collect();
    let found = pooled(set, vectors, missed)?;
    let rule = args.rule();
    rule.check(&found.classes.iter().map(|c| (c.name.as_str(), c.pictures.len())).collect::<Vec<_>>())?;
    let gpu = session.gpu()?;
    session.say(&format!("device    {}", gpu.info.describe()));
    let backbone = Backbone { network, weights: raw.tensors(), place: &config.place, head: config.head };
    let (size, ways, tuning) = (source.size(), rule.ways.unwrap_or(found.classes.len()), adaptation.tuning);
    let grounds = rule.shots.iter().map(|_| Ground::new(&backbone, size, &tuning)).collect::<Result<Vec<_>>>()?;
    let options = session.options(&gpu);
    let planned = (ways, &rule.shots[..], &grounds[..]);
    let learner = Learner::new(&gpu, (&backbone, size), &tuning, planned, (&options, adaptation.few));
    let own = json!({"distance": config.head.distance.word(), "scale": config.head.scale, "finetune": tuning});
    draw(session, args, &found, &mut pollster::block_on(learner)?, &args.facts(&source, &found.classes, own))
}
