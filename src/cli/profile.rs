//! `lupe profile`: the time of every dispatch, compared with what the adapter can do.

use super::output::{new_table, print};
use super::session::Session;
use super::subject::{SubjectArgs, picture};
use crate::engine::gpu::Gpu;
use crate::engine::{Graph, Plan, Store, Timeline};
use crate::error::Result;
use crate::files::write;
use crate::measure::ceilings::{self, Ceiling, Ceilings};
use crate::measure::html::{PageHead, page};
use crate::measure::profile::{Profile, Profiled, Row, profile, together};
use crate::measure::stats::percentile;
use crate::measure::{roofline, trace};
use crate::methods::subject::Subject;
use crate::outputs::Inputs;
use crate::watch::Watch;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Everything that is shown.
struct Measured {
    profile: Profile,
    ceilings: Ceilings,
    head: PageHead,
    decode: Vec<f64>,
    clock: &'static str,
}

/// What `lupe profile` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// The picture to run on [default: noise, without decoding]
    picture: Option<PathBuf>,
    /// Timed runs, after one warm-up run
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeats: u16,
    /// What the table has a row for
    #[arg(long, value_enum, default_value = "node")]
    by: By,
    /// Write everything as an HTML page with a roofline and sortable tables
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the last run as a trace for Perfetto or Chrome
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// What a row of a profile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// A dispatch
    Node,
    /// All dispatches of an op
    Op,
    /// All dispatches of a shader
    Shader,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let read = [Some(Path::new(&args.subject.model)), args.subject.weights.as_deref(), args.picture.as_deref()];
    let inputs = Inputs::of(read.into_iter().flatten());
    args.html.iter().chain(&args.trace).try_for_each(|path| session.outputs.file(path, &inputs))?;
    session.watch_for_interrupts()?;
    let mut start = Start::new();
    let subject = args.subject.open(session)?;
    start.end("weights, read or generated");
    let picture = picture(args.picture.as_deref())?;
    let decode = decode(&subject, args)?;
    start.at = Instant::now();
    let gpu = session.gpu()?;
    start.end("device");
    let options = session.options(&gpu);
    let limit = options.limit_memory;
    session.say(&format!("device    {}", gpu.info.describe()));
    let stage = args.subject.stage(&subject, picture.as_ref(), &gpu.caps)?;
    let (graph, store) = (Graph::new(), Store::new());
    let plan = pollster::block_on(Plan::new(&gpu, &graph, &(stage.build)(&graph), &store, options))?;
    start.planned(&plan.timeline());
    pollster::block_on(plan.run(&stage.inputs.iter().collect::<Vec<_>>()))?;
    start.end("first run");
    let ceilings = pollster::block_on(ceilings::measure(&gpu, limit))?;
    let stages = [Profiled { name: stage.name, plan: &plan, inputs: stage.inputs }];
    let mut progress = |done| {
        session.progress("profiling", done, args.repeats.into());
        session.go_on()
    };
    let found = pollster::block_on(profile(&stages, args.repeats.into(), &ceilings, &mut progress))?;
    let named = Heading { model: &args.subject.model, input: subject.input(args.subject.batch.into()) };
    let mut measured = measured(found, ceilings, decode, &gpu, &named);
    measured.head.start = start.parts;
    show(session, args, &measured, &gpu)
}

/// What is profiled.
struct Heading<'a> {
    model: &'a str,
    input: [usize; 4],
}

/// What happens once, up to the first result.
struct Start {
    at: Instant,
    parts: Vec<(&'static str, f64)>,
}

impl Start {
    fn new() -> Start {
        Start { at: Instant::now(), parts: vec![] }
    }

    /// A part ends here, and the next begins.
    fn end(&mut self, name: &'static str) {
        self.parts.push((name, self.at.elapsed().as_secs_f64() * 1e3));
        self.at = Instant::now();
    }

    fn planned(&mut self, t: &Timeline) {
        let parts = [
            ("lowering the graph", t.lower),
            ("uploading weights, compiling kernels alongside", t.weights),
            ("waiting for kernels to compile", t.pipelines),
            ("memory and bindings", t.bind),
        ];
        self.parts.extend(parts.map(|(name, ns)| (name, ns / 1e6)));
        self.at = Instant::now();
    }
}

/// Milliseconds of decoding and preprocessing, one for each run; none without a picture.
fn decode(subject: &Subject, args: &Args) -> Result<Vec<f64>> {
    let (mut times, path) = (vec![], args.picture.as_deref());
    for _ in 0..path.map_or(0, |_| args.repeats) {
        let start = Instant::now();
        let decoded = picture(path)?.map(|p| subject.preprocess().prepare(&p)).transpose()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(decoded);
    }
    Ok(times)
}

fn measured(profile: Profile, ceilings: Ceilings, decode: Vec<f64>, gpu: &Gpu, named: &Heading) -> Measured {
    let part =
        |f: fn(&crate::engine::plan::Parts) -> f64| -> Vec<f64> { profile.parts.iter().map(|p| f(p) / 1e6).collect() };
    let points = |ms: &[f64]| [0.5, 0.95, 0.99].map(|share| percentile(ms, share));
    let mut latency = vec![
        ("upload".to_string(), points(&part(|p| p.upload))),
        ("compute".into(), points(&part(|p| p.compute))),
        ("read-back".into(), points(&part(|p| p.read_back))),
        ("total".into(), points(&part(|p| p.upload + p.compute + p.read_back))),
    ];
    if !decode.is_empty() {
        latency.insert(0, ("decode".into(), points(&decode)));
    }
    let clock = if gpu.timestamps() { "device" } else { "host" };
    let middle = (!decode.is_empty()).then(|| percentile(&decode, 0.5));
    let input = named.input.map(|d| d.to_string()).join("x");
    let mut lines = vec![
        gpu.info.describe(),
        format!("input {input}; {} runs after one warm-up run; Lupe {}", profile.runs, env!("CARGO_PKG_VERSION")),
        told("copy", "GB/s", &ceilings.copy),
        told("arithmetic", "GFLOP/s", &ceilings.arithmetic),
        format!(
            "dispatches one by one {:.0} us, all in one pass {:.0} us ({:.0} %)",
            profile.sum(),
            profile.pass(),
            100.0 * profile.sum() / profile.pass().max(1e-9)
        ),
    ];
    if clock == "host" {
        lines.push("this adapter has no timestamps: times are taken on the host, with one submission per pass".into());
    }
    let sentence = profile.sentence(middle, &ceilings);
    let head =
        PageHead { title: format!("lupe profile {}", named.model), lines, sentence, latency, ..PageHead::default() };
    Measured { profile, ceilings, head, decode, clock }
}

fn told(name: &str, unit: &str, c: &Ceiling) -> String {
    let noisy = if c.noisy { ", noisy: the machine is busy" } else { "" };
    format!(
        "{name} ceiling {:.1} {unit} (median of {} runs, spread {:.0} %{noisy}; {})",
        c.rate,
        ceilings::REPEATS,
        100.0 * c.spread,
        c.kernel
    )
}

fn show(session: &Session, args: &Args, m: &Measured, gpu: &Gpu) -> Result<()> {
    if let Some(path) = &args.html {
        write(path, page(&m.profile, &m.ceilings, &m.head).as_bytes())?;
    }
    if let Some(path) = &args.trace {
        write(path, trace::trace(&m.profile, &host(m), &m.head.start, &gpu.info.title()).to_string().as_bytes())?;
    }
    if session.json {
        return print(&as_json(m, gpu).to_string());
    }
    let by = |name: fn(&Row) -> &str| table(&together(&m.profile.rows, &m.ceilings, name), false);
    let rows = match args.by {
        By::Node => table(&m.profile.rows, true),
        By::Op => by(|r| &r.op),
        By::Shader => by(|r| &r.shader),
    };
    let mut latency = new_table(["ms per run", "p50", "p95", "p99"]);
    for (name, p) in &m.head.latency {
        latency.add_row([vec![name.clone()], p.map(|v| format!("{v:.3}")).to_vec()].concat());
    }
    print(&format!(
        "{rows}\n\n{}\n\n{}\n\n{latency}\n\n{}\n{}\n\n{}",
        roofline::text(&m.profile.rows, &m.ceilings),
        start_table(&m.head),
        m.head.title,
        m.head.lines.join("\n"),
        m.head.sentence
    ))
}

fn start_table(head: &PageHead) -> Table {
    let mut table = new_table(["ms to the first result", ""]);
    for (name, ms) in head.start.iter().copied().chain([("total", head.started())]) {
        table.add_row([name.to_string(), format!("{ms:.1}")]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn table(rows: &[Row], nodes: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut header = vec!["", "calls", "us", "p95", "share", "GFLOP/s", "GB/s", "of ceiling", ""];
    header.extend(if nodes { &["shape", "kernel"][..] } else { &[] });
    table.set_header(header);
    for r in rows {
        let shape: Vec<String> = r.shape.iter().map(usize::to_string).collect();
        let mut cells = vec![
            r.node.clone(),
            r.calls.to_string(),
            format!("{:.1}", r.us),
            format!("{:.1}", r.us_p95),
            format!("{:.1} %", 100.0 * r.share),
            format!("{:.1}", r.gflops),
            format!("{:.1}", r.gbs),
            format!("{:.0} %", 100.0 * r.of_ceiling),
            r.bound.into(),
        ];
        cells.extend(if nodes { vec![shape.join("x"), r.kernel.clone()] } else { vec![] });
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1).take(7) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The host's parts of the last run, one after the other.
fn host(m: &Measured) -> Vec<trace::Span> {
    let Some(p) = m.profile.parts.last() else { return vec![] };
    let spans = [("upload", p.upload), ("compute", p.compute), ("read-back", p.read_back)];
    let mut at = -p.upload / 1e3;
    let span = |(name, ns): (&'static str, f64)| {
        let begin = at;
        at += ns / 1e3;
        (name, begin, ns / 1e3)
    };
    let mut all: Vec<trace::Span> = spans.into_iter().map(span).collect();
    if let Some(ms) = m.decode.last() {
        all.insert(0, ("decode", -p.upload / 1e3 - ms * 1e3, ms * 1e3));
    }
    all
}

fn as_json(m: &Measured, gpu: &Gpu) -> Value {
    let by = |name: fn(&Row) -> &str| together(&m.profile.rows, &m.ceilings, name);
    let latency: serde_json::Map<String, Value> = (m.head.latency.iter())
        .map(|(name, p)| (name.clone(), json!({"p50": p[0], "p95": p[1], "p99": p[2]})))
        .collect();
    json!({
        "title": m.head.title, "device": gpu.info.title(), "driver": gpu.info.driver, "driver_info": gpu.info.driver_info,
        "lupe_version": env!("CARGO_PKG_VERSION"), "clock": m.clock, "runs": m.profile.runs, "ceilings": m.ceilings,
        "rows": m.profile.rows, "by_op": by(|r| &r.op), "by_shader": by(|r| &r.shader), "latency_ms": latency,
        "start_ms": m.head.start.iter().map(|(part, ms)| json!({"part": part, "ms": ms})).collect::<Vec<_>>(),
        "sum_us": m.profile.sum(), "pass_us": m.profile.pass(), "sentence": m.head.sentence,
    })
}
