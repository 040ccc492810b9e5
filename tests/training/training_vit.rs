//! Gradients of whole vision transformers against PyTorch's tensors in f64, by the references and on the device.

use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use crate::common::vectors::{Vectors, close, nchw, nhwc};
use crate::common::vit::TINY;
use lupe::engine::{Graph, Options, Parameters, Plan, Scope, Store, Trained, Var, gradients};
use lupe::models::Positions;
use lupe::models::vit::{Head, Vit};
use lupe::tensor::Tensor;
use std::sync::Arc;

/// Loss and gradients of a graph of these tensors against `want`: gradients to 1e-4 of their largest.
fn hold(graph: &Graph, outputs: &[Var<'_>], given: &[&Tensor], want: &[(String, Tensor)]) {
    let each = |where_: &str, got: Vec<Tensor>| {
        for (got, (name, want)) in got.iter().zip(want) {
            let tolerance = if name == "loss" { 2e-5 } else { 1e-4 };
            close(&format!("{name}, {where_}"), &got.data, &want.data, tolerance);
        }
    };
    assert_eq!(outputs.len(), want.len());
    each("reference", graph.eval(outputs, given).unwrap());
    if without_device("a vision transformer's gradients on a device") {
        return;
    }
    let plan = pollster::block_on(Plan::new(gpu(), graph, outputs, &Store::new(), Options::default())).unwrap();
    each("device", pollster::block_on(plan.run(given)).unwrap());
}

#[test]
fn every_parameter_of_a_tiny_one_and_its_pictures() {
    let file = Vectors::open("vit_tiny.safetensors");
    let named = file.named("w:");
    let all = Parameters::new(&named, 0, |_| true);
    let (x, labels) = (nhwc(&file.get("x")), file.get("labels"));
    let graph = Graph::new();
    let (pictures, wanted) = (graph.input("x", x.shape), graph.input("labels", labels.shape));
    let places = TINY.places(pictures, &Scope::new(&graph, &named).training(&all), Positions::Offset);
    let loss = places.find("logits").unwrap().cross_entropy(wanted).mean();
    let trained = graph.trained();
    assert_eq!(trained.len(), named.len());
    let by: Vec<Var> = [pictures].into_iter().chain(trained.iter().map(|t| t.value)).collect();
    let gradients = gradients(loss, &by);
    // Pictures lie otherwise here than in the file, weights as they do there.
    let of_pictures = gradients[0].permute(&[0, 3, 1, 2]);
    let outputs: Vec<Var> = [loss, of_pictures].into_iter().chain(gradients[1..].iter().copied()).collect();
    let names = ["x".to_string()].into_iter().chain(trained.iter().map(|t| t.name.clone()));
    let grads = names.map(|name| (name.clone(), file.get(&format!("grad:{name}"))));
    let want: Vec<_> = [("loss".to_string(), file.get("loss"))].into_iter().chain(grads).collect();
    assert_eq!(nchw(&x).shape, want[1].1.shape);
    hold(&graph, &outputs, &[&x, &labels], &want);
}

/// The first step of P>M>F's fine-tuning: cosines of augmented pictures with prototypes of plain ones, gradients through both.
#[test]
fn a_step_of_fine_tuning() {
    let file = Vectors::open("pmf_step.safetensors");
    let named = file.named("w:backbone.");
    let all = Parameters::new(&named, 0, |_| true);
    let [support, augmented] = ["support", "z1"].map(|name| nhwc(&file.get(name)));
    let labels = file.get("labels");
    let graph = Graph::new();
    let scope = Scope::new(&graph, &named).training(&all);
    let [s, z] = [("support", &support), ("augmented", &augmented)].map(|(name, x)| {
        let places = Vit { head: Head::None, ..TINY }.places(graph.input(name, x.shape), &scope, Positions::Offset);
        places.find("cls").unwrap()
    });
    // Means of the features of each class, as a product.
    let means = Tensor::from_fn([2, labels.data.len()], |i| {
        let (class, label) = ((i / labels.data.len()) as f32, labels.data[i % labels.data.len()]);
        let count = labels.data.iter().filter(|l| **l == class).count() as f32;
        if label == class { 1.0 / count } else { 0.0 }
    });
    let prototypes = graph.weight("means", Arc::new(means)).matmul(s).normalised();
    let logits = z.normalised().matmul_t(prototypes).affine(10.0, 0.0);
    let loss = logits.cross_entropy(graph.input("labels", labels.shape)).mean();
    let trained: Vec<Trained> = graph.trained();
    assert_eq!(trained.len(), named.len());
    let by: Vec<Var> = trained.iter().map(|t| t.value).collect();
    let outputs: Vec<Var> = [logits, loss].into_iter().chain(gradients(loss, &by)).collect();
    let known = ["logits", "loss"].map(|name| (name.to_string(), file.get(&format!("step1.{name}"))));
    let grads = trained.iter().map(|t| (t.name.clone(), file.get(&format!("step1.grad:{}", t.name))));
    let want: Vec<_> = known.into_iter().chain(grads).collect();
    hold(&graph, &outputs, &[&support, &augmented, &labels], &want);
}
