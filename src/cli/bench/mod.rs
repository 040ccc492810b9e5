//! `lupe bench`: sweeps models, sizes, batches and devices, every measurement in processes of its own.

pub mod args;
mod compare;
mod worker;

use super::args::twice;
use super::child::ended_well;
use super::output;
use super::session::Session;
use super::subject::SubjectArgs;
use crate::engine::Choice;
use crate::engine::gpu::{AdapterInfo, NO_ADAPTER, choose_of, chosen};
use crate::error::{Error, Result, shown};
use crate::files::write;
use crate::measure::measurement::{self, Measurement, SweepFormat, adapter, read, replaceable, written};
use crate::memory::{load_average, processors};
use crate::methods::subject::{Subject, Weighted};
use crate::outputs::Inputs;
use crate::watch::Watch;
use crate::weights::safetensors;
use args::{Bench, BenchCommand, Sweep, WorkerTask};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// Runs the command.
pub fn run(session: &Session, args: &Bench) -> Result<()> {
    match &args.command {
        Some(BenchCommand::Compare(args)) => compare::run(session, args),
        None => match args.sweep.worker {
            Some(role) => worker::run(session, &args.sweep, role),
            None => sweep(session, &args.sweep),
        },
    }
}

/// A measurement to be made.
struct Job {
    model: String,
    input: [usize; 4],
    /// What the worker is told.
    words: Vec<String>,
    device: AdapterInfo,
}

/// The model, size and batch of those numbers.
fn named(args: &Sweep, model: usize, size: usize, batch: usize) -> SubjectArgs {
    SubjectArgs {
        model: args.model.get(model).cloned().unwrap_or_default(),
        weights: args.weights.clone(),
        choice: args.choice.clone(),
        checkpoint: args.checkpoint.clone(),
        size: args.size.get(size).copied(),
        batch: args.batch.get(batch).copied().unwrap_or(1),
        training: false,
    }
}

fn sweep(session: &Session, args: &Sweep) -> Result<()> {
    let to = args.output.as_deref().map(|path| Ok((path, format(path)?))).transpose()?;
    if args.weights.is_some() && args.model.len() > 1 {
        return Err(Error::Usage("--weights: one file cannot serve several models; give a single --model".into()));
    }
    prepare(session, args, to)?;
    let devices = devices(session)?;
    let drawn =
        tempfile::tempdir().map_err(|e| Error::Output(format!("cannot create a folder for random weights: {e}")))?;
    let jobs = jobs(session, args, &devices, &drawn)?;
    let mut rows = known(args, to)?;
    session.watch_for_interrupts()?;
    let (mut failed, load) = (vec![], load_average());
    for (done, job) in jobs.iter().enumerate() {
        session.go_on()?;
        if !rows.iter().any(|r| of(r, job)) {
            match measure(session, args, job, load) {
                Ok(row) => rows.push(row),
                Err(e) => failed.push((job, e)),
            }
            session.go_on()?; // an interrupt reaches the worker as well: its failure is expected then
            if let Some((path, format)) = to {
                write(path, format!("{}\n", written(&rows, format)?).as_bytes())?;
                session.left_by_interrupt(&format!("{} measurements are in {}", rows.len(), shown(path)));
            }
        }
        session.progress("measuring", done + 1, jobs.len());
    }
    output::print(&written(&rows, if session.json { SweepFormat::Json } else { args.format.written() })?)?;
    ended(jobs.len(), failed)
}

/// Tries the file that is to be written.
fn prepare(session: &Session, args: &Sweep, to: Option<(&Path, SweepFormat)>) -> Result<()> {
    let inputs = Inputs::of(args.model.iter().map(Path::new).chain(args.weights.as_deref()));
    let Some((path, format)) = to else { return Ok(()) };
    session.outputs.file(path, &inputs)?;
    if args.resume || replaceable(path, format) {
        return Ok(());
    }
    let path = shown(path);
    Err(Error::Output(format!("{path}: would be replaced, and is no result of `lupe bench`; choose another output")))
}

/// The error of a single measurement as it is; of several, a list of those that failed.
fn ended(jobs: usize, mut failed: Vec<(&Job, Error)>) -> Result<()> {
    match (jobs, failed.pop()) {
        (_, None) => Ok(()),
        (1, Some((_, e))) => Err(e),
        (_, Some(last)) => {
            failed.push(last);
            let name = |j: &Job| measurement::named(&j.model, j.input, &j.device.title());
            let list: String = failed.iter().map(|(j, e)| format!("\n  {}: {e}", name(j))).collect();
            Err(Error::Partial(format!("{} of {jobs} measurements failed:{list}", failed.len())))
        }
    }
}

/// The format that a file's name asks for.
fn format(path: &Path) -> Result<SweepFormat> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("md") => Ok(SweepFormat::Md),
        Some("csv") => Ok(SweepFormat::Csv),
        Some("json") => Ok(SweepFormat::Json),
        Some("jsonl") => Ok(SweepFormat::Jsonl),
        _ => Err(Error::Usage(format!("{}: expected a name that ends in .md, .csv, .json or .jsonl", shown(path)))),
    }
}

/// What an interrupted sweep left, if it is to be resumed.
fn known(args: &Sweep, to: Option<(&Path, SweepFormat)>) -> Result<Vec<Measurement>> {
    match to.filter(|_| args.resume) {
        Some((path, SweepFormat::Json | SweepFormat::Jsonl)) if path.exists() => read(path),
        Some((path, SweepFormat::Md | SweepFormat::Csv)) => {
            Err(Error::Usage(format!("{}: --resume needs a .json or .jsonl file", shown(path))))
        }
        _ => Ok(vec![]),
    }
}

/// The adapters that `--device` names, separated by commas.
fn devices(session: &Session) -> Result<Vec<AdapterInfo>> {
    let all = session.adapters();
    if all.is_empty() {
        return Err(Error::Adapter(NO_ADAPTER.into()));
    }
    if session.all_devices() {
        return Ok(all);
    }
    let named = named_devices(session, &all)?;
    named.iter().for_each(|a| session.tell_processor(&a.title(), a.kind));
    match twice("device", &named.iter().map(|a| format!("{} {}", a.index, a.title())).collect::<Vec<_>>()) {
        Some(what) => Err(Error::Usage(what)),
        None => Ok(named),
    }
}

fn named_devices(session: &Session, all: &[AdapterInfo]) -> Result<Vec<AdapterInfo>> {
    let one = |choice: &Choice| chosen(choice, all).cloned();
    match &session.choice {
        // A name may have commas in it.
        Choice::Name(names) if choose_of(&session.choice, all).is_none() => {
            names.split(',').map(|name| one(&Session::choice(name.trim())?)).collect()
        }
        choice => Ok(vec![one(choice)?]),
    }
}

fn jobs(session: &Session, args: &Sweep, devices: &[AdapterInfo], drawn: &TempDir) -> Result<Vec<Job>> {
    let mut jobs = vec![];
    for m in 0..args.model.len() {
        let mut weights = args.weights.clone();
        for s in 0..args.size.len().max(1) {
            // The weights are the same at every size: drawn and reported once.
            let subject = SubjectArgs { weights: weights.clone(), ..named(args, m, s, 0) }.open(session)?;
            if let Subject::Network(network) = &subject
                && network.stands_in
            {
                weights = Some(file(network, drawn)?);
            }
            for b in 0..args.batch.len() {
                let named = SubjectArgs { weights: weights.clone(), ..named(args, m, s, b) };
                let input = subject.input(named.batch.into());
                let job = |device: &AdapterInfo| Job {
                    model: named.model.clone(),
                    input,
                    words: words(&named),
                    device: device.clone(),
                };
                jobs.extend(devices.iter().map(job));
            }
        }
    }
    Ok(jobs)
}

/// Random weights as a file: a worker starts the way a user's run does, by reading one.
fn file(drawn: &Weighted, folder: &TempDir) -> Result<PathBuf> {
    let tensors: Vec<_> = drawn.weights.tensors().iter().map(|(name, t)| (name.clone(), t.as_ref())).collect();
    let path = folder.path().join(format!("{}.safetensors", drawn.network.name));
    write(&path, &safetensors::write(&tensors)?)?;
    Ok(path)
}

fn words(named: &SubjectArgs) -> Vec<String> {
    let mut words = vec!["--model".into(), named.model.clone(), "--batch".into(), named.batch.to_string()];
    words.extend(named.size.iter().flat_map(|s| ["--size".into(), s.to_string()]));
    words.extend(named.weights.iter().flat_map(|w| ["--weights".into(), w.display().to_string()]));
    words.extend(named.checkpoint.checkpoint.iter().flat_map(|c| ["--checkpoint".into(), c.display().to_string()]));
    words.extend(named.choice.words());
    words
}

/// Whether a measurement is this job's, by this version of Lupe; the worker may choose a width other than its caller's.
fn of(row: &Measurement, job: &Job) -> bool {
    let same = row.cell.model == job.model && row.cell.input == job.input;
    same && adapter(&row.cell.device) == adapter(&job.device.title()) && row.lupe_version == env!("CARGO_PKG_VERSION")
}

/// Measures; `load` is that before the sweep, whose own work is no disturbance.
fn measure(session: &Session, args: &Sweep, job: &Job, load: Option<f64>) -> Result<Measurement> {
    let (first_cold_ms, line) = worker(session, args, job, WorkerTask::Runs)?;
    let mut row: Measurement = serde_json::from_str(&line)
        .map_err(|e| Error::Gpu(format!("unexpected output of a bench worker, {line:?}: {e}")))?;
    let cold: Result<Vec<f64>> = (0..args.cold).map(|_| Ok(worker(session, args, job, WorkerTask::Start)?.0)).collect();
    (row.first_cold_ms, row.cold_ms, row.load, row.processors) = (first_cold_ms, cold?, load, processors());
    Ok(row)
}

/// Starts a worker; milliseconds up to its first result, and what it printed after that.
fn worker(session: &Session, args: &Sweep, job: &Job, role: WorkerTask) -> Result<(f64, String)> {
    session.go_on()?;
    let fail = |e: std::io::Error| Error::Gpu(format!("cannot start a bench worker: {e}"));
    let mut command = Command::new(std::env::current_exe().map_err(fail)?);
    command.args(["bench", "-q", "--worker", role.word(), "--device", &job.device.index.to_string()]).args(&job.words);
    command.args(["--repeats", &args.repeats.to_string(), "--warmup", &args.warmup.to_string()]);
    command.args(session.passed_on());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().map_err(fail)?;
    let mut said = BufReader::new(child.stdout.take().ok_or_else(|| fail(std::io::ErrorKind::BrokenPipe.into()))?);
    let (mut ready, mut rest) = (String::new(), String::new());
    said.read_line(&mut ready).map_err(fail)?;
    let cold = start.elapsed().as_secs_f64() * 1e3;
    said.read_to_string(&mut rest).map_err(fail)?;
    ended_well(child)?;
    Ok((cold, rest))
}
