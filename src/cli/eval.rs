//! `lupe eval`: metrics of a fitted model on labelled pictures.

use super::output::{new_table, print};
use super::session::Session;
use super::working::Out;
use crate::data::dataset::{Dataset, Layout};
use crate::error::{Error, Result};
use crate::files::save;
use crate::memory::log_peak;
use crate::methods::Known;
use crate::methods::predict::{Choice, Work, evaluate, fitted_on, to_test};
use crate::methods::results::Results;
use crate::watch::Watch;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What `lupe eval` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A fitted model
    #[arg(value_name = "MODEL.lupe")]
    model: PathBuf,
    /// A data set with test pictures
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// Also count pictures that the model was fitted on
    #[arg(long)]
    allow_seen: bool,
    /// Leave out defective pictures that have no mask
    #[arg(long)]
    skip_unmasked: bool,
    #[command(flatten)]
    out: Out,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let (set, out) = (Dataset::open(&args.data)?, &args.out);
    let (gpu, fitted) = session.gpu_beside(|| session.methods.open(&args.model, out.weights.as_deref()))?;
    set.notes.iter().for_each(|note| session.say(note));
    if set.layout == Layout::Flat {
        session.say("note: all pictures directly in the folder count as good; none is labelled as defective");
    }
    let Args { skip_unmasked, allow_seen, .. } = *args;
    let labelled = to_test(&*fitted, set, Choice { skip_unmasked, allow_seen, all: out.work.all })?;
    let mut loading = out.work.loading();
    match fitted.known() {
        _ if args.allow_seen => {
            session.say("warning: pictures that the model was fitted on are counted too; the metrics are too optimistic");
        }
        Known::Unknown => session.say(
            "note: it is not known which pictures this model was fitted on, so none are left out; the test set must not contain them",
        ),
        Known::Fitted { .. } => loading.leave_out = fitted_on(&*fitted),
    }
    session.begin_scoring(&gpu, &*fitted, out.wanted().1)?;
    let (options, features) = (session.run_options(&gpu, out.work.batch), out.wanted().1.features);
    let work = Work { gpu: &gpu, fitted: &*fitted, options, loading, features, watch: session };
    let mut results = Results::new(&*fitted, out.wanted(), &labelled.samples, &out.output)?;
    let room = session.limit_ram(out.work.limit_ram);
    let (metrics, missed) = pollster::block_on(evaluate(&work, &labelled, &mut results, room))?;
    results.write()?;
    log_peak();
    let text = serde_json::to_string_pretty(&metrics).map_err(|e| Error::Output(format!("metrics.json: {e}")))?;
    save(&out.output.join("metrics.json"), (text + "\n").as_bytes())?;
    match session.json {
        true => print(&metrics.to_string())?,
        false => print(&format!("{}\nresults   {}", table(&metrics), out.output.display()))?,
    }
    session.say(&labelled.counted(&missed).to_string());
    missed.ended(labelled.samples.len())
}

/// The metrics as a table, undefined ones as `-`, and below it why they are undefined.
fn table(metrics: &Value) -> String {
    const COLUMNS: [&str; 6] = ["auroc", "ap", "f1_max", "f1_threshold", "aupro_30", "aupro_05"];
    let mut table = new_table(["", "AUROC", "AP", "F1-max", "at", "AUPRO 0.3", "AUPRO 0.05"]);
    for part in ["image", "pixel", "pixel_full"] {
        let cell = |name: &&str| {
            let value = metrics.get(part).and_then(|p| p.get(*name)).and_then(Value::as_f64);
            value.map_or("-".into(), |v| format!("{v:.4}"))
        };
        table.add_row(std::iter::once(part.to_string()).chain(COLUMNS.iter().map(cell)));
    }
    let parts = ["image", "pixel", "pixel_full"].into_iter().filter_map(|part| Some((part, metrics.get(part)?)));
    parts.fold(table.to_string(), |text, (part, facts)| text + &undefined(part, facts))
}

/// A line for every reason for which metrics of a part are undefined.
fn undefined(part: &str, facts: &Value) -> String {
    let mut by_reason = BTreeMap::<&str, Vec<&str>>::new();
    for (name, why) in facts.get("undefined").and_then(Value::as_object).into_iter().flatten() {
        by_reason.entry(why.as_str().unwrap_or_default()).or_default().push(name);
    }
    let all = facts.as_object().map_or(0, |facts| facts.len().saturating_sub(1));
    let line = |(why, names): (&str, Vec<&str>)| match names.len() {
        n if n == all => format!("\nundefined {part}: {why}"),
        _ => format!("\nundefined {part} {}: {why}", names.join(", ")),
    };
    by_reason.into_iter().map(line).collect()
}
