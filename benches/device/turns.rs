//! The part `torch`: Lupe and PyTorch in turns on the same card with the same weights and inputs.
//!
//! Both are timed twice: from the host's memory to the host's memory, and the device alone (its timestamps; CUDA's events).

use super::args::Amount;
use super::context::{Context, write};
use super::md::{Page, digits, list, number, table, text};
use super::peer::Peer;
use lupe::engine::{Gpu, Graph, Options, Plan, Scope, Store, Var};
use lupe::measure::stats::median;
use lupe::methods::patchcore::select::{parts, rows_at_once};
use lupe::models;
use lupe::models::resnet::{self, ResNet};
use lupe::ops::knn::Metric;
use lupe::random;
use lupe::weights::Weights;
use lupe::{Error, Result, Tensor};
use pollster::block_on;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// What is computed.
#[derive(Clone, Copy, Debug)]
enum Task {
    /// A network, and the pictures in a batch.
    Network(&'static str, usize),
    /// The product of two square matrices of this side.
    Matmul(usize),
    /// Queries, rows, values, nearest.
    Knn([usize; 4]),
}

/// The tasks, what is worth most first.
const FULL: [Task; 12] = [
    Task::Network("resnet18", 1),
    Task::Network("wide_resnet50_2", 1),
    Task::Network("resnet18", 32),
    Task::Network("wide_resnet50_2", 32),
    Task::Matmul(4096),
    Task::Knn([784, 10_000, 1536, 9]),
    Task::Network("resnet50_thin", 1),
    Task::Network("resnet50_thin", 32),
    Task::Network("resnet18", 8),
    Task::Network("wide_resnet50_2", 8),
    Task::Network("resnet18", 128),
    Task::Network("wide_resnet50_2", 128),
];

/// The same for a processor.
const SMALL: [Task; 3] = [Task::Network("resnet18", 1), Task::Matmul(512), Task::Knn([64, 1000, 256, 9])];

/// How PyTorch computes: precision, whether a CUDA graph is replayed, and where there are pictures their order in memory.
const MODES: [[&str; 3]; 7] = [
    ["f32", "eager", "nchw"],
    ["f32", "graph", "nchw"],
    ["f32", "graph", "nhwc"],
    ["tf32", "eager", "nhwc"],
    ["tf32", "graph", "nhwc"],
    ["f16", "eager", "nhwc"],
    ["f16", "graph", "nhwc"],
];

/// Does the work.
pub fn run(context: &Context) -> Result<()> {
    let (mut peer, torch) = match Peer::start(context)? {
        Ok(started) => started,
        Err(why) => return context.keep(&json!({"missing": why})),
    };
    let gpu = context.gpu()?;
    let tasks = if context.amount == Amount::Full { &FULL[..] } else { &SMALL[..] };
    let (mut rows, mut failed, mut left): (Vec<Value>, Vec<String>, Vec<String>) = (vec![], vec![], vec![]);
    let mut pace = context.pace();
    for task in tasks {
        if !pace.another() {
            left.push(name(*task));
            continue;
        }
        context.begin(&format!("{task:?}"));
        match turns(context, &gpu, &mut peer, *task) {
            Ok(found) => rows.extend(found),
            Err(e) => failed.push(format!("{task:?}: {e}")),
        }
        context.keep(&json!({"torch": torch, "rows": rows, "failed": failed}))?;
    }
    context.keep(&json!({"torch": torch, "rows": rows, "failed": failed, "left": left}))?;
    if failed.is_empty() { Ok(()) } else { Err(Error::Partial(failed.join("; "))) }
}

/// Lupe's side of a task.
struct Side<'g> {
    plan: Plan<'g>,
    inputs: Vec<Tensor>,
    /// What the peer is asked, but for the mode.
    question: Value,
}

impl Side<'_> {
    /// Milliseconds host to host, and of the device alone.
    fn time(&self, runs: usize, host: &mut Vec<f64>, device: &mut Vec<f64>) -> Result<()> {
        let inputs: Vec<&Tensor> = self.inputs.iter().collect();
        for _ in 0..runs {
            let start = Instant::now();
            block_on(self.plan.run(&inputs))?;
            host.push(start.elapsed().as_secs_f64() * 1e3);
            let (_, parts) = block_on(self.plan.run_in_parts(&inputs))?;
            device.push(parts.pass.unwrap_or(parts.compute) / 1e6);
        }
        Ok(())
    }
}

/// Lupe, a mode of PyTorch, Lupe, the next …
fn turns(context: &Context, gpu: &Gpu, peer: &mut Peer, task: Task) -> Result<Vec<Value>> {
    let side = side(context, gpu, task)?;
    let inputs: Vec<&Tensor> = side.inputs.iter().collect();
    let first = block_on(side.plan.run(&inputs))?;
    let want = context.scratch("torch")?.join("want.f32");
    write(&want, bytes(&first.iter().flat_map(|t| t.data.iter().copied()).collect::<Vec<f32>>()))?;
    drop(first);
    let runs = match task {
        Task::Network(_, batch) if batch >= 32 => 4,
        _ => 8,
    };
    let (name, pictures) = (name(task), matches!(task, Task::Network(..)));
    let (mut rows, mut host, mut device) = (vec![], vec![], vec![]);
    for mode in MODES.iter().filter(|mode| pictures || **mode != ["f32", "graph", "nhwc"]) {
        side.time(runs, &mut host, &mut device)?;
        let mut question = side.question.clone();
        question["want"] = json!(want);
        question["runs"] = json!(2 * runs);
        question["mode"] = json!(mode);
        let answer = peer.ask(&question)?;
        let system = format!("torch {}", mode[..if pictures { 3 } else { 2 }].join(" "));
        rows.push(json!({"task": name, "system": system, "answer": answer}));
    }
    side.time(runs, &mut host, &mut device)?;
    rows.insert(
        0,
        json!({"task": name, "system": "Lupe", "answer": {"host_ms": median(&host), "device_ms": median(&device)}}),
    );
    Ok(rows)
}

fn name(task: Task) -> String {
    match task {
        Task::Network(name, batch) => format!("{name}, batch {batch}"),
        Task::Matmul(n) => format!("product {n} x {n} x {n}"),
        Task::Knn([q, m, d, k]) => format!("{k} nearest of {m} x {d} for {q}"),
    }
}

fn side<'g>(context: &Context, gpu: &'g Gpu, task: Task) -> Result<Side<'g>> {
    match task {
        Task::Network(name, batch) => network(context, gpu, name, batch),
        Task::Matmul(n) => {
            let given = ["a", "b"].map(|salt| noise(salt, n, n));
            let graph = Graph::new();
            let y = graph.input("a", [n, n]).matmul(graph.input("b", [n, n]));
            let plan = planned(gpu, &graph, &[y])?;
            let files = [file(context, "a", &given[0])?, file(context, "b", &given[1])?];
            Ok(Side { plan, inputs: given.into(), question: json!({"task": "matmul", "n": n, "files": files}) })
        }
        Task::Knn([q, m, d, k]) => {
            let (queries, bank) = (noise("queries", q, d), noise("bank", m, d));
            let files = [file(context, "queries", &queries)?, file(context, "bank", &bank)?];
            let graph = Graph::new();
            let cut = parts(&bank, rows_at_once(&gpu.caps, d));
            let banks: Vec<Var> =
                cut.into_iter().enumerate().map(|(i, p)| graph.weight(&format!("rows.{i}"), p)).collect();
            let y = graph.input("queries", [q, d]).knn(&banks, k, Metric::SquaredL2, None);
            let question = json!({"task": "knn", "sizes": [q, m, d, k], "files": files});
            Ok(Side { plan: planned(gpu, &graph, &[y])?, inputs: vec![queries], question })
        }
    }
}

fn network<'g>(context: &Context, gpu: &'g Gpu, name: &str, batch: usize) -> Result<Side<'g>> {
    let unknown = || Error::Usage(format!("unknown network `{name}`"));
    let (network, net) = models::find(name).zip(architecture(name)).ok_or_else(unknown)?;
    let path = context.drawn(name)?;
    let (weights, picture) = (Weights::open(&path)?, noise("picture", 224 * 224, 3));
    let graph = Graph::new();
    let places = network.build(graph.input("picture", [batch, 224, 224, 3]), &Scope::new(&graph, weights.tensors()));
    let plan = planned(gpu, &graph, &[places.find("logits")?])?;
    let question = json!({
        "task": "network", "batch": batch, "size": 224, "weights": path, "files": [file(context, "picture", &picture)?],
        "net": {
            "bottleneck": net.block == resnet::Block::Bottleneck, "depths": net.depths, "stem": net.stem, "planes": net.planes,
            "width": net.width, "stride_first": net.stride_first,
            "pool_pad": [net.pool_pad.left, net.pool_pad.right, net.pool_pad.top, net.pool_pad.bottom],
        },
    });
    Ok(Side { plan, inputs: vec![Tensor::new([batch, 224, 224, 3], picture.data.repeat(batch))], question })
}

/// What the peer builds the same network from.
fn architecture(name: &str) -> Option<ResNet> {
    match name {
        "resnet18" => Some(resnet::RESNET18),
        "resnet34" => Some(resnet::RESNET34),
        "resnet50" => Some(resnet::RESNET50),
        "wide_resnet50_2" => Some(resnet::WIDE_RESNET50_2),
        "wide_resnet101_2" => Some(resnet::WIDE_RESNET101_2),
        "resnet50_thin" => Some(resnet::THIN),
        _ => None,
    }
}

fn planned<'g>(gpu: &'g Gpu, graph: &Graph, outputs: &[Var]) -> Result<Plan<'g>> {
    block_on(Plan::new(gpu, graph, outputs, &Store::new(), Options::default()))
}

/// Uniform in [-1, 1).
fn noise(salt: &str, rows: usize, columns: usize) -> Tensor {
    let of = |i: usize| (random::draw(salt, i as u64) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    Tensor::from_fn([rows, columns], of)
}

/// A tensor as a file of raw floats.
fn file(context: &Context, name: &str, t: &Tensor) -> Result<PathBuf> {
    let path = context.scratch("torch")?.join(format!("{name}.f32"));
    write(&path, bytes(&t.data)).map(|()| path)
}

fn bytes(values: &[f32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// Puts it into words.
pub fn page(data: &Value) -> Page {
    if let Some(why) = data["missing"].as_str() {
        return Page::default().and(format!("Not measured: {why}."));
    }
    let rows = list(data, "/rows");
    let lupe = |task: &Value| rows.iter().find(|r| r["task"] == *task && r["system"] == "Lupe");
    let told = |r: &Value| {
        let cell = |key: &str| {
            let of = |r: &Value| number(r, &format!("/answer/{key}"));
            let shown = of(r).map_or("–".into(), digits);
            match (of(r), lupe(&r["task"]).and_then(of)) {
                (Some(theirs), Some(ours)) if r["system"] != "Lupe" => format!("{shown} ({:.2})", theirs / ours),
                _ => shown,
            }
        };
        let apart = number(r, "/answer/apart").map_or(String::new(), digits);
        let remark = r.pointer("/answer/error").and_then(Value::as_str).unwrap_or("").to_string();
        [text(r, "/task"), text(r, "/system"), cell("device_ms"), cell("host_ms"), apart, remark]
    };
    let cells: Vec<[String; 6]> = rows.iter().map(told).collect();
    let head = |page: Page, task: &str| {
        let of_task = rows.iter().filter(|r| r["task"] == task);
        let ms = |r: &Value| Some(format!("{} {}", text(r, "/system"), digits(number(r, "/answer/device_ms")?)));
        let all: Vec<String> = of_task.filter_map(ms).collect();
        if all.is_empty() { page } else { page.head(task, format!("ms on the device: {}", all.join("; "))) }
    };
    let tasks = ["resnet18", "wide_resnet50_2"].iter().flat_map(|n| [1, 32].map(|b| format!("{n}, batch {b}")));
    let page = tasks.fold(Page::default(), |page, task| head(page, &task));
    page.and(format!("PyTorch {}, {}.", text(data, "/torch/torch"), text(data, "/torch/device")))
        .and(table(&["task", "system", "device ms", "host to host ms", "apart", ""], &cells))
        .and("In brackets: their time over Lupe's, so that more than 1 is slower than Lupe. *apart*: largest difference from Lupe's values, of the largest value. Medians; Lupe ran before, between and after.")
        .gaps(data)
}
