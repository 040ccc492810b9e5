//! A step of EfficientAD's training against PyTorch's: losses, every gradient, weights after one and two steps of Adam; toy networks and full width.

use crate::common::scene::{Scene, mask, numbers, toy_scene};
use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use crate::common::vectors::{Vectors, close};
use lupe::engine::{Graph, Options, Parameters, Plan, Scope, Store, Var, gradients};
use lupe::methods::efficientad::step::HARD;
use lupe::methods::efficientad::train::learning;
use lupe::methods::efficientad::{Networks, Statistics};
use lupe::models::pdn::Size;
use lupe::tensor::Tensor;
use lupe::train::{Job, Trainer, learn};
use lupe::watch::Unwatched;
use pollster::block_on;

type Drop = for<'g> fn(usize, Var<'g>) -> Var<'g>;

fn kept<'g>(_: usize, y: Var<'g>) -> Var<'g> {
    y
}

fn masked<'g>(i: usize, y: Var<'g>) -> Var<'g> {
    y * mask(i, y)
}

/// What is trained of a scene.
fn parameters(scene: &Scene, slots: usize) -> Parameters {
    Parameters::new(&scene.named, slots, |name| !name.starts_with("teacher."))
}

/// The total loss of a scene's graph, and all of its losses by name.
fn losses<'g>(
    graph: &'g Graph,
    scene: &Scene,
    trained: &Parameters,
    drop: Drop,
) -> (Var<'g>, Vec<(&'static str, Var<'g>)>) {
    let (p, x) = (Scope::new(graph, &scene.named).training(trained), graph.input("pictures", scene.pictures.shape));
    let hard = |apart: Var<'g>| apart.hard_mean(apart.quantile(HARD));
    let taught = scene.step.taught(x, &p);
    let losses = scene.step.losses((x, taught), &p, &|i, y| drop(i, y), &hard);
    (losses.total, losses.named())
}

/// Total loss and gradients of a scene, by the names of the weights.
fn gradients_of(scene: &Scene, drop: Drop, on_device: bool) -> (f32, Vec<(String, Tensor)>) {
    let (graph, trained) = (Graph::new(), parameters(scene, 0));
    let (total, _) = losses(&graph, scene, &trained, drop);
    let weights = graph.trained();
    let by = gradients(total, &weights.iter().map(|t| t.value).collect::<Vec<_>>());
    let outputs: Vec<Var> = [total].into_iter().chain(by).collect();
    let mut got = match on_device {
        false => graph.eval(&outputs, &[&scene.pictures]).unwrap(),
        true => {
            let plan = block_on(Plan::new(gpu(), &graph, &outputs, &Store::new(), Options::default())).unwrap();
            block_on(plan.run(&[&scene.pictures])).unwrap()
        }
    };
    let loss = got.remove(0).data[0];
    (loss, weights.into_iter().map(|t| t.name).zip(got).collect())
}

fn check_toy(on_device: bool) {
    let v = Vectors::open("ad/efficientad_toy_step.safetensors");
    let (loss, by) = gradients_of(&toy_scene(&v), kept, on_device);
    close("total", &[loss], &v.get("step1.loss_total").data, 1e-4);
    assert_eq!(by.len(), 8 + 28);
    for (name, got) in &by {
        close(name, &got.data, &v.get(&format!("grad.{name}")).data, 1e-4);
    }
    let (loss, by) = gradients_of(&toy_scene(&v), masked, on_device);
    close("total with dropout", &[loss], &v.get("dropout.loss_total").data, 1e-4);
    for (name, got) in by.iter().filter(|(name, _)| ["ae.deconv3.weight", "ae.enconv1.weight"].contains(&name.as_str()))
    {
        close(&format!("{name} with dropout"), &got.data, &v.get(&format!("dropout.grad.{name}")).data, 1e-4);
    }
}

#[test]
fn toy_gradients_by_the_references() {
    check_toy(false);
}

#[test]
fn toy_gradients_on_the_device() {
    if without_device("the gradients of a toy step") {
        return;
    }
    check_toy(true);
}

/// Where a gradient is not tiny beside the largest of its tensor, a step of Adam is defined to many digits; elsewhere it is some part of the
/// learning rate, whichever sign rounding gives the gradient.
#[test]
fn toy_weights_after_one_and_two_steps() {
    if without_device("the weights after steps") {
        return;
    }
    let v = Vectors::open("ad/efficientad_toy_step.safetensors");
    let scene = toy_scene(&v);
    let learning = learning(70_000);
    let (graph, store, trained) = (Graph::new(), Store::new(), parameters(&scene, learning.rule.slots()));
    let (total, named) = losses(&graph, &scene, &trained, kept);
    learn(total, &learning);
    let ground = (&store, &trained);
    let mut trainer = block_on(Trainer::new(gpu(), (&graph, &named), ground, learning, Options::default())).unwrap();
    for steps in [1, 2] {
        let mut inputs = |_| Ok(vec![scene.pictures.clone()]);
        let watch = (&Unwatched as &dyn lupe::watch::Watch, "steps");
        trainer.run(Job { steps, inputs: &mut inputs, heard: &mut |_, _| Ok(()), watch, saving: None }).unwrap();
        let now = trained.weights(gpu(), &store).unwrap();
        let (mut sure, mut all) = (0, 0);
        for (name, got) in &now {
            let (by, want) = (v.get(&format!("grad.{name}")), v.get(&format!("after{steps}.{name}")));
            let largest = by.data.iter().fold(0f32, |m, g| m.max(g.abs()));
            for ((got, want), g) in got.data.iter().zip(&want.data).zip(&by.data) {
                let certain = g.abs() > 1e-3 * largest;
                let bound = if certain { 1e-5 } else { 2e-4 * steps as f32 };
                assert!((got - want).abs() <= bound, "{name} after {steps}: {got} instead of {want}, gradient {g}");
                sure += usize::from(certain);
                all += 1;
            }
        }
        println!("after {steps}: {sure} of {all} weights are held to 1e-5");
        assert!(10 * sure > 7 * all, "{sure} of {all}");
    }
}

/// The optimiser alone, on gradients that PyTorch recorded.
#[test]
fn adam_on_recorded_gradients() {
    let v = Vectors::open("ad/efficientad_toy_step.safetensors");
    let scene = toy_scene(&v);
    let numbers = learning(70_000).numbers(0);
    let mut seen = 0;
    for (name, began) in scene.named.iter().filter(|(name, _)| !name.starts_with("teacher.")) {
        let (graph, n) = (Graph::new(), began.shape.len());
        let state = Tensor::new([3, n], began.data.iter().copied().chain(vec![0.0; 2 * n]).collect());
        let gradient = v.get(&format!("grad.{name}"));
        let vars = [graph.input("state", [3, n]), graph.input("gradient", gradient.shape), graph.input("numbers", [8])];
        let after = vars[0].adam(vars[1], vars[2], false);
        let got = graph.eval(&[after], &[&state, &gradient, &numbers]).unwrap().remove(0);
        close(name, &got.data[..n], &v.get(&format!("after1.{name}")).data, 1e-6);
        seen += 1;
    }
    assert_eq!(seen, 36);
}

#[test]
fn gradients_at_full_width() {
    if without_device("the gradients of a step at full width") {
        return;
    }
    let v = Vectors::open("ad/efficientad_full_step.safetensors");
    let statistics = Statistics { mean: numbers(&v, "teacher_mean"), std: numbers(&v, "teacher_std") };
    let scene = Scene::new("full", Networks::of(Size::Small, 1, false), statistics);
    let (loss, by) = gradients_of(&scene, kept, true);
    close("total", &[loss], &v.get("loss_total").data, 1e-4);
    for (name, got) in &by {
        let norm = got.data.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32;
        close(&format!("norm of {name}"), &[norm], &v.get(&format!("gradnorm.{name}")).data, 1e-4);
        let head = v.get(&format!("gradhead.{name}"));
        let largest = got.data.iter().fold(0f32, |m, g| m.max(g.abs()));
        let off = got.data.iter().zip(&head.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= 1e-4 * largest, "{name}: off by {off} of {largest}");
    }
}
