//! `lupe predict`: scores, maps and pictures of new parts.

use super::output::print;
use super::session::Session;
use super::working::{Out, left_over};
use crate::data::dataset::pictures;
use crate::data::told_apart;
use crate::error::{Error, Result, shown};
use crate::memory::log_peak;
use crate::methods::predict::{Work, predict};
use crate::methods::results::{Results, ndjson};
use crate::methods::{Fitted, Known};
use crate::watch::Watch;
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
    let mut samples = pictures(&args.pictures)?;
    let own = out.output.canonicalize().ok(); // results of an earlier run among the pictures are not input
    samples.retain(|s| !s.path.canonicalize().is_ok_and(|p| own.as_ref().is_some_and(|own| p.starts_with(own))));
    let (samples, notes) = told_apart(samples);
    notes.iter().for_each(|n| session.say(n));
    let read = samples.iter().map(|s| &s.path).chain(&args.pictures).chain([&args.model]);
    out.prepare(session, &samples, &read.cloned().collect::<Vec<_>>(), false)?;
    let (gpu, fitted) = session.gpu_beside(|| session.methods.open(&args.model, out.weights.as_deref()))?;
    if args.exit_code && fitted.limit().is_none() {
        let model = shown(&args.model);
        return Err(Error::Usage(format!("{model}: has no limit, so --exit-code cannot detect rejects")));
    }
    session.begin_scoring(&gpu, &*fitted, out.wanted().1)?;
    let (options, loading) = (session.run_options(&gpu, out.work.batch), out.work.loading());
    let features = out.wanted().1.features;
    let work = Work { gpu: &gpu, fitted: &*fitted, options, loading, features, watch: session };
    let mut results = Results::new(&*fitted, out.wanted(), &samples, &out.output)?;
    let older = results.unfinished();
    older.iter().for_each(|text| session.left_by_interrupt(text));
    let missed = pollster::block_on(predict(&work, &samples, &mut results, &mut |_, _, _| Ok(())))
        .inspect_err(|e| left_over(session, older.as_ref(), e))?;
    log_peak();
    let lines = results.write(None)?;
    let above = lines.iter().filter(|l| l.above == Some(true)).count();
    if session.json {
        print(ndjson(&lines)?.trim_end())?;
    } else {
        let verdict = verdict(&*fitted, above, samples.len() - missed.failed.len());
        print(&format!("{verdict}\nresults   {}", shown(&out.output)))?;
    }
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
