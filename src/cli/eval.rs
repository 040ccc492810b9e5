//! `lupe eval`: metrics of a fitted model on labelled pictures.

use super::global::bytes;
use super::output::{new_table, print};
use super::session::Session;
use super::working::{Out, files_of, left_over};
use crate::data::dataset::{Dataset, Sample};
use crate::error::{Error, Result, shown};
use crate::memory::log_peak;
use crate::methods::Known;
use crate::methods::predict::{Work, evaluate, fitted_on, to_test};
use crate::methods::results::Results;
use crate::watch::Watch;
use serde_json::Value;
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
    /// Maximum memory for metrics at the pictures' own size, e.g. 4G; beyond it they are undefined [default: 60 % of free memory]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    limit_ram: Option<u64>,
    #[command(flatten)]
    out: Out,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let (set, out) = (Dataset::open(&args.data)?, &args.out);
    let all: Vec<Sample> = set.train.iter().chain(&set.test).cloned().collect();
    out.prepare(session, &all, &[files_of(&set, &args.data), vec![args.model.clone()]].concat(), true)?;
    let (gpu, fitted) = session.gpu_beside(|| session.methods.open(&args.model, out.weights.as_deref()))?;
    let labelled = to_test(&*fitted, set, args.skip_unmasked)?;
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
    let older = results.unfinished();
    older.iter().for_each(|text| session.left_by_interrupt(text));
    let room = session.limit_ram(args.limit_ram);
    let (metrics, missed) = pollster::block_on(evaluate(&work, &labelled, &mut results, room))
        .inspect_err(|e| left_over(session, older.as_ref(), e))?;
    let text = serde_json::to_string_pretty(&metrics).map_err(|e| Error::Output(format!("metrics.json: {e}")))?;
    results.write(Some((text + "\n").as_bytes()))?;
    log_peak();
    match session.json {
        true => print(&metrics.to_string())?,
        false => print(&format!("{}\nresults   {}", table(&metrics), shown(&out.output)))?,
    }
    missed.ended(labelled.samples.len())
}

/// The metrics as a table, undefined ones as `-`.
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
    table.to_string()
}
