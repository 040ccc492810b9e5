//! Runs of a plan: two on their way at a time, every bit of inputs and outputs kept, weights told apart in a store.

use crate::common::program::no_gpu;
use crate::common::sweep::gpu;
use lupe::engine::{Graph, Options, Plan, Store, Var};
use lupe::error::Error;
use lupe::ops::blur::Border;
use lupe::tensor::Tensor;
use std::sync::Arc;

fn noise(shape: [usize; 4], seed: usize) -> Tensor {
    Tensor::from_fn(shape, |i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.0 - 1.0)
}

fn planned<'g>(graph: &Graph, outputs: &[Var<'_>], store: &Store) -> Result<Plan<'g>, Error> {
    pollster::block_on(Plan::new(gpu(), graph, outputs, store, Options::default()))
}

/// Two convolutions and a pool, with an output of each.
fn network<'g>() -> Plan<'g> {
    let graph = Graph::new();
    let weight = |name: &str, seed| graph.weight(name, noise([8, 8, 3, 3], seed).into());
    let first = graph.input("x", [2, 20, 20, 8]).conv2d(weight("first.weight", 1), 1, 1).relu();
    let second = first.conv2d(weight("second.weight", 2), 2, 1);
    planned(&graph, &[first, second, second.global_pool()], &Store::new()).expect("a plan")
}

fn bits(outputs: &[Tensor]) -> Vec<Vec<u32>> {
    outputs.iter().map(|t| t.data.iter().map(|v| v.to_bits()).collect()).collect()
}

#[test]
fn two_runs_on_their_way_give_what_each_gives_alone() {
    if no_gpu() {
        return;
    }
    let plan = network();
    let x = [3, 4].map(|seed| noise([2, 20, 20, 8], seed));
    let alone = x.each_ref().map(|x| bits(&pollster::block_on(plan.run(&[x])).expect("a run")));
    assert!(alone[0].len() == 3 && alone[0] != alone[1]);
    for order in [[0, 1], [1, 0]] {
        for _ in 0..4 {
            let mut runs = x.each_ref().map(|x| Some(plan.submit(&[x]).expect("a run on its way")));
            for i in order {
                let outputs = plan.collect(runs[i].take().expect("not collected yet")).expect("outputs");
                assert!(bits(&outputs) == alone[i], "run {i} collected in order {order:?}");
            }
        }
    }
    // One ahead of the other, as a stream of pictures goes.
    let mut ahead = plan.submit(&[&x[0]]).expect("a run on its way");
    for i in 1..6 {
        let next = plan.submit(&[&x[i % 2]]).expect("a second one");
        let outputs = plan.collect(std::mem::replace(&mut ahead, next)).expect("outputs");
        assert!(bits(&outputs) == alone[(i - 1) % 2], "run {i}");
    }
}

#[test]
fn a_third_run_is_refused_and_a_dropped_one_makes_room() {
    if no_gpu() {
        return;
    }
    let plan = network();
    let x = [5, 6, 7].map(|seed| noise([2, 20, 20, 8], seed));
    let alone = x.each_ref().map(|x| bits(&pollster::block_on(plan.run(&[x])).expect("a run")));
    let (first, second) = (plan.submit(&[&x[0]]).expect("one"), plan.submit(&[&x[1]]).expect("two"));
    let refused = [plan.submit(&[&x[2]]).map(drop), pollster::block_on(plan.run(&[&x[2]])).map(drop)];
    for error in refused {
        assert!(error.expect_err("two are on their way").to_string().contains("2 runs of this plan are on their way"));
    }
    drop(second);
    let third = plan.submit(&[&x[2]]).expect("there is room again");
    assert!(bits(&plan.collect(third).expect("outputs")) == alone[2]);
    assert!(bits(&plan.collect(first).expect("outputs")) == alone[0], "what came after it changed nothing");
}

#[test]
fn a_wrong_input_leaves_a_run_on_its_way_alone() {
    if no_gpu() {
        return;
    }
    let (plan, other) = (network(), network());
    let x = noise([2, 20, 20, 8], 8);
    let alone = bits(&pollster::block_on(plan.run(&[&x])).expect("a run"));
    let run = plan.submit(&[&x]).expect("a run on its way");
    for wrong in [vec![], vec![&x, &x]] {
        assert!(plan.submit(&wrong).expect_err("a wrong number").to_string().contains("1 expected"));
    }
    let small = noise([1, 20, 20, 8], 8);
    assert!(matches!(plan.submit(&[&small]), Err(Error::Shape(text)) if text.contains("x: [1,20,20,8] given")));
    let foreign = other.submit(&[&x]).expect("a run of another plan");
    assert!(plan.collect(foreign).expect_err("it is of another plan").to_string().contains("another plan"));
    assert!(bits(&plan.collect(run).expect("outputs")) == alone);
    let both = [plan.submit(&[&x]).expect("one"), plan.submit(&[&x]).expect("two")];
    assert!(
        both.into_iter().all(|run| bits(&plan.collect(run).expect("outputs")) == alone),
        "both sets are free again"
    );
}

#[test]
fn every_bit_of_an_input_arrives() {
    if no_gpu() {
        return;
    }
    // Signalling and quiet NaN of both signs, infinities, zeros, subnormals, then patterns of all kinds.
    let special =
        [0x7f80_0001, 0xff80_0001, 0x7fbf_ffff, 0xffa5_5a5a, 0x7fc0_0000, 0xffff_ffff, 0x7f80_0000, 0xff80_0000];
    let few = [0x8000_0000, 0, 1, 0x807f_ffff, 0x0080_0000];
    let patterns = (0..4096u32).map(|i| i.wrapping_mul(0x9E37_79B9));
    let words: Vec<u32> = special.into_iter().chain(few).chain(patterns).collect();
    let x = Tensor::new([words.len()], bytemuck::cast_slice(&words).to_vec());
    let graph = Graph::new();
    let input = graph.input("x", x.shape);
    let plan = planned(&graph, &[input, input.relu()], &Store::new()).expect("a plan");
    let outputs = pollster::block_on(plan.run(&[&x])).expect("a run");
    assert!(bits(&outputs[..1])[0] == words);
}

/// A product with a weight of that name, by a store; its plan and its output for `x`.
fn product(name: &str, weight: &Arc<Tensor>, x: &Tensor, store: &Store) -> Tensor {
    let graph = Graph::new();
    let y = graph.input("x", x.shape).matmul(graph.weight(name, weight.clone()));
    let plan = planned(&graph, &[y], store).expect("a plan");
    let found = pollster::block_on(plan.run(&[x])).expect("a run").remove(0);
    let expected = graph.eval(&[y], &[x]).expect("no wrong shape").remove(0);
    assert!(found.data.iter().zip(&expected.data).all(|(f, e)| (f - e).abs() < 1e-4), "{name}");
    found
}

#[test]
fn a_store_tells_weights_apart_by_themselves() {
    if no_gpu() {
        return;
    }
    let weight = |seed| Arc::new(noise([1, 1, 24, 20], seed).reshape([24, 20]));
    let (teacher, student, x) = (weight(1), weight(2), noise([1, 1, 3, 24], 3).reshape([3, 24]));
    let store = Store::new();
    let first = product("net.weight", &teacher, &x, &store);
    let bytes = store.bytes();
    assert!(bytes > 0);
    let second = product("net.weight", &student, &x, &store);
    assert!(first != second && store.bytes() == 2 * bytes, "two weights of one name");
    assert_eq!(product("another.weight", &teacher, &x, &store), first);
    assert_eq!(product("net.weight", &student, &x, &store), second);
    assert_eq!(store.bytes(), 2 * bytes, "a tensor is stored once, whatever it is called");
    // The address of a tensor that is gone may be another one's by now.
    for seed in 4..40 {
        let mut kept = product("net.weight", &weight(seed), &x, &store);
        kept.data.truncate(1);
    }
    assert_eq!(store.bytes(), 38 * bytes);
}

#[test]
fn what_an_op_brings_along_is_stored_once() {
    if no_gpu() {
        return;
    }
    let store = Store::new();
    let bytes: Vec<u64> = (0..3)
        .map(|i| {
            let graph = Graph::new();
            let picture = graph.input("x", [1, 9, 9, 4]);
            let blurred = picture.gaussian_blur(1.0, Border::Reflect).gaussian_blur(1.5, Border::Reflect);
            planned(&graph, &[blurred], &store).unwrap_or_else(|e| panic!("{i}: {e}"));
            store.bytes()
        })
        .collect();
    assert!(bytes[0] > 0 && bytes.iter().all(|b| *b == bytes[0]), "{bytes:?}");
}

#[test]
fn one_name_for_two_weights_of_a_graph_is_told() {
    if no_gpu() {
        return;
    }
    let told = |other: Tensor| {
        let graph = Graph::new();
        let ones = graph.weight("net.scale", Tensor::new([3], vec![1.0; 3]).into());
        let y = graph.input("x", [2, 3]) * ones;
        let _unused = graph.weight("net.scale", Tensor::new([1], vec![5.0]).into());
        let plan = planned(&graph, &[y + graph.weight("net.scale", other.into())], &Store::new());
        plan.map(drop).map_err(|e| e.to_string())
    };
    let error = told(Tensor::new([3], vec![1.0, 1.0, 2.5])).expect_err("other values");
    assert!(error.contains("net.scale: both have shape [3], element 2 is 1 and 2.5"), "{error}");
    let error = told(Tensor::new([1], vec![1.0])).expect_err("another shape");
    assert!(error.contains("net.scale: one has shape [3], the other [1]"), "{error}");
    told(Tensor::new([3], vec![1.0; 3])).expect("the same values");
}
