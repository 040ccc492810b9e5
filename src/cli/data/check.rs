//! `lupe data check`: the pictures of a set by split and label, and all that is wrong with it.

use crate::cli::output::{new_table, print};
use crate::cli::session::Session;
use crate::data::Limits;
use crate::data::check::{Report, check};
use crate::error::{Result, plain, shown};
use crate::watch::Watch;
use std::path::PathBuf;

/// Sizes and kinds of files that a row of the table names.
const NAMED: usize = 2;

/// What `lupe data check` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of a data set, in any layout that `fit` and `eval` take, or a table
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// End with code 8 for warnings too
    #[arg(long)]
    strict: bool,
    /// Maximum number of pixels per picture
    #[arg(long, default_value_t = Limits::default().pixels, value_name = "N")]
    max_pixels: u64,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    session.watch_for_interrupts()?;
    let report = check(&args.data, Limits::of(args.max_pixels), session)?;
    match session.json {
        true => print(&report.json(args.strict).to_string())?,
        false => print(&text(&report))?,
    }
    session.say(&report.counted.to_string());
    report.verdict(args.strict)
}

fn text(report: &Report) -> String {
    let mut table = new_table(["split", "label", "pictures", "masks", "sizes", "files"]);
    for c in &report.classes {
        let unreadable = if c.unreadable > 0 { format!(" ({} unreadable)", c.unreadable) } else { String::new() };
        table.add_row([
            c.split.to_string(),
            if c.label.is_empty() { ".".into() } else { plain(&c.label) },
            format!("{}{unreadable}", c.pictures),
            if c.masks > 0 { c.masks.to_string() } else { "-".into() },
            some(&c.sizes),
            some(&c.files),
        ]);
    }
    let findings: Vec<String> = report.findings.iter().map(|f| format!("{f}\n")).collect();
    format!(
        "set       {}\nlayout    {}\n\n{table}\n\n{}{}found     {}",
        shown(&report.root),
        report.layout(),
        findings.join("\n"),
        if findings.is_empty() { "" } else { "\n" },
        report.summary()
    )
}

/// The most frequent values, with their numbers where there are several.
fn some(values: &[(String, usize)]) -> String {
    let named = values.iter().take(NAMED).map(|(v, n)| if values.len() > 1 { format!("{v} ({n})") } else { v.clone() });
    let more = values.len().saturating_sub(NAMED);
    let named = named.collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{named}; {more} more") } else { named }
}
