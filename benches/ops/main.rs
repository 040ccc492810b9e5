//! Times every candidate of every kind of node that networks and methods have: `cargo bench --profile dev --bench ops -- --help`.
//!
//! The candidates of a kind run in turns, each by the device's own clock where it has one, on what the node reads in its network.
//! The first, marked with a star, is what plans take.

mod subjects;

use clap::Parser;
use lupe::engine::{Choice, Gpu, Graph};
use lupe::measure::bench::{COLUMNS, Report, line, title};
use lupe::measure::ceilings::{self, Ceiling};
use lupe::measure::kinds::{Kind, fill, kinds};
use lupe::measure::ways::time;
use lupe::{Error, Result, Tensor};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use subjects::{Make, Scale};

/// Times every candidate of every kind of node that networks and methods have.
#[derive(Parser)]
#[command(name = "ops")]
pub struct Args {
    /// Only kinds whose subject, op, node or key contains this
    #[arg(long, value_name = "SUBSTRING")]
    pub only: Option<String>,
    /// Runs of every candidate, after one to warm up [default: 20, with --quick 7]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub repeats: Option<u16>,
    /// Writes everything, every single run included, to this file; after every subject, whole each time
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// What an earlier run wrote: says of every row whether it is faster or slower now
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Smaller banks, no wide network, fewer runs: a few minutes on two cores
    #[arg(long)]
    pub quick: bool,
    /// resnet18 with so many pictures in a run, too
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..))]
    pub batch: Option<u16>,
    /// The device, as in `lupe --device`
    #[arg(long, default_value = "auto")]
    pub device: Choice,
    /// Given by cargo
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// What runs are compared with.
struct Baseline {
    report: Report,
    comparable: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let kept = |report: &Report| args.json.as_deref().map_or(Ok(()), |path| write(path, report));
    match run(&args, &kept) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(e.exit_code())
        }
    }
}

/// Times what `args` ask for; `keep` is given the report after every subject.
pub fn run(args: &Args, keep: &dyn Fn(&Report) -> Result<()>) -> Result<()> {
    let start = Instant::now();
    let earlier = args.baseline.as_deref().map(read).transpose()?;
    let gpu = pollster::block_on(Gpu::new(&args.device, None))?;
    let repeats = args.repeats.unwrap_or(if args.quick { 7 } else { 20 }).into();
    let mut report = Report::new(&gpu, pollster::block_on(ceilings::measure(&gpu, None))?, repeats);
    head(&report);
    let baseline = earlier.map(|earlier| compared(&report, earlier));
    let scale = Scale { quick: args.quick, batch: args.batch.map(usize::from) };
    let mut seen = vec![];
    for (name, make) in subjects::all(scale) {
        subject(&gpu, args, (name, make, scale), &mut seen, &mut report, baseline.as_ref())?;
        keep(&report)?;
    }
    foot(&report, start);
    Ok(())
}

/// Times the kinds of a subject that none before it had.
fn subject(
    gpu: &Gpu,
    args: &Args,
    (name, make, scale): (&str, Make, Scale),
    seen: &mut Vec<Kind>,
    report: &mut Report,
    baseline: Option<&Baseline>,
) -> Result<()> {
    let (subject, graph) = (make(scale), Graph::new());
    let outputs = subject.outputs(&graph);
    let mut found = kinds(&graph, &outputs, &gpu.caps)?;
    let wanted = |k: &Kind| {
        let text = format!("{name} {} {} {}", k.op, k.node, k.key);
        args.only.as_ref().is_none_or(|only| text.contains(only)) && !seen.iter().any(|s| s.is(k))
    };
    found.retain(wanted);
    seen.extend(found.iter().cloned());
    let inputs: Vec<&Tensor> = subject.inputs.iter().collect();
    pollster::block_on(fill(gpu, &graph, &inputs, &mut found))?;
    let repeats = report.repeats;
    for kind in &found {
        let ways = pollster::block_on(time(gpu, kind, repeats))?;
        let rows = report.add(name, kind, ways);
        println!("\n{}", rows.first().map_or(String::new(), title));
        for row in rows {
            println!("{}", line(row, repeats, baseline.map(|b| &b.report), baseline.is_some_and(|b| b.comparable)));
        }
    }
    Ok(())
}

fn head(report: &Report) {
    let c = &report.ceilings;
    println!("{} ({}), times by the {}'s clock, {} build", report.adapter, report.driver, report.clock, report.profile);
    let told = |c: &Ceiling| {
        let noisy = if c.noisy { ", noisy: the machine is busy, and shares of it say little" } else { "" };
        format!("{:.1} (spread {:.0} %{noisy})", c.rate, 100.0 * c.spread)
    };
    println!("copy ceiling, GB/s: {}; arithmetic ceiling, GFLOP/s: {}", told(&c.copy), told(&c.arithmetic));
    println!("{COLUMNS}");
}

fn compared(report: &Report, earlier: Report) -> Baseline {
    let differences = report.differences(&earlier);
    for what in &differences {
        println!("no verdict is given, the baseline is of another place: {what}");
    }
    for what in report.moved(&earlier) {
        println!("the machine was busier or slower then or is now, which verdicts cannot tell from kernels: {what}");
    }
    Baseline { report: earlier, comparable: differences.is_empty() }
}

fn foot(report: &Report, start: Instant) {
    let (kinds, seconds) = (report.rows.iter().filter(|r| r.default).count(), start.elapsed().as_secs());
    println!("\n{kinds} kinds, {} candidates, {seconds} s. Faster than the default:", report.rows.len());
    for (default, fastest) in report.misplaced() {
        println!(
            "  {:.2} {} | {} before {}",
            fastest.median / default.median,
            title(default),
            fastest.kernel,
            default.kernel
        );
    }
}

fn read(path: &Path) -> Result<Report> {
    let name = path.display().to_string();
    Report::read(&fs::read(path).map_err(|e| Error::Input(format!("{name} cannot be read: {e}")))?, &name)
}

/// Writes the report whole or not at all: beside its place first.
pub fn write(path: &Path, report: &Report) -> Result<()> {
    let fail = |e: std::io::Error| Error::Output(format!("{} cannot be written: {e}", path.display()));
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    fs::write(&part, report.json()?).and_then(|()| fs::rename(&part, path)).map_err(fail)
}
