//! Lupe as a resident worker (`serve.rs`).

use crate::export::{BANK, CORESET, QUERIES, read, shape_of};
use crate::networks::{self, Network};
use crate::serve::{Result, serve, timed};
use crate::training::{self, Training};
use lupe::engine::{Choice, Gpu, Graph, Options, Plan, Scope, Store, Var};
use lupe::measure::ceilings;
use lupe::measure::profile::{self, Profiled};
use lupe::methods::patchcore::score::{Bank, PatchScores};
use lupe::methods::patchcore::select::{Selector, parts, rows_at_once};
use lupe::methods::patchcore::{Config, Grid, Preset};
use lupe::ops::knn::Metric;
use lupe::tensor::Tensor;
use lupe::weights::Weights;
use pollster::block_on;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// How the names of the tasks of PatchCore's scoring begin; values of a place follow.
const PATCHCORE: &str = "patchcore_";

/// Grid of places that is scored: a map of stride 8 of a picture of 256x256.
const PLACES: [usize; 2] = [32, 32];

/// Rows that a timed selection picks: two rounds of the device when each is as long as it may be.
const PICKS: usize = 384;

/// Runs of a profile.
const RUNS: usize = 9;

/// Answers what comes on the standard input about the task `name`, until it ends.
pub fn work(folder: &Path, name: &str, out: &Path) -> Result<()> {
    if name == CORESET {
        return selection(&open()?, folder, out);
    }
    if name.starts_with(PATCHCORE) {
        let (gpu, (bank, x)) = (open()?, scored(folder, name)?);
        return scoring(&scores(&gpu, &bank, &x)?, &bank, &x, out);
    }
    if training::has(name) {
        let gpu = open()?;
        return Training::new(&gpu, folder, name)?.serve(&gpu, out);
    }
    with_plan(folder, name, |_, plan, inputs| serve_plan(plan, &inputs, out))
}

/// Prints as JSON what the kernels of the task `name` take, against the adapter's ceilings.
pub fn profile(folder: &Path, name: &str) -> Result<()> {
    with_plan(folder, name, |gpu, plan, inputs| {
        let ceilings = block_on(ceilings::measure(gpu, None))?;
        let stages = [Profiled { name: "run", plan, inputs }];
        let found = block_on(profile::profile(&stages, RUNS, &ceilings, &mut |_| Ok(())))?;
        let kernels = profile::together(&found.rows, &ceilings, |r| &r.kernel);
        let sentence = found.sentence(None, &ceilings);
        println!("{}", serde_json::json!({ "ceilings": ceilings, "kernels": kernels, "sentence": sentence }));
        Ok(())
    })
}

fn open() -> Result<Gpu> {
    Ok(block_on(Gpu::new(&Choice::Auto, None))?)
}

/// The plan of the task `name` and its inputs for `then`.
fn with_plan(folder: &Path, name: &str, then: impl FnOnce(&Gpu, &Plan, Vec<Tensor>) -> Result<()>) -> Result<()> {
    if let Some(network) = networks::ALL.iter().find(|n| n.name == name) {
        // Side by side, as `lupe predict` does it.
        let (gpu, weights) = std::thread::scope(|scope| {
            let reading = scope.spawn(|| Weights::open(&folder.join(format!("{name}.safetensors"))));
            (open(), reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let gpu = gpu?;
        let plan = plan(&gpu, weights?, network)?;
        return then(&gpu, &plan, vec![read(folder, name, &network.input)?]);
    }
    if training::has(name) {
        let gpu = open()?;
        let training = Training::new(&gpu, folder, name)?;
        let (plan, inputs) = training.planned();
        return then(&gpu, plan, inputs);
    }
    if name.starts_with(PATCHCORE) {
        let (gpu, (bank, x)) = (open()?, scored(folder, name)?);
        return then(&gpu, &scores(&gpu, &bank, &x)?, vec![x]);
    }
    let Some((thousands, k)) = name.strip_prefix("knn_").and_then(|n| n.split_once("k_top")) else {
        return Err(format!("there is no task {name}").into());
    };
    let gpu = open()?;
    let plan = neighbours(&gpu, folder, 1000 * thousands.parse::<usize>()?, k.parse()?)?;
    then(&gpu, &plan, vec![read(folder, QUERIES, &shape_of(QUERIES))?])
}

/// The network ready to run; what it was made of is released.
fn plan<'g>(gpu: &'g Gpu, weights: Weights, network: &Network) -> Result<Plan<'g>> {
    let graph = Graph::new();
    let outputs = (network.build)(graph.input("x", network.input), &Scope::new(&graph, weights.tensors()));
    // No check of what was asked: a network cut short asks for more than its file has, of which nothing runs.
    Ok(block_on(Plan::new(gpu, &graph, &outputs, &Store::new(), Options::default()))?)
}

/// The `k` nearest of the bank's first `rows` rows for every query.
fn neighbours<'g>(gpu: &'g Gpu, folder: &Path, rows: usize, k: usize) -> Result<Plan<'g>> {
    let [_, d] = shape_of(BANK);
    let (graph, bank) = (Graph::new(), read(folder, BANK, &[rows, d])?);
    let cut = parts(&bank, rows_at_once(&gpu.caps, d));
    drop(bank);
    let banks: Vec<Var> = cut.into_iter().enumerate().map(|(i, p)| graph.weight(&format!("rows.{i}"), p)).collect();
    let found = graph.input("queries", shape_of(QUERIES)).knn(&banks, k, Metric::SquaredL2, None);
    Ok(block_on(Plan::new(gpu, &graph, &[found], &Store::new(), Options::default()))?)
}

/// A bank of 10,000 rows that scores as after a fit without options, and the patch vectors of a picture; the exported values in rows
/// of that length.
fn scored(folder: &Path, name: &str) -> Result<(Bank, Tensor)> {
    let dim = name.trim_start_matches(PATCHCORE).parse()?;
    let rows = read(folder, BANK, &[10_000, dim])?;
    let bank = Bank::new(&Config::default(), Grid { grid: PLACES, dim }, Arc::new(rows));
    Ok((bank, read(folder, QUERIES, &[PLACES.iter().product(), dim])?))
}

/// From a picture's patch vectors to what [`Bank::scored`] reads.
fn scores<'g>(gpu: &'g Gpu, bank: &Bank, x: &Tensor) -> Result<Plan<'g>> {
    let graph = Graph::new();
    let queries = graph.input("queries", x.shape);
    let outputs = bank.outputs(&bank.parts(&gpu.caps), queries, 1, None);
    Ok(block_on(Plan::new(gpu, &graph, &outputs, &Store::new(), Options::default()))?)
}

/// The picture's score, the distances of its places and its map; a time is that of all of it.
fn scoring(plan: &Plan, bank: &Bank, x: &Tensor, out: &Path) -> Result<()> {
    let run = || -> Result<PatchScores> { Ok(bank.scored(&block_on(plan.run(&[x]))?, 0, 1)?) };
    let first = run()?;
    let distances = first.nearest.data.chunks(2).map(|pair| pair[0]);
    let all: Vec<f32> = [first.score as f32].into_iter().chain(distances).chain(first.map.data).collect();
    serve(out, &all, || timed(run))
}

fn serve_plan(plan: &Plan, inputs: &[Tensor], out: &Path) -> Result<()> {
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let run = || -> Result<Vec<f32>> { Ok(block_on(plan.run(&inputs))?.into_iter().flat_map(|t| t.data).collect()) };
    serve(out, &run()?, || timed(|| Ok(block_on(plan.run(&inputs))?)))
}

/// Picks of a greedy k-centre selection. A time is that of one pick: all rounds of a selection, without planning and upload of the rows.
fn selection(gpu: &Gpu, folder: &Path, out: &Path) -> Result<()> {
    let rows = read(folder, CORESET, &shape_of(CORESET))?;
    let pick = || -> Result<(Vec<usize>, f64)> {
        let mut selector = Selector::new(&gpu.caps, rows.clone(), PICKS, Options::default());
        let mut begun: Option<(Instant, usize)> = None;
        let mut mark = |done: usize| {
            begun.get_or_insert((Instant::now(), done));
            true
        };
        block_on(selector.run(gpu, &Config::new(Preset::Anomalib), &mut mark))?;
        let (start, before) = begun.ok_or("a selection without a round")?;
        let each = start.elapsed().as_secs_f64() * 1e3 / (selector.picks.len() - before) as f64;
        Ok((selector.picks, each))
    };
    let picks: Vec<f32> = pick()?.0.into_iter().map(|p| p as f32).collect();
    serve(out, &picks, || Ok(pick()?.1))
}
