//! The part `ops`: the bench of ops on this device, and how far the untuned defaults are from the card's own best.

use super::args::Amount;
use super::context::Context;
use super::md::{Page, digits, list, number, table, text};
use super::ops::{self, Args};
use lupe::Result;
use lupe::measure::bench::{Report, Timing, title};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What defaults are to reach: the geometric mean over kinds, and the worst of them.
const BAR: [f64; 2] = [0.8, 0.6];

/// Kinds that are listed, the worst first.
const LISTED: usize = 20;

/// Kinds that take fewer microseconds say more of clocks and launches than of kernels.
const SHORTEST: f64 = 5.0;

/// The subject that ceilings are measured with: every candidate is, so that its first is nobody's default.
const NOBODY: &str = "ceilings";

/// Does the work.
pub fn run(context: &Context) -> Result<()> {
    let full = context.amount == Amount::Full;
    let args = Args {
        only: (context.amount == Amount::Tiny).then(|| "scoring".into()),
        repeats: Some(if full { 12 } else { 3 }),
        json: None,
        baseline: None,
        quick: !full,
        batch: full.then_some(32),
        device: context.choice(),
        bench: false,
    };
    let path = context.folder("bench")?.join("ops.json");
    ops::run(&args, &|report| {
        ops::write(&path, report)?;
        context.keep(&standing(report))
    })
}

/// The default of a kind beside the kind's best.
struct Standing<'r> {
    default: &'r Timing,
    best: &'r Timing,
}

impl Standing<'_> {
    /// What the default reaches of the best.
    fn share(&self) -> f64 {
        self.best.median / self.default.median.max(1e-9)
    }
}

/// How defaults stand, in all and by op: geometric mean and worst; by subject what tuning every node would give.
pub fn standing(report: &Report) -> Value {
    let kinds = report.rows.chunk_by(|_, next| !next.default).filter_map(|rows| {
        let best = rows.iter().filter(|r| !r.us.is_empty()).min_by(|a, b| a.median.total_cmp(&b.median))?;
        Some(Standing { default: rows.first()?, best })
    });
    let all: Vec<Standing> = kinds.filter(|k| k.default.subject != NOBODY).collect();
    let mut counted: Vec<&Standing> = all.iter().filter(|k| k.default.median >= SHORTEST).collect();
    let mut ops: BTreeMap<&str, Vec<&Standing>> = BTreeMap::new();
    let mut subjects: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
    for kind in &counted {
        ops.entry(&kind.default.op).or_default().push(kind);
    }
    for kind in &all {
        let sums = subjects.entry(&kind.default.subject).or_default();
        let times = kind.default.calls as f64;
        *sums = [sums[0] + times * kind.default.median, sums[1] + times * kind.best.median];
    }
    counted.sort_by(|a, b| a.share().total_cmp(&b.share()));
    let ops: Vec<Value> = ops.iter().map(|(op, kinds)| summed(op, kinds)).collect();
    let worst: Vec<Value> = counted.iter().take(LISTED).map(|k| kind(k)).collect();
    json!({
        "all": summed("all", &counted), "ops": ops, "worst": worst, "ceilings": report.ceilings, "candidates": report.rows.len(),
        "subjects": subjects.iter().map(|(name, [d, b])| json!({"subject": name, "default_us": d, "best_us": b})).collect::<Vec<_>>(),
    })
}

fn kind(k: &Standing) -> Value {
    json!({
        "kind": title(k.default), "share": k.share(), "default": k.default.kernel, "default_us": k.default.median,
        "best": k.best.kernel, "best_us": k.best.median, "of_ceiling": k.best.of_ceiling, "bound": k.best.bound,
    })
}

/// Geometric mean, and the worst.
fn summed(op: &str, kinds: &[&Standing]) -> Value {
    let logs: f64 = kinds.iter().map(|k| k.share().ln()).sum();
    let worst = kinds.iter().map(|k| k.share()).fold(f64::INFINITY, f64::min);
    match kinds.len() {
        0 => json!({"op": op, "kinds": 0}),
        n => json!({"op": op, "kinds": n, "mean": (logs / n as f64).exp(), "worst": worst}),
    }
}

/// Puts it into words.
pub fn page(data: &Value) -> Page {
    let percent = |v: &Value, key: &str| number(v, key).map_or("–".into(), |s| format!("{:.0} %", 100.0 * s));
    let us = |v: &Value, key: &str| number(v, key).map_or("–".into(), digits);
    let rows: Vec<[String; 4]> = (list(data, "/ops").iter().chain(data.get("all")))
        .map(|o| [text(o, "/op"), text(o, "/kinds"), percent(o, "/mean"), percent(o, "/worst")])
        .collect();
    let subjects: Vec<[String; 4]> = (list(data, "/subjects").iter())
        .map(|s| {
            let share = number(s, "/best_us")
                .zip(number(s, "/default_us"))
                .map_or("–".into(), |(b, d)| format!("{:.0} %", 100.0 * b / d.max(1e-9)));
            [text(s, "/subject"), us(s, "/default_us"), us(s, "/best_us"), share]
        })
        .collect();
    let worst: Vec<[String; 6]> = (list(data, "/worst").iter())
        .map(|w| {
            [
                text(w, "/kind"),
                percent(w, "/share"),
                us(w, "/default_us"),
                text(w, "/default"),
                us(w, "/best_us"),
                text(w, "/best"),
            ]
        })
        .collect();
    let [mean, least] = BAR.map(|b| format!("{:.0} %", 100.0 * b));
    let met = number(data, "/all/mean").zip(number(data, "/all/worst"));
    let met = met.map_or("nothing measured", |(m, w)| if m >= BAR[0] && w >= BAR[1] { "met" } else { "**not met**" });
    let [reached, lowest] = ["/all/mean", "/all/worst"].map(|key| percent(data, key));
    Page::default()
        .head("untuned defaults beside the card's own best", format!("{reached} on average, {lowest} at worst; the bar of {mean} and {least} is {met}"))
        .and(format!("What the first candidate reaches of the fastest, over kinds of nodes that take {SHORTEST} us or more (geometric mean; worst). {} candidates were timed.", text(data, "/candidates")))
        .and(table(&["op", "kinds", "mean", "worst"], &rows))
        .and(table(&["subject", "defaults us", "fastest us", "share"], &subjects))
        .and(table(&["furthest from their best", "share", "us", "default", "us", "fastest"], &worst))
}
