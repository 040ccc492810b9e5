//! `lupe experiment`: a study of few-shot learners beside detectors, from a plan file to a report.

mod merge;
mod plan;
mod run;

use super::env;
use super::global::bytes;
use super::session::Session;
use super::working::{LoadArgs, keep};
use crate::engine::Gpu;
use crate::engine::gpu::Choice;
use crate::error::{Error, Result, shown};
use crate::files::write;
use crate::outputs::Inputs;
use crate::study::analysis::analyse;
use crate::study::folder::Gathered;
use crate::study::grid::Grid;
use crate::study::report::{PAGE, files};
use crate::study::run::{Journal, Shard, Study, Work};
use crate::watch::Watch;
use clap::Subcommand;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// What `lupe experiment` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Experiment,
}

#[derive(Debug, Subcommand)]
enum Experiment {
    /// Says what a plan takes: pictures, episodes, training, hours on this device; nothing is kept
    #[command(after_help = "Example:\n  lupe experiment plan study.toml")]
    Plan(plan::Args),
    /// Carries a plan out, and writes a report; a run that was stopped goes on where it was
    #[command(
        after_help = "Examples:\n  lupe experiment run study.toml -o study\n  lupe experiment run study.toml -o shard-1 --shard 1/3"
    )]
    Run(run::Args),
    /// Puts the shards of a plan together, as if it had been carried out in one run
    #[command(after_help = "Example:\n  lupe experiment merge shard-1 shard-2 shard-3 -o study")]
    Merge(merge::Args),
}

impl Args {
    /// Whether it works on a device.
    pub fn needs_device(&self) -> bool {
        !matches!(self.command, Experiment::Merge(_))
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.command {
        Experiment::Plan(args) => plan::run(session, args),
        Experiment::Run(args) => run::run(session, args),
        Experiment::Merge(args) => merge::run(session, args),
    }
}

/// What `plan` and `run` share.
#[derive(Debug, clap::Args)]
struct PlanArgs {
    /// The plan: a TOML file that names data sets, tasks and methods
    #[arg(value_name = "PLAN.toml")]
    plan: PathBuf,
    /// Which share of the work is done here, of how many
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<Shard>,
    /// Maximum number of pictures per run; does not affect results
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// How much room the vectors of pictures may take in the cache, e.g. 4G; 0 keeps none
    #[arg(long, default_value = "1G", value_name = "SIZE", value_parser = bytes)]
    keep: u64,
    /// Maximum memory for the banks of detectors, e.g. 4G [default: 60 % of free memory]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    limit_ram: Option<u64>,
    /// Maximum number of pixels per picture
    #[arg(long, default_value_t = crate::data::Limits::default().pixels, value_name = "N")]
    max_pixels: u64,
}

/// `2/3`.
fn shard(text: &str) -> std::result::Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(n, of)| Some((n.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((number, of)) if (1..=of).contains(&number) && of <= 100_000 => Ok(Shard { number, of }),
        _ => Err("expected I/N with I from 1 to N, such as 2/3".into()),
    }
}

/// Where a file is that a plan names.
fn resolve(path: &Path) -> PathBuf {
    env::weights(path)
}

impl PlanArgs {
    /// The study, and what is to be said of its data sets.
    fn study(&self, session: &Session) -> Result<Study> {
        let study = Study::open(Grid::open(&self.plan)?, &resolve, session)?;
        for set in &study.sets {
            set.notes.iter().for_each(|note| session.say(note));
            session.say(&format!("{:<9} {}", set.name, set.counted));
        }
        for left_out in &study.left_out {
            let (what, why) = (crate::error::plain(&left_out.what), crate::error::plain(&left_out.why));
            let get = left_out.command.as_ref().map_or(String::new(), |c| format!("; get them by: {c}"));
            session.say(&format!("left out  {what}: {why}{get}"));
        }
        match study.members.is_empty() {
            true => Err(Error::Input(format!("{}: no method can take part", shown(&self.plan)))),
            false => Ok(study),
        }
    }

    /// The device: the one of the command line, else the plan's.
    fn gpu(&self, session: &Session, study: &Study) -> Result<Gpu> {
        let gpu = match (&session.choice, &study.grid.device) {
            (Choice::Auto, Some(asked)) => session.open(&Session::choice(asked)?)?,
            _ => session.gpu()?,
        };
        session.say(&format!("device    {}", gpu.info.describe()));
        Ok(gpu)
    }

    fn work<'w>(&self, session: &'w Session, gpu: &'w Gpu, (folder, journal): (PathBuf, Journal)) -> Work<'w> {
        let load = LoadArgs { max_pixels: self.max_pixels, keep_going: false, all: true };
        Work {
            gpu,
            options: session.run_options(gpu, self.batch),
            loading: load.loading(),
            limit_ram: Some(session.limit_ram(self.limit_ram)),
            kept: keep("features", self.keep, false),
            folder,
            shard: self.shard.unwrap_or(Shard::WHOLE),
            journal: RefCell::new(journal),
            watch: session,
        }
    }

    /// What is read of a study.
    fn inputs(&self, study: &Study) -> Inputs {
        let pictures = study.sets.iter().flat_map(|set| set.samples.iter().map(|s| s.path.clone()));
        Inputs::of(pictures.chain([self.plan.clone()]).collect::<Vec<_>>())
    }
}

/// Seconds in words.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Writes the tables, plots and the report of what was found out.
fn report(session: &Session, folder: &Path, gathered: &Gathered) -> Result<()> {
    let begin = std::time::Instant::now();
    let files = files(&gathered.results, &analyse(&gathered.results)?)?;
    for (name, bytes) in &files {
        let path = folder.join(name);
        crate::files::folder(crate::files::folder_of(&path))?;
        write(&path, bytes)?;
    }
    log::info!("{} files of the report in {:.1} s", files.len(), begin.elapsed().as_secs_f64());
    session.say(&format!("wrote     {}", shown(&folder.join(PAGE))));
    Ok(())
}
