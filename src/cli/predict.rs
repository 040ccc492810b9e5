//! `lupe predict`: scores, maps and pictures of new parts.

use super::output::print;
use super::session::Session;
use super::working::Out;
use crate::data::dataset::{Pictures, Sample, pictures};
use crate::error::{Error, Result};
use crate::memory::log_peak;
use crate::methods::predict::{Work, predict};
use crate::methods::results::{Results, ndjson};
use crate::methods::{Fitted, Known};
use crate::watch::Watch;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What `lupe predict` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A fitted model
    #[arg(value_name = "MODEL.lupe")]
    model: PathBuf,
    /// Pictures, or folders of them
    #[arg(required = true, value_name = "PICTURE|DIR")]
    pictures: Vec<PathBuf>,
    /// End with exit code 1 if a picture is above the limit
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    out: Out,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let out = &args.out;
    let Pictures { samples, census } = pictures(&args.pictures, out.work.all)?;
    distinct(&samples)?;
    let (gpu, fitted) = session.gpu_beside(|| session.methods.open(&args.model, out.weights.as_deref()))?;
    if args.exit_code && fitted.limit().is_none() {
        let model = args.model.display();
        return Err(Error::Usage(format!("{model}: has no limit, so --exit-code cannot detect rejects")));
    }
    session.begin_scoring(&gpu, &*fitted, out.wanted().1)?;
    let (options, loading) = (session.run_options(&gpu, out.work.batch), out.work.loading());
    let features = out.wanted().1.features;
    let work = Work { gpu: &gpu, fitted: &*fitted, options, loading, features, watch: session };
    let mut results = Results::new(&*fitted, out.wanted(), &samples, &out.output)?;
    let missed = pollster::block_on(predict(&work, &samples, &mut results, &mut |_, _, _| Ok(())))?;
    log_peak();
    let lines = results.write()?;
    let above = lines.iter().filter(|l| l.above == Some(true)).count();
    if session.json {
        print(ndjson(&lines)?.trim_end())?;
    } else {
        let verdict = verdict(&*fitted, above, samples.len() - missed.failed.len());
        print(&format!("{verdict}\nresults   {}", out.output.display()))?;
    }
    session.say(&census.ended(samples.len(), 0, missed.failed.len()).to_string());
    missed.ended(samples.len())?;
    if above > 0 && args.exit_code {
        return Err(Error::Rejects(format!("{above} pictures are above the limit")));
    }
    Ok(())
}

fn verdict(fitted: &dyn Fitted, above: usize, looked: usize) -> String {
    let from = match fitted.known() {
        Known::Fitted { on, .. } => format!(", the largest score among {} good pictures", on.len()),
        Known::Unknown => String::new(),
    };
    fitted.limit().map_or(format!("{looked} pictures scored; the model has no limit"), |l| {
        format!("{above} of {looked} pictures are above the limit (limit {l:.4}{from})")
    })
}

/// Two pictures of the same name would overwrite each other's results.
fn distinct(samples: &[Sample]) -> Result<()> {
    let mut seen = BTreeSet::new();
    match samples.iter().find(|s| !seen.insert(&s.name)) {
        Some(s) => {
            Err(Error::Usage(format!("two pictures are called {}; write their results to different folders", s.name)))
        }
        None => Ok(()),
    }
}
