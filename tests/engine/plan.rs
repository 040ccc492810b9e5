//! Planning without a device: memory by lifetime, and random graphs lowered and then computed step by step on the CPU.

use crate::common::caps;
use crate::common::random::{Recipe, recipes};
use lupe::engine::graph::{Node, Op, Source, live};
use lupe::engine::lower::{Lowered, MAX_ITERATIONS, Origin, Value, lower};
use lupe::engine::slots::{Lifetime, assign_slots};
use lupe::engine::{Caps, Form, Geometry, Graph, Kernel, Var};
use lupe::tensor::{Shape, Tensor};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Buffers, and images of three geometries, two of them of the same size.
fn kinds() -> Vec<Option<Geometry>> {
    let image = |w| Some(Geometry::new(Shape::from([1, 24 / w, w, 4]), 0, 8192));
    vec![None, image(4), image(6), image(8)]
}

fn lifetimes() -> impl Strategy<Value = Vec<Lifetime<Option<Geometry>>>> {
    let one =
        (0..40usize, 0..12usize, 1..1000u64, 0..4usize, any::<bool>()).prop_map(|(from, length, bytes, kind, kept)| {
            let kind = kinds()[kind];
            let to = if kept && length == 0 { usize::MAX } else { from + length };
            Lifetime { from, to, bytes: kind.map_or(bytes, |g| g.bytes()), kind }
        });
    prop::collection::vec(one, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn values_alive_together_never_share_a_slot(values in lifetimes()) {
        let (slot_of, slots) = assign_slots(&values);
        prop_assert_eq!(slot_of.len(), values.len());
        prop_assert!(slots.len() <= values.len());
        for (i, a) in values.iter().enumerate() {
            let (bytes, kind) = slots[slot_of[i]];
            prop_assert_eq!(kind, a.kind, "an image lies in a slot of its own geometry, a buffer in a buffer");
            prop_assert!(bytes >= a.bytes);
            for (j, b) in values.iter().enumerate().skip(i + 1) {
                let together = a.from <= b.to && b.from <= a.to;
                prop_assert!(!together || slot_of[i] != slot_of[j], "values {} and {} share slot {}", i, j, slot_of[i]);
            }
        }
        for (slot, (bytes, _)) in slots.iter().enumerate() {
            let largest = (0..values.len()).filter(|&i| slot_of[i] == slot).map(|i| values[i].bytes).max();
            prop_assert_eq!(largest, Some(*bytes), "a slot is as large as its largest value, and held by one");
        }
    }
}

#[test]
fn a_chain_takes_two_slots() {
    let chain: Vec<_> = (0..20).map(|i| Lifetime { from: i, to: i + 1, bytes: 100 - i as u64, kind: () }).collect();
    assert_eq!(assign_slots(&chain).1.len(), 2);
}

/// What the lowered steps read and write fits together.
fn consistent(lowered: &Lowered, caps: &Caps) -> Result<(), TestCaseError> {
    let mut rings = vec![None; lowered.values.len()];
    let mut ask = |v: usize, pad: u32| rings[v] = rings[v].max(Some(pad));
    for (s, step) in lowered.steps.iter().enumerate() {
        prop_assert_eq!(step.inputs.len(), step.kernel.reads.len());
        prop_assert!(step.kernel.runs_on(caps) && step.kernel.iterations <= MAX_ITERATIONS);
        prop_assert!(matches!(lowered.values[step.output].origin, Origin::Step(o) if o == s));
        for (&v, &(_, wanted)) in step.inputs.iter().zip(&step.kernel.reads) {
            let value = &lowered.values[v];
            prop_assert!(!matches!(value.origin, Origin::Step(o) if o >= s), "step {} reads what comes later", s);
            match (wanted, value.form) {
                (Form::Buffer, Form::Buffer) => {}
                (Form::Image { pad }, Form::Image { .. }) => ask(v, pad),
                (wanted, form) => prop_assert!(false, "{} wants {:?}, gets {:?}", step.kernel.label(), wanted, form),
            }
        }
        match (step.kernel.writes, lowered.values[step.output].form) {
            (Form::Buffer, Form::Buffer) => {}
            (Form::Image { pad }, Form::Image { .. }) => ask(step.output, pad),
            (writes, form) => prop_assert!(false, "{} writes {:?} into {:?}", step.kernel.label(), writes, form),
        }
    }
    for value in &lowered.values {
        if let Origin::View { of, offset } = value.origin {
            let whole = &lowered.values[of];
            prop_assert!(
                value.form == Form::Buffer && whole.form == Form::Buffer,
                "a view of what does not lie row by row"
            );
            let root = !matches!(whole.origin, Origin::View { .. });
            prop_assert!(root && offset + value.shape.len() <= whole.shape.len());
            prop_assert!(
                (4 * offset as u64).is_multiple_of(caps.binding_offset.into()),
                "it cannot be bound at {}",
                offset
            );
            prop_assert_eq!(value.constant.is_some(), whole.constant.is_some());
        }
    }
    for (value, ring) in lowered.values.iter().zip(rings) {
        if let Form::Image { pad } = value.form {
            prop_assert_eq!(Some(pad), ring, "the ring is the widest that is asked for, and no wider");
            prop_assert!(Geometry::new(value.shape, pad, caps.image_side).fits(caps.image_side));
        }
    }
    Ok(())
}

/// No step is in vain, nothing is done twice, outputs are buffers, and what depends on weights alone is marked so.
fn lean(lowered: &Lowered) -> Result<(), TestCaseError> {
    let mut wanted = vec![false; lowered.values.len()];
    for &o in &lowered.outputs {
        prop_assert_eq!(lowered.values[o].form, Form::Buffer);
        wanted[lowered.place(o).0] = true;
    }
    for step in lowered.steps.iter().rev() {
        prop_assert!(wanted[step.output], "nothing reads {}", step.kernel.label());
        step.inputs.iter().for_each(|&i| wanted[lowered.place(i).0] = true);
        let inputs_constant = step.inputs.iter().all(|&i| lowered.values[i].constant.is_some());
        prop_assert_eq!(lowered.values[step.output].constant.is_some(), inputs_constant);
    }
    let joins = |s: &&lupe::engine::lower::Step| helps(&*s.op);
    let mut helpers: Vec<String> =
        lowered.steps.iter().filter(joins).map(|s| format!("{:?} {:?}", s.op, s.inputs)).collect();
    let all = helpers.len();
    helpers.sort();
    helpers.dedup();
    prop_assert_eq!(helpers.len(), all, "a value is converted or packed the same way once: {:?}", helpers);
    Ok(())
}

/// An op runs as often as it stands in what is alive of the graph, or less where it was fused.
fn once(lowered: &Lowered, nodes: &[Node], outputs: &[usize]) -> Result<(), TestCaseError> {
    let mut left = BTreeMap::new();
    for (node, _) in nodes.iter().zip(live(nodes, outputs)).filter(|n| n.1) {
        if let Source::Op(op) | Source::View { copy: Some(op), .. } = &node.source {
            *left.entry(kind(&**op)).or_insert(0) += 1;
        }
    }
    for step in lowered.steps.iter().filter(|s| !helps(&*s.op)) {
        let left = left.entry(kind(&*step.op)).or_insert(0);
        *left -= 1;
        prop_assert!(*left >= 0, "{} runs more often than the graph says", step.kernel.label());
    }
    Ok(())
}

fn kind(op: &dyn Op) -> String {
    let name = format!("{op:?}").split([' ', '(']).next().unwrap_or_default().to_string();
    // Its parts stand for the node.
    name.replace("ConvParts", "Conv2d").replace("MatmulParts", "Matmul")
}

/// Whether lowering put this op in.
fn helps(op: &dyn Op) -> bool {
    let name = format!("{op:?}");
    ["ToImage", "ToBuffer", "Pack", "PadChannels", "SumParts"].iter().any(|n| name.starts_with(n))
}

/// Values of all steps by the ops' references. An op means its unpacked inputs: packing is looked through.
fn compute(lowered: &Lowered, inputs: &[&Tensor]) -> Result<Vec<Tensor>, TestCaseError> {
    let mut values: Vec<Tensor> = vec![];
    for value in &lowered.values {
        let tensor = match &value.origin {
            Origin::Input(i) => inputs[*i].clone(),
            Origin::Weight(t) | Origin::State(t) => (**t).clone(),
            Origin::View { of, offset } => values[*of].view(*offset, value.shape),
            Origin::Step(s) | Origin::Updated { step: s, .. } => {
                let step = &lowered.steps[*s];
                let plain = |(i, &v): (usize, &usize)| {
                    let packed = step.kernel.packs.iter().find(|p| p.0 == i);
                    &values[packed.map_or(v, |p| unpacked(lowered, v, &*p.1))]
                };
                let x: Vec<&Tensor> = step.inputs.iter().enumerate().map(plain).collect();
                let shapes: Vec<Shape> = x.iter().map(|t| t.shape).collect();
                prop_assert_eq!(step.op.infer(&shapes), Ok(value.shape));
                step.op.reference(&x, value.shape)
            }
        };
        prop_assert_eq!(tensor.shape, value.shape);
        values.push(tensor);
    }
    Ok(values)
}

/// The value that `pack` packed into `v`, converts in between aside.
fn unpacked(lowered: &Lowered, v: usize, pack: &dyn Op) -> usize {
    let Origin::Step(s) = lowered.values[v].origin else { panic!("value {v} is not packed") };
    let step = &lowered.steps[s];
    if format!("{:?}", step.op) == format!("{pack:?}") {
        step.inputs[0]
    } else {
        assert!(format!("{:?}", step.op).starts_with("To"), "{:?} stands between {pack:?} and its kernel", step.op);
        unpacked(lowered, step.inputs[0], pack)
    }
}

/// Lowers a recipe's graph, holds it to everything above and to `eval`, and gives what it became.
fn hold(recipe: &Recipe) -> Result<Lowered, TestCaseError> {
    let graph = Graph::new();
    let (inputs, outputs) = recipe.build(&graph);
    let given: Vec<&Tensor> = inputs.iter().collect();
    let want = graph.eval(&outputs, &given).expect("recipes make no wrong shape");
    let ids: Vec<usize> = outputs.iter().map(Var::id).collect();
    let binding_offset = [4, 16, 256][recipe.pick % 3];
    let caps = Caps { binding_offset, ..caps::adapters()[recipe.adapter] };
    let pick = |op: &dyn Op, _: &[Shape], _: Shape, kernels: &[Kernel]| {
        (recipe.pick.wrapping_mul(format!("{op:?}").len())) % kernels.len()
    };
    let nodes = graph.nodes().expect("no error");
    let lowered = lower(nodes.clone(), &ids, &caps, &pick).expect("every op has a portable kernel");
    consistent(&lowered, &caps)?;
    lean(&lowered)?;
    once(&lowered, &nodes, &ids)?;
    let values = compute(&lowered, &given)?;
    let scale = values.iter().flat_map(|t| &t.data).fold(1.0f32, |m, v| m.max(v.abs()));
    for (&o, want) in lowered.outputs.iter().zip(&want) {
        prop_assert_eq!(values[o].shape, want.shape);
        for (got, want) in values[o].data.iter().zip(&want.data) {
            prop_assert!((got - want).abs() <= 1e-5 * scale, "{} after lowering, {} before", got, want);
        }
    }
    Ok(lowered)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn lowered_graphs_hold_together_and_keep_their_meaning(recipe in recipes()) {
        hold(&recipe)?;
    }
}

/// What happened to a graph: what random graphs must reach for the test above to mean something.
fn happened(lowered: &Lowered) -> Vec<&'static str> {
    let ops: Vec<String> = lowered.steps.iter().map(|s| format!("{:?}", s.op)).collect();
    let any = |words: &[&str]| ops.iter().any(|o| words.iter().all(|w| o.contains(w)));
    let ring = lowered.values.iter().any(|v| matches!(v.form, Form::Image { pad: 1.. }));
    let handed = lowered.steps.iter().any(|s| {
        let reads = s.inputs.iter().map(|&v| &lowered.values[v]);
        !helps(&*s.op) && reads.clone().any(|v| matches!(v.form, Form::Image { .. }) && v.constant.is_none())
    });
    let viewed = |is: &dyn Fn(&Value, usize) -> bool| {
        lowered.values.iter().any(|v| matches!(v.origin, Origin::View { offset, .. } if is(v, offset)))
    };
    let events = [
        (any(&["Conv2d", "bias: true, add: false, activation: Some(Relu)"]), "bias and ReLU fused into a convolution"),
        (any(&["Conv2d", "add: true, activation: Some(Relu)"]), "residual and ReLU fused into a convolution"),
        (any(&["Matmul", "bias: true"]), "bias fused into a product"),
        (any(&["Matmul", "add: true"]), "residual fused into a product"),
        (any(&["Relu"]), "a ReLU that stays"),
        (any(&["ToImage"]) && any(&["ToBuffer"]), "both converts"),
        (any(&["PackSoftware"]), "packed for images"),
        (any(&["PackGemm"]), "packed for shared memory"),
        (any(&["PadChannels"]), "channels padded"),
        (any(&["Pool"]), "a pool"),
        (any(&["Softmax"]), "a softmax"),
        (any(&["BatchNorm"]), "a batch norm"),
        (any(&["Concat"]), "a concat"),
        (ring, "a ring"),
        (handed, "an image handed on"),
        (any(&["Slice { axis: 0"]), "a slice that is copied"),
        (viewed(&|v, o| o > 0 && v.constant.is_none()), "a view behind the beginning"),
        (viewed(&|v, _| v.constant.is_some()), "a view of what is done once"),
        (
            viewed(&|v, _| {
                lowered.steps.iter().any(|s| {
                    s.inputs.iter().any(|&i| std::ptr::eq(v, &lowered.values[i]))
                        && format!("{:?}", s.op).contains("ToImage")
                })
            }),
            "a view made an image",
        ),
        (lowered.values.iter().any(|v| v.constant.is_some() && matches!(v.origin, Origin::Step(_))), "done once"),
    ];
    events.into_iter().filter(|e| e.0).map(|e| e.1).collect()
}

#[test]
fn random_graphs_reach_what_matters() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::new();
    for _ in 0..1000 {
        let recipe = recipes().new_tree(&mut runner).expect("a recipe").current();
        let lowered = hold(&recipe).unwrap_or_else(|e| panic!("{recipe:?}: {e}"));
        happened(&lowered).into_iter().for_each(|what| *seen.entry(what).or_insert(0) += 1);
    }
    assert!(seen.len() == 20 && seen.values().all(|&times| times >= 5), "{seen:#?}");
}

#[test]
fn epilogues_are_fused_and_dead_nodes_dropped() {
    for caps in caps::adapters() {
        let graph = Graph::new();
        let weight = |name: &str, sizes: &[usize]| graph.weight(name, Arc::new(Tensor::zeros(sizes)));
        let x = graph.input("x", [1, 4, 4, 4]);
        let (w, b) = (weight("c.weight", &[4, 4, 3, 3]), weight("c.bias", &[4]));
        let bare = x.conv2d(w, 1, 1);
        let (y, _dead) = ((bare + b + x).relu(), x.max_pool(2, 2, 0));
        let steps = |outputs: &[usize]| -> Vec<String> {
            let nodes = graph.nodes().expect("no error");
            let lowered = lower(nodes, outputs, &caps, &|_, _, _, _| 0).expect("a portable kernel");
            let own = lowered.steps.iter().filter(|s| !helps(&*s.op));
            own.map(|s| format!("{:?}", s.op)).collect()
        };
        let one = steps(&[y.id()]);
        assert!(matches!(&one[..], [op] if op.contains("bias: true, add: true, activation: Some(Relu)")), "{one:?}");
        // A value that is wanted itself is not swallowed.
        let both = steps(&[bare.id(), y.id()]);
        assert!(both.len() == 4 && both[0].contains("bias: false"), "{both:?}");
    }
}

/// However wide a ring is, an image gets it only where it has room; packed weights need none.
#[test]
fn a_wide_ring_is_no_wider_than_an_image_can_be() {
    let software = caps::adapters().into_iter().find(|c| c.subgroup == Some(8)).expect("a driver on the processor");
    let caps = Caps { image_side: 1024, ..software };
    // There is room for both; the second writes 1020 rows, with too little left, so a buffer; it reads 1018 + 2 * 4; the first 1020 + 2 * 3.
    for (height, images) in [(1008, 2), (1016, 2), (1018, 1), (1020, 0)] {
        let graph = Graph::new();
        let weight = |name: &str, sizes: &[usize]| graph.weight(name, Arc::new(Tensor::zeros(sizes)));
        let x = graph.input("x", [1, height, 4, 4]).conv2d(weight("a.weight", &[4, 4, 3, 3]), 1, 1);
        let y = x.conv2d(weight("b.weight", &[4, 4, 5, 5]), 1, 4).slice(1, 0, 8);
        let nodes = graph.nodes().expect("no error");
        let lowered = lower(nodes, &[y.id()], &caps, &|_, _, _, _| 0).expect("a portable kernel");
        consistent(&lowered, &caps).expect("images fit");
        let image = |s: &&lupe::engine::lower::Step| s.kernel.label().starts_with("conv_software");
        assert_eq!(lowered.steps.iter().filter(image).count(), images, "height {height}");
    }
}
