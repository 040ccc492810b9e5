//! What the kinds of nodes are taken from: the networks and methods as they are, and a few ops that none of them has on its way yet.

use lupe::engine::{Graph, Scope, Var};
use lupe::methods::patchcore::{Config, Preset};
use lupe::models::stand_in;
use lupe::models::{self, Network};
use lupe::ops::Pad;
use lupe::ops::conv::Window;
use lupe::ops::coreset::{k_center_round, lowered};
use lupe::ops::knn::Metric;
use lupe::random;
use lupe::tensor::{Shape, Tensor};
use lupe::weights::Weights;
use std::sync::Arc;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Smaller banks, and no wide network.
    pub quick: bool,
    /// Pictures of the further run of resnet18.
    pub batch: Option<usize>,
}

/// A graph to be built, and what it is run on.
pub struct Subject {
    pub weights: Weights,
    pub inputs: Vec<Tensor>,
    pub build: Box<Build>,
}

/// Builds a graph with the inputs that its subject has and gives back the outputs.
pub type Build = dyn for<'g, 'w> Fn(&'g Graph, &Scope<'g, 'w>) -> Vec<Var<'g>>;

impl Subject {
    fn new(
        weights: Weights,
        inputs: Vec<Tensor>,
        build: impl for<'g, 'w> Fn(&'g Graph, &Scope<'g, 'w>) -> Vec<Var<'g>> + 'static,
    ) -> Subject {
        Subject { weights, inputs, build: Box::new(build) }
    }

    /// Without named weights.
    fn plain(
        inputs: Vec<Tensor>,
        build: impl for<'g, 'w> Fn(&'g Graph, &Scope<'g, 'w>) -> Vec<Var<'g>> + 'static,
    ) -> Subject {
        Subject::new(Weights::from_tensors([]), inputs, build)
    }

    /// Its outputs in `graph`.
    pub fn outputs<'g>(&self, graph: &'g Graph) -> Vec<Var<'g>> {
        (self.build)(graph, &Scope::new(graph, self.weights.tensors()))
    }
}

/// Makes a subject.
pub type Make = fn(Scale) -> Subject;

/// All subjects by name; each is made when its turn comes, so that only one set of weights is held.
pub fn all(scale: Scale) -> Vec<(&'static str, Make)> {
    let mut all: Vec<(&str, Make)> = vec![
        ("ceilings", ceilings),
        ("resnet18", |_| network("resnet18", 1)),
        ("vit_s14", vit_s14),
        ("pdn_s", pdn_s),
        ("scoring", scoring),
        ("selection", selection),
        ("other", other),
    ];
    if scale.batch.is_some() {
        all.insert(2, ("resnet18 batch", |scale| network("resnet18", scale.batch.unwrap_or(1))));
    }
    if !scale.quick {
        all.insert(2, ("wide_resnet50_2", |_| network("wide_resnet50_2", 1)));
    }
    all
}

/// Uniform in [0, 1).
fn uniform(shape: impl Into<Shape>) -> Tensor {
    Tensor::from_fn(shape, |i| (random::draw("", i as u64) >> 40) as f32 / (1u64 << 24) as f32)
}

/// A weight, uniform in ±sqrt(6 / fan in).
fn weight<'g>(graph: &'g Graph, name: &str, shape: impl Into<Shape>) -> Var<'g> {
    let shape = shape.into();
    let bound = (6.0 / (shape.len() / shape.dim(0)) as f32).sqrt();
    let values = uniform(shape);
    graph.weight(name, Arc::new(Tensor::from_fn(shape, |i| (2.0 * values.data[i] - 1.0) * bound)))
}

/// The kernels that ceilings are measured with, at those sizes.
fn ceilings(_: Scale) -> Subject {
    let (memory, work) = (Shape::from([1, 1024, 1024, 16]), Shape::from([1 << 18, 4]));
    Subject::plain(vec![uniform(memory), uniform(work)], move |graph, _| {
        vec![graph.input("memory", memory).copied(), graph.input("work", work).fma_chains(128)]
    })
}

/// A whole network at 224; where its stages are PatchCore's, the patch vectors of both presets and their projection.
fn network(name: &'static str, batch: usize) -> Subject {
    let net = models::find(name).expect("a network's name");
    let (size, wide) = ([batch, 224, 224, 3], name.starts_with("wide"));
    Subject::new(stand_in::weights(net), vec![uniform(size)], move |graph, root| {
        build_network(graph, root, (net, size, wide))
    })
}

fn build_network<'g>(
    graph: &'g Graph,
    root: &Scope<'g, '_>,
    (network, size, wide): (&Network, [usize; 4], bool),
) -> Vec<Var<'g>> {
    let places = network.build(graph.input("picture", size), root);
    let logits = places.get("logits").expect("its head");
    if !wide {
        return vec![logits];
    }
    let at = |preset| Config { size: 224, ..Config::new(preset) };
    let [official, anomalib] = [Preset::Official, Preset::Anomalib].map(|p| at(p).embed(&places).expect("its layers"));
    let rows = official.reshape([official.dim(1), official.dim(2)]);
    let projected = rows.matmul_t(weight(graph, "projection.weight", [128, official.dim(2)]));
    vec![logits, anomalib, projected]
}

/// The first block of DINOv2's ViT-S/14 at 448, before it the patches.
fn vit_s14(_: Scale) -> Subject {
    let (net, size) = (models::find("dinov2_vits14").expect("a network's name"), [1, 448, 448, 3]);
    Subject::new(stand_in::weights(net), vec![uniform(size)], move |graph, root| {
        vec![net.build(graph.input("picture", size), root).get("block0").expect("its first block")]
    })
}

/// EfficientAD's small patch description network, teacher and student, at 256 without padding.
fn pdn_s(_: Scale) -> Subject {
    let size = [1, 256, 256, 3];
    Subject::plain(vec![uniform(size)], move |graph, _| {
        let y = pdn_conv(graph.input("picture", size), "conv1", 128, 4).relu().avg_pool(2, 2, 0, true);
        let y = pdn_conv(y, "conv2", 256, 4).relu().avg_pool(2, 2, 0, true);
        let y = pdn_conv(y, "conv3", 256, 3).relu();
        vec![pdn_conv(y, "conv4", 384, 4), pdn_conv(y, "student.conv4", 768, 4)]
    })
}

fn pdn_conv<'g>(x: Var<'g>, name: &str, co: usize, k: usize) -> Var<'g> {
    let own = weight(x.graph(), &format!("{name}.weight"), [co, x.dim(3), k, k]);
    x.conv2d(own, 1, 0) + weight(x.graph(), &format!("{name}.bias"), [co])
}

/// Scoring a picture: 784 patch vectors of 1536 against a bank, as both presets do it.
fn scoring(scale: Scale) -> Subject {
    let (q, d, m) = (784, 1536, if scale.quick { 2195 } else { 10_000 });
    let given = vec![uniform([q, d]), Tensor::zeros([q, 2])];
    Subject::plain(given, move |graph, _| {
        let (queries, skip) = (graph.input("queries", [q, d]), graph.input("skip", [q, 2]));
        let bank = graph.weight("bank.0", Arc::new(uniform([m, d])));
        let found = queries.knn(&[bank], 1, Metric::SquaredL2, Some(skip));
        let scores = found.slice(2, 0, 1).reshape([q, 1]).mean();
        let map = |preset| Config { size: 224, ..Config::new(preset) }.map(scores, 1, [28, 28]);
        vec![found, map(Preset::Official), map(Preset::Anomalib)]
    })
}

/// A round of PatchCore's selection, 128 picks among 512 candidates, and the distances to one row that begin it.
fn selection(scale: Scale) -> Subject {
    const CANDIDATES: usize = 512;
    let (n, d) = (if scale.quick { 21_952 } else { 160_000 }, 128);
    // All as far, so that the first candidates are picks one after the other and no centre is left out.
    let far = Tensor::from_fn([n], |_| 9.0);
    let candidates = Tensor::from_fn([CANDIDATES, 2], |i| if i % 2 == 0 { 9.0 } else { (i / 2) as f32 });
    let given = vec![far, candidates, Tensor::zeros([1, 2]), Tensor::zeros([1, 2])];
    Subject::plain(given, move |graph, _| {
        let rows = [graph.weight("rows.0", Arc::new(uniform([n, d])))];
        let anchors = [graph.input("anchor", [n])];
        let (candidates, last) = (graph.input("candidates", [CANDIDATES, 2]), graph.input("last", [1, 2]));
        let round = k_center_round(&rows, &anchors, candidates, last, 128);
        let start = lowered(&rows, &anchors, graph.input("pick", [1, 2]));
        [round.picks, round.anchors, start].concat()
    })
}

/// Ops that no network here has on its way, where their users would have them: attention, unfolded batch norms, decoders, comparisons.
fn other(_: Scale) -> Subject {
    let sizes = [[1, 56, 56, 256], [1, 64, 64, 64], [12, 1, 197, 197]];
    let mut given: Vec<Tensor> = sizes.map(uniform).into();
    given.push(uniform([784, 1536]));
    Subject::plain(given, move |graph, _| {
        let [x, small, attention] = sizes.map(|s| graph.input("x", s));
        let rows = graph.input("rows", [784, 1536]);
        let [a, b, c, d] = ["weight", "bias", "mean", "var"].map(|n| graph.weight(n, Arc::new(uniform([256]))));
        let depthwise = Window { stride: [1, 1], pad: Pad::from(1), groups: 256 };
        vec![
            attention.softmax(),
            x.batch_norm(a, b, c, d, 1e-5),
            x.conv2d_window(weight(graph, "depthwise.weight", [256, 1, 3, 3]), depthwise),
            small.resize_bilinear(127, 127),
            small.resize_nearest(128, 128),
            small.conv2d(weight(graph, "decoder.weight", [64, 64, 4, 4]), 1, 2),
            x.permute(&[0, 3, 1, 2]),
            x.slice(3, 0, 64),
            x.pad(1, 1, 1),
            x.concat(x, 3),
            (x * x).exp(),
            x.max(),
            x.arg_max(),
            rows.transpose(),
            rows.norm(),
            rows.sum(),
            rows.matmul_t(rows),
        ]
    })
}
