//! `lupe limit`: the training scores of a fitted model, what each rule makes of them, and the model's file with another rule.

use super::output::{new_table, print, quoted};
use super::session::Session;
use super::subject::{CheckpointArgs, WeightsArgs, open_model};
use crate::error::{Error, Result, shown};
use crate::files::save;
use crate::methods::limit::{apart_names, apart_words, drawn, number, scores, words};
use crate::methods::{Fitted, LimitRule, Trained};
use crate::outputs::Inputs;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What `lupe limit` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A fitted model
    #[arg(value_name = "MODEL.lupe")]
    model: PathBuf,
    /// Gives the model this rule: max, second, quantile=0.99, fixed=SCORE or fixed=SCORE,PIXEL
    #[arg(long)]
    rule: Option<LimitRule>,
    /// Where to write the model with its new rule [default: the model's own file]
    #[arg(short, long, value_name = "FILE.lupe", requires = "rule")]
    output: Option<PathBuf>,
    /// Weights of the backbone, for a model that does not contain them
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    choice: WeightsArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    if let Some(output) = &args.output {
        if std::fs::metadata(output).is_ok_and(|m| !(m.is_file() || m.is_dir())) {
            let what = "not a regular file; expected one, from which the model is read again";
            return Err(Error::Output(format!("{}: {what}", shown(output))));
        }
        session.outputs.model(output, &Inputs::of([Some(&args.model), args.weights.as_ref()].into_iter().flatten()))?;
    }
    let weights = args.choice.of(args.weights.as_deref());
    let open = |path: &Path| open_model(session, path, weights.as_ref(), &CheckpointArgs::default());
    let fitted = open(&args.model)?;
    let Some(rule) = args.rule else { return print(&text(session, &*fitted)) };
    let output = args.output.as_deref().unwrap_or(&args.model);
    save(output, &fitted.with_limit(rule)?)?;
    print(&text(session, &*open(output)?))?;
    if session.json { Ok(()) } else { print(&format!("wrote     {}", quoted(output))) }
}

fn text(session: &Session, fitted: &dyn Fitted) -> String {
    if session.json { as_json(fitted).to_string() } else { for_people(fitted) }
}

/// One rule on a model: its limits, and how many training pictures are above the one for pictures.
struct Outcome {
    rule: LimitRule,
    limits: [Option<f64>; 2],
    above: usize,
}

/// The rules that need no number of one's own, and the model's.
fn outcomes(fitted: &dyn Fitted) -> Vec<Outcome> {
    let usual = [LimitRule::Max, LimitRule::Second, LimitRule::Quantile(0.99), LimitRule::Quantile(0.95)];
    let own = fitted.limit_rule().filter(|rule| !usual.contains(rule));
    let (scores, trained) = (scores(fitted), fitted.training());
    let peaks: Vec<f64> = trained.iter().map(|t| t.peak).collect();
    let outcome = |rule: LimitRule| {
        let limit = rule.of_scores(&scores)?;
        let above = scores.iter().filter(|s| s.is_finite() && **s > limit).count();
        Some(Outcome { rule, limits: [Some(limit), rule.of_peaks(&peaks)], above })
    };
    usual.into_iter().chain(own).filter_map(outcome).collect()
}

fn for_people(fitted: &dyn Fitted) -> String {
    let (trained, scores) = (fitted.training(), scores(fitted));
    let mut parts = vec![];
    if !scores.is_empty() {
        let mut table = new_table(["rule", "limit", "pixel limit", "training pictures above"]);
        let number = |v: Option<f64>| v.map_or("-".into(), number);
        for Outcome { rule, limits: [limit, pixel], above } in outcomes(fitted) {
            let now = if fitted.limit_rule() == Some(rule) { " (now)" } else { "" };
            table.add_row([format!("{rule}{now}"), number(limit), number(pixel), above.to_string()]);
        }
        parts.extend(drawn(fitted));
        parts.extend([String::new(), table.to_string()]);
    }
    parts.extend(apart_words(&trained).map(|words| format!("apart     {words}")));
    parts.push(words(fitted).map_or("no limit".into(), |words| format!("limit     {words}")));
    parts.join("\n")
}

fn as_json(fitted: &dyn Fitted) -> Value {
    let trained = fitted.training();
    let one = |t: &Trained| json!({"name": t.name, "score": finite(t.score), "peak": finite(t.peak)});
    let rule = |o: &Outcome| json!({"rule": o.rule.to_string(), "limit": o.limits[0], "pixel_limit": o.limits[1], "above": o.above});
    json!({
        "limit": fitted.limit(),
        "pixel_limit": fitted.map_limit(),
        "limit_rule": fitted.limit_rule().map(|rule| rule.to_string()),
        "rules": outcomes(fitted).iter().map(rule).collect::<Vec<_>>(),
        "apart": apart_names(&trained),
        "training": trained.iter().map(one).collect::<Vec<_>>(),
    })
}

/// JSON has no infinity: a picture that the whole bank came from has no score.
fn finite(v: f64) -> Option<f64> {
    Some(v).filter(|v| v.is_finite())
}
