//! Planning without a GPU: slots never clash, forms and order hold, fusion keeps the meaning.

use lupe::engine::graph::Source;
use lupe::engine::lower::{Lowered, Origin, lower};
use lupe::engine::slots::{Lifetime, assign_slots};
use lupe::engine::{Caps, Family, Form, Graph, Kernel, Op, Var, fuse::fuse};
use lupe::tensor::{Shape, Tensor};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

proptest! {
    #[test]
    fn no_two_live_values_share_a_slot(values in prop::collection::vec((0usize..40, 0usize..12, 1u64..1000, 0u8..4), 1..60)) {
        let values: Vec<Lifetime<u8>> =
            values.into_iter().map(|(from, length, bytes, kind)| Lifetime { from, to: from + length, bytes, kind }).collect();
        let (slot_of, slots) = assign_slots(&values);
        prop_assert!(slots.len() <= values.len());
        for (i, a) in values.iter().enumerate() {
            let (bytes, kind) = slots[slot_of[i]];
            prop_assert!(bytes >= a.bytes && kind == a.kind);
            for (j, b) in values.iter().enumerate().skip(i + 1) {
                let together = a.from <= b.to && b.from <= a.to;
                prop_assert!(!together || slot_of[i] != slot_of[j], "{a:?} and {b:?} share slot {}", slot_of[i]);
            }
        }
    }

    #[test]
    fn any_graph_lowers_to_an_order_that_runs(choices in prop::collection::vec(0u8..8, 1..14), software in any::<bool>()) {
        let caps = Caps {
            family: if software { Family::Software } else { Family::Gpu },
            subgroup: if software { Some(8) } else { None },
            ..Caps::BASE
        };
        let graph = Graph::new();
        let output = build(&graph, &choices);
        let nodes = graph.nodes().unwrap();
        let first = |_: &dyn Op, _: &[Kernel]| 0;
        let lowered = lower(nodes.clone(), &[output.id()], &caps, &first).unwrap();
        holds(&lowered)?;
        let x = Tensor::from_fn([2, 5, 6, 4], |i| ((i * 37 % 101) as f32 - 50.0) / 50.0);
        let want = &graph.eval(&[output], &[&x]).unwrap()[0];
        let got = interpreted(&lowered, &x);
        let max = want.data.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
        for (g, w) in got.data.iter().zip(&want.data) {
            prop_assert!((g - w).abs() <= 1e-5 * max, "{g} instead of {w}");
        }
    }
}

/// A chain of ops by number, some of which reach back.
fn build<'g>(graph: &'g Graph, choices: &[u8]) -> Var<'g> {
    let mut all = vec![graph.input("x", [2, 5, 6, 4])];
    for (i, choice) in choices.iter().enumerate() {
        let (last, before) = (all[all.len() - 1], all[all.len() / 2]);
        let weight = |sizes: [usize; 4]| {
            let data = Tensor::from_fn(sizes, |k| ((k * 13 % 29) as f32 - 14.0) / 100.0);
            graph.weight(&format!("w{i}.weight"), Arc::new(data))
        };
        all.push(match choice {
            0 => last.conv2d(weight([4, 4, 3, 3]), 1, 1),
            1 => last.conv2d(weight([4, 4, 1, 1]), 1, 0).relu(),
            2 => last.relu(),
            3 => (last.conv2d(weight([4, 4, 3, 3]), 1, 1) + before).relu(),
            4 => last + before,
            5 => last.max_pool(3, 1, 1),
            6 => last.affine(0.5, 0.1),
            _ => {
                last.conv2d(weight([4, 4, 5, 5]), 1, 2)
                    + graph.weight(&format!("w{i}.bias"), Arc::new(Tensor::from_fn([4], |k| k as f32)))
            }
        });
    }
    all[all.len() - 1].global_pool()
}

/// Inputs are written before they are read, and have the form that the kernel reads, with at least its ring.
fn holds(lowered: &Lowered) -> Result<(), TestCaseError> {
    for (s, step) in lowered.steps.iter().enumerate() {
        for (&v, &(_, form)) in step.inputs.iter().zip(&step.kernel.reads) {
            let value = &lowered.values[v];
            if let Origin::Step(by) = value.origin {
                prop_assert!(by < s, "step {s} reads what step {by} writes");
            }
            match (value.form, form) {
                (Form::Buffer, Form::Buffer) => {}
                (Form::Image { pad: has }, Form::Image { pad: wants }) => {
                    prop_assert!(has >= wants || value.shape.rank() != 4)
                }
                other => prop_assert!(false, "{} reads {other:?}", step.label),
            }
        }
    }
    for &o in &lowered.outputs {
        prop_assert_eq!(lowered.values[o].form, Form::Buffer);
    }
    Ok(())
}

/// The steps by the references of their ops. A convolution's weight is packed: it is taken as it was before.
fn interpreted(lowered: &Lowered, x: &Tensor) -> Tensor {
    let mut values: HashMap<usize, Tensor> = HashMap::new();
    let mut raw: HashMap<usize, usize> = HashMap::new();
    for (v, value) in lowered.values.iter().enumerate() {
        match &value.origin {
            Origin::Input(_) => drop(values.insert(v, x.clone())),
            Origin::Weight(t) => drop(values.insert(v, (**t).clone())),
            Origin::Step(_) => {}
        }
    }
    for step in &lowered.steps {
        if format!("{:?}", step.op).starts_with("Pack") {
            raw.insert(step.output, step.inputs[0]);
            continue;
        }
        let inputs: Vec<&Tensor> = step.inputs.iter().map(|v| &values[raw.get(v).unwrap_or(v)]).collect();
        let shapes: Vec<Shape> = inputs.iter().map(|t| t.shape).collect();
        let y = step.op.reference(&inputs, step.op.infer(&shapes).unwrap());
        values.insert(step.output, y);
    }
    values[&lowered.outputs[0]].clone()
}

#[test]
fn epilogues_are_fused_and_dead_nodes_dropped() {
    let graph = Graph::new();
    let x = graph.input("x", [1, 4, 4, 4]);
    let w = graph.weight("c.weight", Arc::new(Tensor::zeros([4, 4, 3, 3])));
    let b = graph.weight("c.bias", Arc::new(Tensor::zeros([4])));
    let y = (x.conv2d(w, 1, 1) + b + x).relu();
    let _dead = y.max_pool(2, 2, 0);
    let nodes = fuse(graph.nodes().unwrap(), &[y.id()]);
    assert_eq!(nodes[y.id()].inputs.len(), 4, "x, weight, bias and residual");
    assert!(matches!(&nodes[y.id()].source, Source::Op(op) if format!("{op:?}").contains("relu: true")));
    let lowered = lower(graph.nodes().unwrap(), &[y.id()], &Caps::BASE, &|_, _| 0).unwrap();
    let running = lowered.steps.iter().filter(|s| lowered.values[s.output].constant.is_none()).count();
    assert_eq!(running, 1, "one dispatch: {:?}", lowered.steps.iter().map(|s| &s.label).collect::<Vec<_>>());
    // A value that is wanted itself is not swallowed.
    let inner = x.conv2d(w, 1, 1);
    let outer = inner.relu();
    let nodes = fuse(graph.nodes().unwrap(), &[inner.id(), outer.id()]);
    assert_eq!(nodes[outer.id()].inputs, [inner.id()]);
}
