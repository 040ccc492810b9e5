//! What the bench of ops times is what plans run, and every candidate of it.

#[path = "../../benches/ops/subjects.rs"]
mod subjects;

use crate::common::program::no_gpu;
use lupe::engine::form::typical;
use lupe::engine::lower::{Role, candidates, lower_by};
use lupe::engine::{Choice, Choices, Gpu, Graph, Var};
use lupe::measure::kinds::{fill, kinds};
use lupe::measure::ways::time;
use lupe::tensor::{Shape, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;
use subjects::Scale;

/// Every dispatch of every subject's plan, with how many there are, on adapters of both families.
#[test]
fn kinds_are_what_plans_run() {
    for (name, make) in subjects::all(Scale { quick: true, batch: Some(2) }) {
        let subject = make(Scale { quick: true, batch: Some(2) });
        for (adapter, caps) in typical().into_iter().filter(|(n, _)| ["desktop", "software256"].contains(n)) {
            let graph = Graph::new();
            let outputs = subject.outputs(&graph);
            let found = kinds(&graph, &outputs, &caps).unwrap();
            let lowered = lower_by(&graph, &outputs, &caps, &Choices::First).unwrap();
            let (mut run, mut timed) = (BTreeMap::new(), BTreeMap::new());
            let mut steps = lowered.steps.iter().filter(|s| lowered.values[s.output].constant.is_none()).peekable();
            while let Some(step) = steps.next() {
                // Where a node's parts are added up, that step has its output.
                let last = steps.next_if(|next| next.role == Role::Sum).unwrap_or(step);
                *run.entry((step.key.clone(), lowered.values[last.output].shape.dims().to_vec())).or_insert(0) += 1;
            }
            for kind in &found {
                *timed.entry((kind.key.clone(), kind.shape.dims().to_vec())).or_insert(0) += kind.calls;
            }
            assert_eq!(timed, run, "{name} on {adapter}");
            assert!(!found.is_empty());
            let wanted: Vec<Shape> = lowered.inputs.iter().map(|i| i.1).collect();
            assert_eq!(subject.inputs.iter().map(|t| t.shape).collect::<Vec<_>>(), wanted, "{name}");
        }
    }
}

fn picture() -> Tensor {
    Tensor::from_fn([1, 12, 11, 8], |i| (i % 17) as f32 / 8.0 - 1.0)
}

/// Two convolutions of one kind, each with a ReLU, and a pool; its mean times a matrix that depends on weights alone.
fn small(graph: &Graph) -> [Var<'_>; 2] {
    let weight = |name: &str, shape: &[usize]| {
        graph.weight(name, Arc::new(Tensor::from_fn(shape, |i| (i % 7) as f32 / 7.0 - 0.4)))
    };
    let x = graph.input("x", [1, 12, 11, 8]);
    let y = x.conv2d(weight("a.weight", &[8, 8, 3, 3]), 1, 1).relu();
    let y = y.conv2d(weight("b.weight", &[8, 8, 3, 3]), 1, 1).relu().max_pool(2, 2, 0);
    [y, y.global_pool().matmul(weight("fc.weight", &[8, 5]).square())]
}

#[test]
fn nodes_of_one_kind_are_one_and_constants_are_none() {
    let graph = Graph::new();
    let found = kinds(&graph, &small(&graph)[1..], &typical()[1].1).unwrap();
    let seen: Vec<(&str, &str, usize)> = found.iter().map(|k| (k.op.as_str(), k.node.as_str(), k.calls)).collect();
    assert_eq!(
        &seen[..4],
        [("conv2d", "a", 2), ("pool", "pool", 1), ("globalpool", "globalpool", 1), ("matmul", "matmul", 1)]
    );
    let constant: Vec<bool> = found.iter().flat_map(|k| k.inputs.iter().map(|g| g.constant)).take(6).collect();
    assert_eq!(constant, [false, true, false, false, false, true]);
}

#[test]
fn every_candidate_is_timed_on_what_the_node_reads() {
    if no_gpu() {
        return;
    }
    let gpu = pollster::block_on(Gpu::new(&Choice::Auto, None)).expect("an adapter");
    let (graph, x) = (Graph::new(), picture());
    let [pool, output] = small(&graph);
    let mut found = kinds(&graph, &[output], &gpu.caps).unwrap();
    let empty = pollster::block_on(time(&gpu, &found[0], 1)).unwrap_err();
    assert!(empty.to_string().contains("a: input 0 is empty"), "{empty}");
    pollster::block_on(fill(&gpu, &graph, &[&x], &mut found)).unwrap();
    assert_eq!(found[0].inputs[0].values.as_deref(), Some(&x));
    let pooled = found.iter().find(|k| k.op == "globalpool").unwrap().inputs[0].values.clone().unwrap();
    let want = graph.eval(&[pool], &[&x]).unwrap().remove(0);
    assert!(
        pooled.data.iter().zip(&want.data).all(|(a, b)| (a - b).abs() < 1e-5) && want.data.iter().any(|&v| v > 1.0)
    );
    for kind in &found {
        // Twins share a label, and one time.
        let mut labels: Vec<String> = vec![];
        for kernel in candidates(&*kind.computes, &kind.shapes(), kind.shape, &gpu.caps).unwrap() {
            if !labels.contains(&kernel.label()) {
                labels.push(kernel.label());
            }
        }
        let ways = pollster::block_on(time(&gpu, kind, 2)).unwrap();
        assert_eq!(ways.iter().map(|w| w.kernel.clone()).collect::<Vec<_>>(), labels);
        assert!(ways.iter().all(|w| w.us.len() == 2 && w.us.iter().all(|&us| us >= 0.0) && w.bytes > 0), "{ways:?}");
        assert!(ways.iter().all(|w| w.flops == ways[0].flops));
    }
    assert_eq!(pollster::block_on(time(&gpu, &found[0], 1)).unwrap()[0].flops, 2 * 12 * 11 * 8 * 8 * 9);
}
