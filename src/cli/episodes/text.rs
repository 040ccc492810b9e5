//! What `lupe episodes` says, as text.

use crate::cli::output::new_table;
use crate::error::plain;
use crate::methods::episodes::{Class, Summary};
use crate::methods::metrics::Spread;
use serde_json::Value;

/// What was done, and what the episodes of each number of shots say, in words and tables.
pub(super) fn text(facts: &Value, classes: &[Class], summaries: &[Summary]) -> String {
    let fact = |name: &str| facts.get(name).map_or(String::new(), |v| v.as_str().map_or(v.to_string(), plain));
    let queries = facts.get("queries").and_then(Value::as_u64).map_or("all other".into(), |n| n.to_string());
    let share = |s: &Option<Spread>| match s {
        Some(Spread { mean, interval: Some(interval), .. }) => {
            format!("{:.1} ± {:.1} %", 100.0 * mean, 100.0 * interval)
        }
        Some(Spread { mean, .. }) => format!("{:.1} %", 100.0 * mean),
        None => "-".into(),
    };
    let distance = facts.get("distance").and_then(Value::as_str).map_or(String::new(), |d| format!(", {d} distance"));
    let good = summaries.iter().any(|s| s.auroc.is_some());
    let auroc = |s: &Summary| share(&s.auroc);
    let mut table = new_table(
        ["shots", "accuracy", "balanced", "AUROC", "majority", "chance"].into_iter().filter(|n| good || *n != "AUROC"),
    );
    for s in summaries {
        let chance = format!("{:.1} %", 100.0 * s.chance);
        let all = [
            s.shots.to_string(),
            share(&s.accuracy),
            share(&s.balanced_accuracy),
            auroc(s),
            share(&s.majority),
            chance,
        ];
        table.add_row(all.into_iter().enumerate().filter(|(i, _)| good || *i != 3).map(|c| c.1));
    }
    let shots = summaries.iter().map(|s| if s.shots == 1 { "1 shot".into() } else { format!("{} shots", s.shots) });
    let mut recalls = new_table(["recall of".to_string(), "pictures".into()].into_iter().chain(shots));
    for (i, class) in classes.iter().enumerate() {
        let of = summaries.iter().map(|s| s.recalls.get(i).map_or("-".into(), |r| share(&r.recall)));
        recalls.add_row([plain(&class.name), class.pictures.len().to_string()].into_iter().chain(of));
    }
    format!(
        "method    {}{distance}, {} of {}\nepisodes  {} draws of {}, seed {}: {}-way, {queries} queries of each class\n\n{table}\n\n{recalls}\n\n\
         Means and their 95 % intervals over the draws; all shots are asked about the same queries.",
        fact("method"),
        fact("place"),
        fact("backbone"),
        fact("episodes"),
        fact("pool"),
        fact("seed"),
        fact("ways"),
    )
}
