//! A second method that exists here alone: all commands work for it, with no line written for it but its registration.

use crate::common::parts::data_set;
use crate::common::program::{Bench, no_gpu, text};
use lupe::cli;
use lupe::data::dataset::Dataset;
use lupe::data::{Limits, Picture, Preprocess};
use lupe::engine::{Caps, Graph, Var};
use lupe::files::save;
use lupe::methods::{Answer, Description, Finding, Fitted, Known, Method, Methods, Seen};
use lupe::ops::knn::Metric;
use lupe::tensor::Tensor;
use lupe::weights::container::{Stored, read, write};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// How far a picture's mean colour is from that of good ones; the limit is the farthest good one.
#[derive(Debug)]
struct MeanColour {
    mean: Arc<Tensor>,
    limit: f64,
    seen: Vec<Seen>,
}

const PICTURES: Preprocess = Preprocess::imagenet(32, 32);

const MEAN_COLOUR: Method = Method {
    name: "mean_colour",
    describe: |bytes, origin| {
        let (facts, _) = read(bytes, origin)?;
        let (title, lines) = ("a mean colour".to_string(), vec![("limit", facts["limit"].to_string())]);
        Ok(Description { title, lines, json: facts.into(), needs_weights: None })
    },
    open: |bytes, origin, _| {
        let (facts, tensors) = read(bytes, origin)?;
        let seen = serde_json::from_value(facts["seen"].clone()).unwrap();
        let mean = Arc::new(tensors["mean"].tensor().unwrap());
        Ok(Box::new(MeanColour { mean, limit: facts["limit"].as_f64().unwrap(), seen }))
    },
};

impl Fitted for MeanColour {
    fn method(&self) -> &'static str {
        MEAN_COLOUR.name
    }

    fn preprocess(&self) -> Preprocess {
        PICTURES
    }

    fn input_size(&self) -> [usize; 2] {
        [32; 2]
    }

    fn limit(&self) -> Option<f64> {
        Some(self.limit)
    }

    fn localises(&self) -> bool {
        false
    }

    fn known(&self) -> Known<'_> {
        Known::Fitted { on: &self.seen, left_out: &[], held_out: &[] }
    }

    fn answer<'g>(&self, graph: &'g Graph, pictures: Var<'g>, _: &Caps) -> Answer<'g> {
        let mean = graph.weight("mean", self.mean.clone());
        Answer { outputs: vec![pictures.global_pool().knn(&[mean], 1, Metric::L2, None)], features: None }
    }

    fn findings(&self, outputs: &[Tensor], n: usize) -> Vec<lupe::Result<Finding>> {
        let score = |i: usize| f64::from(outputs[0].data[2 * i]);
        (0..n).map(|i| Ok(Finding { score: score(i), ..Finding::default() })).collect()
    }

    fn facts(&self) -> Map<String, Value> {
        Map::new()
    }
}

/// The fit, on the host: there is nothing to learn but a mean.
fn fit(data: &Path, model: &Path) {
    let train = Dataset::open(data).unwrap().train;
    let colour = |path: &Path| {
        let input = PICTURES.apply(&Picture::open(path, Limits::default()).unwrap()).unwrap();
        let mean = |c: usize| input.data.iter().skip(c).step_by(3).sum::<f32>() / 1024.0;
        [0, 1, 2].map(mean)
    };
    let colours: Vec<[f32; 3]> = train.iter().map(|s| colour(&s.path)).collect();
    let mean = [0, 1, 2].map(|c| colours.iter().map(|v| v[c]).sum::<f32>() / colours.len() as f32);
    let far = |v: &[f32; 3]| v.iter().zip(mean).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let limit = colours.iter().map(far).fold(0.0, f64::max);
    let seen =
        train.iter().map(|s| Seen { name: s.name.clone(), sha256: lupe::files::sha256(&fs::read(&s.path).unwrap()) });
    let facts = json!({"method": MEAN_COLOUR.name, "limit": limit, "seen": seen.collect::<Vec<_>>()});
    let tensors = BTreeMap::from([("mean".to_string(), Stored::floats(&Tensor::new([1, 3], mean.to_vec()), false))]);
    save(model, &write(facts.as_object().unwrap().clone(), &tensors).unwrap()).unwrap();
}

/// The exit code of `lupe` with these words, in this process.
fn lupe(words: &[&str]) -> u8 {
    let all = ["lupe"].into_iter().chain(words.iter().copied()).chain(["-q", "--no-reexec", "--deterministic"]);
    cli::run(&Methods::default().with(MEAN_COLOUR), all)
}

#[test]
fn every_command_takes_a_method_of_somebody_elses() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("colour.lupe"));
    data_set(&data, 6, 40, 40);
    // Parts of another colour are what this method can tell.
    for n in 0..3 {
        image::RgbImage::from_pixel(40, 40, image::Rgb([250, 20, 20]))
            .save(data.join(format!("test/spot/{n:03}.png")))
            .unwrap();
    }
    fit(&data, &model);
    let (model, data) = (model.to_str().unwrap(), data.to_str().unwrap());
    let out = |name: &str| b.path(name).to_str().unwrap().to_string();
    assert_eq!(lupe(&["predict", model, &format!("{data}/test"), "-o", &out("pred"), "--exit-code"]), 1);
    let lines = text(&fs::read(b.path("pred/results.ndjson")).unwrap());
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    for line in &lines {
        let spot = line["path"].as_str().unwrap().starts_with("spot/");
        assert!(line["method"] == "mean_colour" && line["peak"].is_null(), "{line}");
        assert!(!spot || line["above"] == true, "{line}");
    }
    assert!(!b.path("pred/heatmaps").exists(), "there are no maps to draw");
    assert_eq!(lupe(&["eval", model, data, "-o", &out("eval")]), 0);
    let metrics: Value = serde_json::from_slice(&fs::read(b.path("eval/metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics["image"]["auroc"], 1.0, "{metrics}");
    assert_eq!(metrics["model"]["method"], "mean_colour", "{metrics}");
    assert_eq!(metrics["pixel"]["undefined"]["auroc"], "the method produces no anomaly maps", "{metrics}");
    for command in ["verify", "plan", "profile"] {
        assert_eq!(lupe(&[command, model]), 0, "{command}");
    }
    assert_eq!(lupe(&["profile", model, "--html", &out("p.html"), "--repeats", "2"]), 0);
    assert!(text(&fs::read(b.path("p.html")).unwrap()).contains("global"), "its nodes are profiled");
    assert_eq!(lupe(&["weights", "inspect", model]), 0);
}

/// A program that does not bring the method says which there are.
#[test]
fn an_unknown_method_is_told() {
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("colour.lupe"));
    data_set(&data, 3, 40, 40);
    fit(&data, &model);
    let error = lupe::methods::open(&model).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("unknown method `mean_colour`; available: patchcore, "), "{error}");
}
