//! Times PatchCore's two heavy parts on synthetic rows: `cargo bench --profile dev --bench patchcore [-- knn|coreset|steps]`.
//!
//! The bytes counted are the bank once a search, and for a selection all rows once a pick, though a round reads them once for many.

use lupe::engine::{Choice, Gpu, Graph, Options, Plan, Store, Var};
use lupe::measure::stats::median;
use lupe::methods::patchcore::select::{Selector, parts, rows_at_once};
use lupe::methods::patchcore::{Config, Preset};
use lupe::ops::coreset::k_center_round;
use lupe::ops::knn::Metric;
use lupe::tensor::Tensor;
use std::time::Instant;

/// Rows without structure, the same every time.
fn rows(n: usize, d: usize) -> Tensor {
    let mut state = 1u64;
    Tensor::from_fn([n, d], |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    })
}

fn weights<'g>(graph: &'g Graph, gpu: &Gpu, all: &Tensor) -> Vec<Var<'g>> {
    let cut = parts(all, rows_at_once(&gpu.caps, all.shape.last()));
    cut.into_iter().enumerate().map(|(i, p)| graph.weight(&format!("rows.{i}"), p)).collect()
}

/// Prints what every dispatch took, and gives back their sum in microseconds.
fn table(plan: &Plan, inputs: &[&Tensor]) -> f64 {
    let timed = pollster::block_on(plan.run_timed(inputs)).expect("a run");
    for (f, ns) in plan.facts().zip(&timed.ns) {
        let rates = format!("{:>8.1} GFLOP/s {:>7.1} GB/s", f.flops as f64 / ns, f.bytes as f64 / ns);
        println!("  {:>9.1} us {rates}  {} | {}", ns / 1e3, f.label, f.kernel);
    }
    timed.ns.iter().sum::<f64>() / 1e3
}

/// What a search took.
pub struct Search {
    /// Queries, rows, values of each, nearest rows that are wanted.
    pub sizes: [usize; 4],
    /// Milliseconds of every run, from numbers in the host's memory to numbers there, in order.
    pub ms: Vec<f64>,
    /// Microseconds of all dispatches of a run, each by itself.
    pub dispatches_us: f64,
}

impl Search {
    /// Middle of the runs.
    pub fn median(&self) -> f64 {
        median(&self.ms)
    }
}

/// The `k` nearest of `m` rows for every one of `q` queries.
pub fn knn(gpu: &Gpu, [q, m, d, k]: [usize; 4]) -> Search {
    let (graph, bank, queries) = (Graph::new(), rows(m, d), rows(q, d));
    let y = graph.input("queries", [q, d]).knn(&weights(&graph, gpu, &bank), k, Metric::SquaredL2, None);
    let plan = pollster::block_on(Plan::new(gpu, &graph, &[y], &Store::new(), Options::default())).expect("a plan");
    let run = || {
        let start = Instant::now();
        pollster::block_on(plan.run(&[&queries])).expect("a run");
        start.elapsed().as_secs_f64() * 1e3
    };
    run();
    let ms: Vec<f64> = (0..7).map(|_| run()).collect();
    let mut found = Search { sizes: [q, m, d, k], ms, dispatches_us: 0.0 };
    let (least, most) = found.ms.iter().fold((f64::MAX, 0f64), |(a, b), &v| (a.min(v), b.max(v)));
    let (median, flops) = (found.median(), 2.0 * (q * m * d) as f64);
    println!(
        "knn {q} x {m} x {d}, top {k}: median {median:.1} ms (min {least:.1}, max {most:.1}), {:.1} GFLOP/s",
        flops / median / 1e6
    );
    found.dispatches_us = table(&plan, &[&queries]);
    found
}

/// What a selection took.
pub struct Selection {
    /// Rows, values of each, picks.
    pub sizes: [usize; 3],
    /// Seconds in all, the upload of the rows included.
    pub seconds: f64,
    /// Milliseconds a pick, the median of all rounds.
    pub pick_ms: f64,
    /// Seconds between two answers at most.
    pub longest: f64,
}

/// A selection of so many of `n` rows.
pub fn coreset(gpu: &Gpu, [n, d, picks]: [usize; 3]) -> Selection {
    let all = rows(n, d);
    let mut selector = Selector::new(&gpu.caps, all, picks, Options::default());
    let (start, mut marks) = (Instant::now(), vec![]);
    let mut mark = |done: usize| {
        marks.push((done, start.elapsed().as_secs_f64()));
        true
    };
    pollster::block_on(selector.run(gpu, &Config::new(Preset::Official), &mut mark)).expect("a selection");
    let seconds = start.elapsed().as_secs_f64();
    let each: Vec<f64> = marks.windows(2).map(|w| (w[1].1 - w[0].1) * 1e3 / (w[1].0 - w[0].0).max(1) as f64).collect();
    let longest = marks.windows(2).map(|w| w[1].1 - w[0].1).fold(0.0, f64::max);
    let found = Selection { sizes: [n, d, picks], seconds, pick_ms: median(&each), longest };
    println!(
        "coreset {n} x {d}, {picks} picks: {seconds:.1} s, median {:.2} ms a pick, {:.1} GB/s; longest time between two answers {longest:.2} s",
        found.pick_ms,
        (4 * n * d) as f64 / found.pick_ms / 1e6
    );
    found
}

/// A round of 128 picks among `kept` candidates, dispatch by dispatch.
fn steps(gpu: &Gpu, n: usize, d: usize, kept: usize) {
    let (graph, all) = (Graph::new(), rows(n, d));
    let parts = weights(&graph, gpu, &all);
    let anchors: Vec<Var> = parts.iter().map(|p| graph.input("anchor", [p.dim(0)])).collect();
    let (candidates, last) = (graph.input("candidates", [kept, 2]), graph.input("last", [1, 2]));
    let state = k_center_round(&parts, &anchors, candidates, last, 128);
    let outputs = [state.picks, state.anchors].concat();
    let plan = pollster::block_on(Plan::new(gpu, &graph, &outputs, &Store::new(), Options::default())).expect("a plan");
    let far = anchors.iter().map(|a| Tensor::from_fn(a.shape(), |_| 9.0));
    let given = [Tensor::from_fn([kept, 2], |i| if i % 2 == 0 { 9.0 } else { (i / 2) as f32 }), Tensor::zeros([1, 2])];
    let all: Vec<Tensor> = far.chain(given).collect();
    let inputs: Vec<&Tensor> = all.iter().collect();
    pollster::block_on(plan.run(&inputs)).expect("a run");
    println!("128 picks among {kept} of {n} x {d}");
    table(&plan, &inputs);
}

fn main() {
    let only = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let wanted = |name: &str| only.as_ref().is_none_or(|o| o == name);
    let gpu = pollster::block_on(Gpu::new(&Choice::Auto, None)).expect("an adapter");
    println!("{} ({} {})", gpu.info.title(), gpu.info.driver, gpu.info.driver_info);
    if wanted("steps") {
        steps(&gpu, 21_952, 128, 512);
        steps(&gpu, 160_000, 128, 512);
    }
    if wanted("coreset") {
        coreset(&gpu, [21_952, 128, 2000]);
        coreset(&gpu, [160_000, 128, 500]);
        coreset(&gpu, [300_000, 128, 1000]);
    }
    if wanted("knn") {
        knn(&gpu, [784, 2195, 1024, 1]);
        knn(&gpu, [784, 10_000, 1536, 1]);
        knn(&gpu, [784, 10_000, 1536, 9]);
    }
}
