//! Times whole networks: `cargo bench --profile dev --bench models [-- NAME SIZE BATCH]`. Warm-up, then the median of 20 runs, and every dispatch.

use lupe::engine::{Choice, Gpu, Graph, Named, Options, Plan, Scope, Store};
use lupe::models::{self, Network};
use lupe::tensor::Tensor;
use std::sync::Arc;
use std::time::Instant;

/// Weights of the right shapes, small and various: times do not depend on values, as long as none is denormal.
fn weights(network: &Network) -> Named {
    let (graph, none) = (Graph::new(), Named::new());
    network.build(graph.input("x", [1, 64, 64, 3]), &Scope::new(&graph, &none));
    let filled = |t: &Tensor| {
        let scale = (t.shape.dim(0) as f32 / t.shape.len() as f32).sqrt();
        Tensor::from_fn(t.shape, |i| ((i * 7919 % 1024) as f32 / 512.0 - 1.0) * scale)
    };
    let nodes = graph.nodes().expect("the network is well formed").into_iter();
    let weight = |n: lupe::engine::graph::Node| match n.source {
        lupe::engine::graph::Source::Weight(t) => Some((n.label, Arc::new(filled(&t)))),
        _ => None,
    };
    nodes.filter_map(weight).collect()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let name = args.first().map_or("resnet18", String::as_str);
    let size = args.get(1).and_then(|a| a.parse().ok()).unwrap_or(224);
    let batch = args.get(2).and_then(|a| a.parse().ok()).unwrap_or(1);
    let network = models::find(name).expect("a network's name");
    let gpu = pollster::block_on(Gpu::new(&Choice::Auto, None)).expect("an adapter");
    println!("{} ({} {})", gpu.info.title(), gpu.info.driver, gpu.info.driver_info);

    let (graph, named) = (Graph::new(), weights(network));
    let places = network.build(graph.input("x", [batch, size, size, 3]), &Scope::new(&graph, &named));
    let logits = places.get("logits").expect("its head");
    let start = Instant::now();
    let store = Store::new();
    let plan = pollster::block_on(Plan::new(&gpu, &graph, &[logits], &store, Options::default())).expect("a plan");
    let planned = start.elapsed();
    let x = Tensor::from_fn([batch, size, size, 3], |i| (i % 255) as f32 / 128.0 - 1.0);
    let start = Instant::now();
    pollster::block_on(plan.run(&[&x])).expect("a run");
    let first = start.elapsed();
    let mut times: Vec<f64> = (0..22)
        .map(|_| {
            let start = Instant::now();
            pollster::block_on(plan.run(&[&x])).expect("a run");
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(2)
        .collect();
    times.sort_by(f64::total_cmp);
    let timed = pollster::block_on(plan.run_timed(&[&x])).expect("a run");
    for (f, ns) in plan.facts().zip(&timed.ns) {
        println!(
            "{:>9.1} us {:>8.1} GFLOP/s {:>7.1} GB/s  {} | {}",
            ns / 1e3,
            f.flops as f64 / ns,
            f.bytes as f64 / ns,
            f.label,
            f.kernel
        );
    }
    let flops: u64 = plan.facts().map(|f| f.flops).sum();
    let median = times[times.len() / 2];
    println!(
        "{name} {size}x{size} batch {batch}: median {median:.2} ms (min {:.2}, max {:.2}), {:.1} GFLOP/s, {} dispatches, {:.1} MB; planned in {:.0} ms, first run {:.0} ms",
        times[0],
        times[times.len() - 1],
        flops as f64 / median / 1e6,
        plan.dispatches(),
        plan.bytes() as f64 / 1e6,
        planned.as_secs_f64() * 1e3,
        first.as_secs_f64() * 1e3
    );
}
