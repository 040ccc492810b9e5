//! Trainings: steps that learn, states that several plans share, checkpoints, interrupts and numbers that are none.

use crate::common;
use crate::common::two_layers::{ADAM, Stop, network, rows, saving, step, weights};
use lupe::engine::{Gpu, Graph, Named, Options, Parameters, Plan, Scope, Store, Var, gradients};
use lupe::tensor::Tensor;
use lupe::train::{Checkpoint, Job, Learning, Rate, Rule, Saving, Trainer};
use lupe::watch::{Unwatched, Watch};
use lupe::{Error, Result};
use pollster::block_on;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::AtomicUsize;

/// A training from its beginning or a checkpoint; its losses and weights.
fn train(
    gpu: &Gpu,
    steps: u64,
    (saving, resume): (Option<Saving<'_>>, bool),
    watch: &dyn Watch,
) -> Result<(Tensor, Named)> {
    let (named, graph, store) = (weights(), Graph::new(), Store::new());
    let parameters = Parameters::new(&named, ADAM.rule.slots(), |_| true);
    let loss = step(&graph, &named, &parameters, &ADAM);
    let losses = [("loss", loss)];
    let planned = Trainer::new(gpu, (&graph, &losses), (&store, &parameters), ADAM, Options::default());
    let mut trainer = block_on(planned)?;
    if let Some(path) = saving.as_ref().map(|s| s.path).filter(|_| resume) {
        trainer.resume(&Checkpoint::read(path)?, path)?;
    }
    let job =
        Job { steps, inputs: &mut |step| Ok(rows(step)), heard: &mut |_, _| Ok(()), watch: (watch, "steps"), saving };
    trainer.run(job)?;
    Ok((trainer.losses(), parameters.weights(gpu, &store)?))
}

#[test]
fn it_learns_and_twice_the_same() {
    if common::skip::without_device("training") {
        return;
    }
    let gpu = common::sweep::gpu();
    let (losses, weights) = train(gpu, 300, (None, false), &Unwatched).unwrap();
    let mean = |range: std::ops::Range<usize>| losses.data[range.clone()].iter().sum::<f32>() / range.len() as f32;
    assert!(mean(290..300) < 0.1 * mean(0..10), "{} after {}", mean(290..300), mean(0..10));
    let again = train(gpu, 300, (None, false), &Unwatched).unwrap();
    assert!(again.0 == losses && again.1 == weights, "two trainings differ");
}

#[test]
fn a_step_is_what_the_references_say() {
    if common::skip::without_device("training") {
        return;
    }
    let gpu = common::sweep::gpu();
    let (_, found) = train(gpu, 1, (None, false), &Unwatched).unwrap();
    // The gradient by the references, and a first step of Adam in f64.
    let (named, graph) = (weights(), Graph::new());
    let (x, t) = (graph.input("x", [32, 8]), graph.input("t", [32, 4]));
    let parameters = Parameters::new(&named, 2, |_| true);
    let y = network(x, &Scope::new(&graph, &named).training(&parameters));
    let loss = (y - t).square().reshape([1, 128]).mean();
    let trained = graph.trained();
    let by = gradients(loss, &trained.iter().map(|t| t.value).collect::<Vec<_>>());
    let rows = rows(0);
    let by = graph.eval(&by, &rows.iter().collect::<Vec<_>>()).unwrap();
    for (t, by) in trained.iter().zip(by) {
        for ((was, g), now) in named[&t.name].data.iter().zip(&by.data).zip(&found[&t.name].data) {
            let want = f64::from(*was) - 0.01 * f64::from(*g) / (f64::from(*g).abs() + 1e-8);
            assert!((want - f64::from(*now)).abs() < 1e-5, "{}: {now} instead of {want} by {g}", t.name);
        }
    }
}

#[test]
fn interrupted_and_resumed_it_gives_the_same_bits() {
    if common::skip::without_device("training") {
        return;
    }
    let (gpu, folder) = (common::sweep::gpu(), tempfile::tempdir().unwrap());
    let path = folder.path().join("x.training");
    let whole = train(gpu, 40, (None, false), &Unwatched).unwrap();
    let mut resume = false;
    for stop in [9, 1, 14, 30] {
        let end = train(gpu, 40, (Some(saving(&path, 7)), resume), &Stop(AtomicUsize::new(stop)));
        assert!(matches!(end, Err(Error::Interrupted(_))), "stopped after {stop}");
        resume = true;
    }
    let step = Checkpoint::read(&path).unwrap().step;
    assert!((1..40).contains(&step), "step {step}");
    let resumed = train(gpu, 40, (Some(saving(&path, 7)), true), &Unwatched).unwrap();
    assert!(resumed.0 == whole.0 && resumed.1 == whole.1, "a resumed training differs");
}

#[test]
fn a_loss_that_is_no_number_ends_it_with_the_last_checkpoint_named() {
    if common::skip::without_device("training") {
        return;
    }
    let (gpu, folder) = (common::sweep::gpu(), tempfile::tempdir().unwrap());
    let path = folder.path().join("x.training");
    let (named, graph, store) = (weights(), Graph::new(), Store::new());
    let parameters = Parameters::new(&named, ADAM.rule.slots(), |_| true);
    let loss = step(&graph, &named, &parameters, &ADAM);
    let losses = [("loss", loss)];
    let planned = Trainer::new(gpu, (&graph, &losses), (&store, &parameters), ADAM, Options::default());
    let mut trainer = block_on(planned).unwrap();
    let mut inputs = |step: u64| {
        let mut rows = rows(step);
        rows[0].data[5] = if step == 12 { f32::NAN } else { rows[0].data[5] };
        Ok(rows)
    };
    let saving = Some(saving(&path, 5));
    let job = Job { steps: 20, inputs: &mut inputs, heard: &mut |_, _| Ok(()), watch: (&Unwatched, "steps"), saving };
    let text = trainer.run(job).unwrap_err().to_string();
    for part in ["step 12", "the loss loss is NaN", "the checkpoint of step 10 is", "x.training"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(Checkpoint::read(&path).unwrap().step, 10);
}

#[test]
fn several_plans_see_one_state() {
    if common::skip::without_device("training") {
        return;
    }
    let (gpu, named, store) = (common::sweep::gpu(), weights(), Store::new());
    let parameters = Parameters::new(&named, ADAM.rule.slots(), |name| name.starts_with("b."));
    let (graph, other) = (Graph::new(), Graph::new());
    let loss = step(&graph, &named, &parameters, &ADAM);
    let y = network(other.input("x", [32, 8]), &Scope::new(&other, &named).training(&parameters));
    let losses = [("loss", loss)];
    let training = Trainer::new(gpu, (&graph, &losses), (&store, &parameters), ADAM, Options::default());
    let mut trainer = block_on(training).unwrap();
    let looking = block_on(Plan::new(gpu, &other, &[y], &store, Options::default())).unwrap();
    let look = || block_on(looking.run(&[&rows(0)[0]])).unwrap().remove(0);
    let before = look();
    let job = Job {
        steps: 3,
        inputs: &mut |s| Ok(rows(s)),
        heard: &mut |_, _| Ok(()),
        watch: (&Unwatched, "steps"),
        saving: None,
    };
    trainer.run(job).unwrap();
    let after = look();
    assert_ne!(before, after, "the other plan sees what the training changed");
    // The layer that is not trained is as it was, and the other as the store has it.
    let mut now = named.clone();
    now.extend(parameters.weights(gpu, &store).unwrap());
    assert_eq!(now.keys().filter(|k| now[*k] != named[*k]).collect::<Vec<_>>(), ["b.bias", "b.weight"]);
    let fresh = Graph::new();
    let y = network(fresh.input("x", [32, 8]), &Scope::new(&fresh, &now));
    let want = fresh.eval(&[y], &[&rows(0)[0]]).unwrap().remove(0);
    let largest = want.data.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(after.data.iter().zip(&want.data).all(|(a, b)| (a - b).abs() < 1e-5 * largest));
}

#[test]
fn a_state_that_is_read_after_it_was_replaced_is_refused() {
    let (named, graph) = (weights(), Graph::new());
    let parameters = Parameters::new(&named, 2, |_| true);
    let loss = step(&graph, &named, &parameters, &ADAM);
    let late = graph.trained()[0].value.square();
    let caps = lupe::engine::form::typical().remove(0).1;
    let lowered = |outputs: &[Var<'_>]| {
        let ids: Vec<usize> = outputs.iter().map(Var::id).collect();
        lupe::engine::lower::lower(graph.nodes().unwrap(), &ids, &caps, &|_, _, _, _| 0).map(|_| ())
    };
    lowered(&[loss]).unwrap();
    let text = lowered(&[loss, late]).unwrap_err().to_string();
    assert!(text.contains("a state that was replaced before"), "{text}");
}

#[test]
fn gradients_are_clipped_by_their_norm() {
    if common::skip::without_device("training") {
        return;
    }
    let gpu = common::sweep::gpu();
    let sgd = |clip| Learning { rule: Rule::Sgd { momentum: 0.0, decay: 0.0 }, rate: Rate::Constant(1.0), clip };
    let moved = |clip: Option<f32>| {
        let (named, graph, store) = (weights(), Graph::new(), Store::new());
        let parameters = Parameters::new(&named, 1, |_| true);
        let loss = step(&graph, &named, &parameters, &sgd(clip));
        let losses = [("loss", loss)];
        let planned = Trainer::new(gpu, (&graph, &losses), (&store, &parameters), sgd(clip), Options::default());
        let mut trainer = block_on(planned).unwrap();
        let job = Job {
            steps: 1,
            inputs: &mut |s| Ok(rows(s)),
            heard: &mut |_, _| Ok(()),
            watch: (&Unwatched, "steps"),
            saving: None,
        };
        trainer.run(job).unwrap();
        let now = parameters.weights(gpu, &store).unwrap();
        let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
        now.iter().map(|(k, t)| t.data.iter().zip(&named[k].data).map(square).sum::<f64>()).sum::<f64>().sqrt()
    };
    let whole = moved(None);
    assert!((moved(Some(0.01)) - 0.01).abs() < 1e-5 && whole > 0.1, "{whole}");
    assert!((moved(Some(1e6)) - whole).abs() < 1e-5 * whole, "gradients below the bound are left alone");
}

#[test]
fn other_choices_do_not_go_on_from_a_checkpoint() {
    let made = Checkpoint {
        step: 3,
        choices: json!({"steps": 10}).as_object().unwrap().clone(),
        losses: Tensor::zeros([3, 1]),
        device: String::new(),
        states: [].into(),
        kept: [].into(),
    };
    let text = made.suits(json!({"steps": 12}).as_object().unwrap(), Path::new("part.training")).unwrap_err();
    assert!(text.to_string().contains("steps is 10 there, 12 here"), "{text}");
}
