//! `lupe eval`: metrics of a fitted model on labelled pictures.

use super::global::bytes;
use super::output::{new_table, print};
use super::session::Session;
use super::working::{Out, crop_words, files_of, left_over};
use crate::data::dataset::{Classes, Dataset, GOOD, Layout, Sample};
use crate::error::{Error, Result, plain, shown};
use crate::memory::log_peak;
use crate::methods::predict::{Choice, Work, evaluate, fitted_on, to_test};
use crate::methods::results::Results;
use crate::methods::{Fitted, Known, limit};
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
    /// Also count pictures of the test split that the model was fitted on
    #[arg(long)]
    allow_seen: bool,
    /// Leave out defective pictures that have no mask
    #[arg(long)]
    skip_unmasked: bool,
    /// Maximum memory for metrics at the pictures' own size, e.g. 4G; beyond it they are undefined [default: 60 % of free memory]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    limit_ram: Option<u64>,
    #[command(flatten)]
    out: Out,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let (set, out) = (labelled(session, args)?, &args.out);
    let all: Vec<Sample> = set.train.iter().chain(&set.test).cloned().collect();
    out.prepare(session, &all, &[files_of(&set, &args.data), vec![args.model.clone()]].concat(), true)?;
    let (gpu, fitted) = session.gpu_beside(|| out.open(session, &args.model))?;
    set.notes.iter().for_each(|note| session.say(note));
    if set.layout == Layout::Flat {
        session.say("note: all pictures directly in the folder count as good; none is labelled as defective");
    }
    let Args { skip_unmasked, allow_seen, .. } = *args;
    let labelled = to_test(&*fitted, set, Choice { skip_unmasked, allow_seen, all: out.work.load.all })?;
    let mut loading = out.work.loading();
    match fitted.known() {
        _ if args.allow_seen => {
            session.say("warning: pictures of the test split that the model was fitted on are counted too; the metrics may be too optimistic");
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
    let older = results.unfinished();
    older.iter().for_each(|text| session.left_by_interrupt(text));
    let room = session.limit_ram(args.limit_ram);
    let (metrics, missed) = pollster::block_on(evaluate(&work, &labelled, &mut results, room))
        .inspect_err(|e| left_over(session, older.as_ref(), e))?;
    let seen = results.seen_share();
    let text = serde_json::to_string_pretty(&metrics).map_err(|e| Error::Output(format!("metrics.json: {e}")))?;
    results.write(Some((text + "\n").as_bytes()))?;
    log_peak();
    match session.json {
        true => print(&metrics.to_string())?,
        false => {
            let lines = [Some(table(&metrics)), classes(&metrics), at_limit(&*fitted, &metrics), crop(seen, &metrics)];
            let lines: Vec<String> = lines.into_iter().flatten().collect();
            print(&format!("{}\nresults   {}", lines.join("\n"), shown(&out.output)))?;
        }
    }
    session.say(&labelled.counted(&missed).to_string());
    missed.ended(labelled.samples.len())
}

/// The pictures with their labels: a data set or, for a model that classifies, a folder of classes of which none is good.
fn labelled(session: &Session, args: &Args) -> Result<Dataset> {
    let classifies = || {
        let fitted = session.methods.open(&args.model, args.out.weights().as_ref());
        fitted.is_ok_and(|fitted| !fitted.classes().is_empty())
    };
    match Dataset::open(&args.data) {
        Err(error @ Error::Input(_)) if args.data.exists() && classifies() => {
            let classes = Classes::open(&args.data, args.out.work.load.all)?;
            // With good pictures it is a data set, and something is wrong with it.
            if classes.counts().contains_key(GOOD) { Err(error) } else { Ok(classes.to_test_on()) }
        }
        opened => opened,
    }
}

/// Which class was said of pictures of which class, and how often that was right; by a method that classifies.
fn classes(metrics: &Value) -> Option<String> {
    let of = |name: &str| metrics.pointer(&format!("/classes/{name}"));
    let rows = of("confusion")?.as_object()?;
    let share = |v: Option<&Value>| v.and_then(Value::as_f64).map_or("-".into(), |v| format!("{v:.4}"));
    let mut table =
        new_table([String::new()].into_iter().chain(rows.keys().map(|name| plain(name))).chain(["recall".into()]));
    for (name, row) in rows {
        let counts = rows.keys().map(|said| row.get(said).map_or(String::new(), Value::to_string));
        let recall = share(of("recall").and_then(|recalls| recalls.get(name)));
        table.add_row([plain(name)].into_iter().chain(counts).chain([recall]));
    }
    let [accuracy, balanced, majority] = ["accuracy", "balanced_accuracy", "majority"].map(|name| share(of(name)));
    let others: u64 = of("other_labels")?.as_object()?.values().filter_map(Value::as_u64).sum();
    let others = if others > 0 { format!("; {others} pictures have other labels") } else { String::new() };
    Some(format!(
        "\n{table}\naccuracy  {accuracy}, balanced {balanced}; saying always the most frequent class gives {majority}{others}"
    ))
}

/// What accepting and rejecting at the model's limit comes to.
fn at_limit(fitted: &dyn Fitted, metrics: &Value) -> Option<String> {
    let at = |pointer: &str| metrics.pointer(pointer).and_then(Value::as_u64);
    let count = |name: &str| at(&format!("/at_limit/{name}"));
    let (Some(accepted), Some(rejected)) = (count("accepted"), count("rejected")) else {
        return Some("limit     none, so no picture is accepted or rejected".into());
    };
    let (good, defective) = (at("/counts/test_good")?, at("/counts/test_defective")?);
    Some(format!(
        "accepted  {accepted}, of these {} of {defective} defective pictures (misses)\nrejected  {rejected}, of these {} of {good} good pictures (false alarms)\nlimit     {}",
        count("misses")?,
        count("false_alarms")?,
        limit::words(fitted)?
    ))
}

/// What the crop leaves of the pictures and of their defects.
fn crop(seen: Option<f64>, metrics: &Value) -> Option<String> {
    let words = crop_words(seen)?;
    let count = |name: &str| metrics.pointer(&format!("/counts/{name}")).and_then(Value::as_u64).unwrap_or_default();
    let [all, unseen, pictures] = ["defect_pixels_full", "defect_pixels_unseen", "defective_unseen"].map(count);
    let share = 100.0 * unseen as f64 / all.max(1) as f64;
    Some(match unseen {
        0 => format!("crop      {words}"),
        _ => format!(
            "crop      {words}; {share:.0} % of the defect pixels lie outside, and all of those of {pictures} pictures"
        ),
    })
}

/// The metrics as a table, undefined ones as `-`, and below it why they are undefined.
fn table(metrics: &Value) -> String {
    const COLUMNS: [&str; 6] = ["auroc", "ap", "f1_max", "f1_threshold", "aupro_30", "aupro_05"];
    let mut table = new_table(["", "AUROC", "AP", "F1-max", "at", "AUPRO 0.3", "AUPRO 0.05"]);
    // A method that classifies has no maps.
    let parts = if metrics.get("classes").is_some() { &["image"][..] } else { &["image", "pixel", "pixel_full"] };
    for part in parts {
        let cell = |name: &&str| {
            let value = metrics.get(*part).and_then(|p| p.get(*name)).and_then(Value::as_f64);
            value.map_or("-".into(), |v| format!("{v:.4}"))
        };
        table.add_row(std::iter::once(part.to_string()).chain(COLUMNS.iter().map(cell)));
    }
    let parts = parts.iter().filter_map(|part| Some((part, metrics.get(*part)?)));
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
