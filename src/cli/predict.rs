//! `lupe predict`: scores, maps and pictures of new parts.

use super::output::print;
use super::session::Session;
use super::working::{Out, crop_words, left_over};
use crate::data::dataset::{Pictures, pictures, reason};
use crate::data::told_apart;
use crate::error::{Error, Result, plain, shown};
use crate::memory::log_peak;
use crate::methods::predict::{Work, predict};
use crate::methods::results::{Line, Results, ndjson};
use crate::methods::{Fitted, limit};
use crate::watch::Watch;
use std::collections::BTreeMap;
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
    let Pictures { samples, mut census } = pictures(&args.pictures, out.work.load.all)?;
    let (named, (samples, notes)) = (samples.len(), told_apart(samples));
    (samples.len()..named).for_each(|_| census.leave_out(reason::TWICE, ""));
    notes.iter().for_each(|n| session.say(n));
    let read = samples.iter().map(|s| &s.path).chain(&args.pictures).chain([&args.model]);
    out.prepare(session, &samples, &read.cloned().collect::<Vec<_>>(), false)?;
    let (gpu, fitted) = session.gpu_beside(|| out.open(session, &args.model))?;
    if args.exit_code && fitted.limit().is_none() {
        let (model, rule) = (shown(&args.model), if fitted.localises() { "SCORE,PIXEL" } else { "SCORE" });
        return Err(Error::Usage(format!(
            "{model}: has no limit, so --exit-code cannot detect rejects; `lupe limit {model} --rule fixed={rule}` sets one"
        )));
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
    let seen = results.seen_share();
    let lines = results.write(None)?;
    let above = lines.iter().filter(|l| l.above == Some(true)).count();
    if session.json {
        print(ndjson(&lines)?.trim_end())?;
    } else {
        let verdict = verdict(&*fitted, &lines, [above, samples.len() - missed.failed.len()]);
        let crop = crop_words(seen).map_or(String::new(), |words| format!("\ncrop      {words}"));
        print(&format!("{verdict}{crop}\nresults   {}", shown(&out.output)))?;
    }
    session.say(&census.ended(samples.len(), 0, missed.failed.len()).to_string());
    missed.ended(samples.len())?;
    if above > 0 && args.exit_code {
        return Err(Error::Rejects(format!("{above} pictures are above the limit")));
    }
    Ok(())
}

/// How many pictures are of each class, by a method that classifies.
fn labels(lines: &[Line]) -> Option<String> {
    let mut counts = BTreeMap::<&str, usize>::new();
    lines.iter().filter_map(|l| l.predicted.as_deref()).for_each(|label| *counts.entry(label).or_default() += 1);
    let words: Vec<String> = counts.into_iter().map(|(label, n)| format!("{} {n}", plain(label))).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// What became of the pictures that were looked at, and how many are above the limit.
fn verdict(fitted: &dyn Fitted, lines: &[Line], [above, looked]: [usize; 2]) -> String {
    let labels = labels(lines).map_or(String::new(), |words| format!("labels    {words}\n"));
    let accepted = match limit::words(fitted) {
        None => format!("scored    {looked} pictures; none is accepted or rejected, since the model has no limit"),
        Some(limit) => format!("accepted  {}\nrejected  {above}\nlimit     {limit}", looked - above),
    };
    labels + &accepted
}
