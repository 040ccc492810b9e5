//! `lupe experiment merge`: shards become one study.

use super::report;
use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::error::{Error, Result, shown};
use crate::files::{folder, write};
use crate::outputs::Inputs;
use crate::study::folder::{ABOUT, About, EPISODES, Gathered, PLAN, nobodys};
use crate::study::report::PAGE;
use crate::study::run::{OUTCOMES, TIMING};
use serde_json::json;
use std::path::PathBuf;

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folders of all shards
    #[arg(value_name = "DIR", required = true)]
    shards: Vec<PathBuf>,
    /// Folder for the whole study
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let read: Vec<PathBuf> =
        args.shards.iter().flat_map(|at| [ABOUT, PLAN, EPISODES, OUTCOMES, TIMING].map(|name| at.join(name))).collect();
    let inputs = Inputs::of(&read);
    for name in [ABOUT, PLAN, EPISODES, OUTCOMES, TIMING] {
        inputs.apart(&args.output.join(name))?;
    }
    let gathered = Gathered::read(&args.shards)?;
    gathered.whole(&args.shards)?;
    session.outputs.folder(&args.output)?;
    folder(&args.output)?;
    if !args.output.join(ABOUT).exists() {
        nobodys(&args.output)?;
    } else if About::read(&args.output)?.facts.plan != gathered.results.facts.plan {
        return Err(Error::Input(format!(
            "{}: holds results of another plan; give another folder",
            shown(&args.output)
        )));
    }
    for (name, bytes) in gathered.files()? {
        write(&args.output.join(name), &bytes)?;
    }
    report(session, &args.output, &gathered)?;
    let (episodes, out) = (gathered.results.outcomes.len(), quoted(&args.output));
    match session.json {
        true => print(
            &json!({"output": args.output, "plan": gathered.results.facts.plan, "shards": args.shards.len(), "episodes": episodes})
                .to_string(),
        ),
        false => {
            let page = quoted(&args.output.join(PAGE));
            print(&format!("wrote     {out}: {episodes} episodes of {} shards\n\nNext: open {page} in a browser", args.shards.len()))
        }
    }
}
