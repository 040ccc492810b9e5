//! `lupe fit classifier`: steps by hand in f64, from pictures to a model and its verdicts, stopped and resumed, and everything that is refused.

use crate::common::parts::{classes, part, verb};
use crate::common::program::{Bench, done, no_gpu, refused, text};
use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use crate::common::thin;
use lupe::data::dataset::Classes;
use lupe::data::load::Loading;
use lupe::engine::Options;
use lupe::methods::classifier::{Asked, Classifier, Config, Examples, Inputs, Layers, ModelFile, Optimizer, Step};
use lupe::methods::classifier::{initial, train};
use lupe::methods::vector::{Source, Vectors, preprocess};
use lupe::methods::{Fitted, RunOptions};
use lupe::models::{EMBEDDED, open};
use lupe::random::Order;
use lupe::tensor::Tensor;
use lupe::train::Keeping;
use lupe::watch::Unwatched;
use pollster::block_on;
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Vectors of three classes, 4, 2 and 1 of them.
fn vectors() -> (Vec<Vec<f32>>, Vec<usize>) {
    let value = |i: usize, k: usize| lupe::random::uniform("vectors", (5 * i + k) as u64) as f32 * 2.0 - 1.0;
    ((0..7).map(|i| (0..5).map(|k| value(i, k)).collect()).collect(), vec![0, 0, 0, 0, 1, 1, 2])
}

fn config(optimizer: Optimizer, balance: bool) -> Config {
    let asked =
        Asked { optimizer, balance, epochs: Some(3), batch: Some(3), validation: Some(0.0), ..Asked::default() };
    asked.config(EMBEDDED).unwrap()
}

/// Softmax regression in f64: batches in their order, the gradient of their weighted cross-entropy, and the optimiser as PyTorch has it.
fn by_hand(config: &Config) -> (Vec<f64>, Vec<f64>) {
    let (rows, labels) = vectors();
    let began = initial(3, 5, config.seed);
    let doubles = |name: &str| began[name].data.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let mut w = [doubles("classes.weight"), doubles("classes.bias")].concat();
    let (mut m, mut v, mut losses) = (vec![0.0; w.len()], vec![0.0; w.len()], vec![]);
    let order = Order::new(format!("classifier.order.{}", config.seed), 7);
    let weight = |label: usize| if config.balance { 7.0 / (3.0 * [4.0, 2.0, 1.0][label]) } else { 1.0 };
    for step in 0..config.steps(7) {
        let (mut by, mut loss) = (vec![0.0; w.len()], 0.0);
        for i in (3 * step..3 * step + 3).map(|k| order.at(k)) {
            let x: Vec<f64> = rows[i].iter().map(|v| f64::from(*v)).collect();
            let logit = |c: usize| w[15 + c] + (0..5).map(|k| w[5 * c + k] * x[k]).sum::<f64>();
            let powers: Vec<f64> = (0..3).map(|c| logit(c).exp()).collect();
            let share = weight(labels[i]) / 3.0;
            for c in 0..3 {
                let p = powers[c] / powers.iter().sum::<f64>();
                let d = share * (p - f64::from(u8::from(c == labels[i])));
                (0..5).for_each(|k| by[5 * c + k] += d * x[k]);
                by[15 + c] += d;
                loss -= if c == labels[i] { share * p.ln() } else { 0.0 };
            }
        }
        losses.push(loss);
        for (i, g) in by.into_iter().enumerate() {
            match config.optimizer {
                Optimizer::Sgd => {
                    m[i] = 0.9 * m[i] + g;
                    w[i] -= config.rate * m[i];
                }
                Optimizer::Adam => {
                    let t = step as i32 + 1;
                    (m[i], v[i]) = (0.9 * m[i] + 0.1 * g, 0.999 * v[i] + 0.001 * g * g);
                    let (mean, square) = (m[i] / (1.0 - 0.9f64.powi(t)), v[i] / (1.0 - 0.999f64.powi(t)));
                    w[i] -= config.rate * mean / (square.sqrt() + 1e-8);
                }
            }
        }
    }
    (w, losses)
}

#[test]
fn the_last_layer_is_trained_as_by_hand() {
    if without_device("a training") {
        return;
    }
    for (optimizer, balance) in [(Optimizer::Sgd, false), (Optimizer::Sgd, true), (Optimizer::Adam, true)] {
        let config = Config { rate: 0.05, ..config(optimizer, balance) };
        let (rows, labels) = vectors();
        let examples = Examples::new(&config, Inputs::Vectors(rows), labels, &[false; 7]);
        let (step, options, keeping) = (Step::new(None, [3, 5], config.seed), Options::default(), Keeping::default());
        let work = (&step, &examples, &config);
        let found = block_on(train(gpu(), work, (&options, &keeping, Map::new()), &Unwatched)).unwrap();
        let (want, losses) = by_hand(&config);
        let got = [&found.weights["classes.weight"].data[..], &found.weights["classes.bias"].data].concat();
        for (got, want) in got.iter().zip(&want) {
            assert!((f64::from(*got) - want).abs() < 1e-5, "{optimizer:?}, balance {balance}: {got} for {want}");
        }
        // Three epochs of 7 pictures are 9 steps of 3, which are fewer than come before a check.
        let mean = losses.iter().sum::<f64>() / 9.0;
        assert!(found.losses.len() == 1 && found.end.step == 9 && found.figures.is_none());
        assert!((f64::from(found.losses[0]) - mean).abs() < 2e-6, "{} for {mean}", found.losses[0]);
    }
}

fn fit(data: &Path, model: &Path, more: &[&str]) -> Command {
    let mut command = verb(&["fit", "classifier"]);
    command.arg(data).arg("-o").arg(model).args(more);
    command.args(if more.contains(&"--size") { &[][..] } else { &["--size", "64"] });
    command
}

fn file(model: &Path) -> ModelFile {
    ModelFile::from_bytes(&fs::read(model).unwrap(), "m").unwrap()
}

/// The logits of a folder's pictures in the order of their names, by the vectors of the network and the file's last layer in f64.
fn logits(data: &Path, file: &ModelFile) -> Vec<Vec<f64>> {
    let (network, weights) = open(EMBEDDED.name, None).unwrap();
    let source = Source { network, weights: &weights, place: "pool", preprocess: preprocess(network, 64, false) };
    let (mut found, d) = (vec![], file.weight.shape.dim(1));
    let mut planned = block_on(Vectors::new(gpu(), source, &RunOptions::default())).unwrap();
    let mut take = |_, vector: Vec<f32>| {
        let rows = file.weight.data.chunks(d).zip(&file.bias.data);
        let dot = |row: &[f32]| row.iter().zip(&vector).map(|(w, v)| f64::from(*w) * f64::from(*v)).sum::<f64>();
        found.push(rows.map(|(row, bias)| dot(row) + f64::from(*bias)).collect());
        Ok(())
    };
    let samples = Classes::open(data, false).unwrap().to_test_on().test;
    block_on(planned.each(&samples, &Loading::default(), &Unwatched, &mut take)).unwrap();
    found
}

#[test]
fn from_pictures_to_a_model_and_its_verdicts() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = classes(b.path("data"), &[("good", 6), ("red", 5), ("spot", 5)]);
    let (model, again) = (b.path("m.lupe"), b.path("again.lupe"));
    let said = done(&mut fit(&data, &model, &["--epochs", "40", "--batch", "4"]));
    assert!(said.contains("classes   good 5 and 1 kept, red 4 and 1 kept, spot 4 and 1 kept"), "{said}");
    let m = file(&model);
    let figures = m.learned.validation.unwrap();
    assert_eq!((figures.accuracy, figures.balanced_accuracy, figures.majority), (1.0, 1.0, 1.0 / 3.0), "{said}");
    assert!(said.contains("100.0 % of 3 pictures right") && figures.loss < 0.2, "{said}");
    assert!(!b.path("m.lupe.training").exists());
    let table = fs::read_to_string(b.path("m.lupe.losses.csv")).unwrap();
    assert!(table.starts_with("check,training,validation\n1,"), "{table}");
    // 13 pictures in steps of 4, and a check every five times that they were gone through.
    assert_eq!((table.lines().count() as u64, m.learned.of), (1 + m.learned.steps.div_ceil(20), 160));
    assert!(fs::read_to_string(b.path("m.lupe.losses.svg")).unwrap().contains("validation"));
    done(&mut fit(&data, &again, &["--epochs", "40", "--batch", "4", "--network", EMBEDDED.name]));
    assert!(fs::read(&model).unwrap() == fs::read(&again).unwrap(), "twice the same bytes");
    // Pictures that it has not seen.
    let new = classes(b.path("new"), &[("good", 9), ("red", 8), ("spot", 8)]);
    let names = ["good/400.png", "red/300.png", "spot/400.png"];
    let old: Vec<PathBuf> = (0..6).flat_map(|i| names.map(|n| new.join(n.replace("00.", &format!("0{i}."))))).collect();
    old.iter().for_each(|path| fs::remove_file(path).unwrap());
    done(verb(&["limit", "--rule", "fixed=0"]).arg(&model));
    let said = done(verb(&["eval"]).arg(&model).arg(&new).arg("-o").arg(b.path("out")));
    assert!(said.contains("accuracy  1.0000, balanced 1.0000") && said.contains("false alarms"), "{said}");
    let lines = text(&fs::read(b.path("out/results.ndjson")).unwrap());
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let all = logits(&new, &m);
    assert_eq!((lines.len(), all.len()), (7, 7));
    for (line, logits) in lines.iter().zip(all) {
        let near = |got: &Value, want: f64| assert!((got.as_f64().unwrap() - want).abs() < 1e-4, "{got} for {want}");
        let powers: Vec<f64> = logits.iter().map(|l| l.exp()).collect();
        near(&line["probabilities"]["red"], powers[1] / powers.iter().sum::<f64>());
        near(&line["score"], ((powers[1] + powers[2]) / powers[0]).ln());
        let defective = line["label"] != "good";
        assert!(line["method"] == "classifier" && line["predicted"] == line["label"], "{line}");
        assert!(line["limit"] == 0.0 && line["above"] == defective, "{line}");
    }
    for command in [&["verify"][..], &["plan"], &["profile", "--repeats", "2"]] {
        done(verb(command).arg(&model));
    }
    let said = done(verb(&["weights", "inspect"]).arg(&model));
    assert!(said.contains("a classifier") && said.contains("the last layer, "), "{said}");
    refused(verb(&["limit", "--rule", "max"]).arg(&model), 2, &["a classifier has no training scores", "fixed=0"]);
}

/// Without anything to tell classes apart by, the loss of what is not trained on rises before long.
#[test]
fn an_early_stop_keeps_the_best_weights() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    for (class, first) in [("a", 0), ("b", 40)] {
        fs::create_dir_all(b.path("data").join(class)).unwrap();
        (first..first + 10).for_each(|n| part(n, 64, 64).save(b.path(&format!("data/{class}/{n}.png"))).unwrap());
    }
    let (model, patience) = (b.path("m.lupe"), 4);
    let more = ["--patience", "4", "--validation", "0.4", "--no-embed-backbone", "--lr", "0.01"];
    let said = done(&mut fit(&b.path("data"), &model, &more));
    let learned = file(&model).learned;
    let best = learned.validation.unwrap().step;
    // All 12 pictures are in a step, and five steps are from one check to the next.
    assert!(learned.steps < 200 && learned.steps == best + 5 * patience, "{said}");
    let want = format!("{} steps of 200, after 4 checks that gained nothing; the weights after {best}", learned.steps);
    assert!(said.contains(&want), "{said}");
    let table = fs::read_to_string(b.path("m.lupe.losses.csv")).unwrap();
    let losses: Vec<f32> = table.lines().skip(1).map(|l| l.split(',').nth(2).unwrap().parse().unwrap()).collect();
    let least = losses.iter().copied().fold(f32::INFINITY, f32::min);
    assert_eq!(5 * (losses.iter().position(|l| *l == least).unwrap() as u64 + 1), best, "{table}");
    assert!((learned.validation.unwrap().loss - f64::from(least)).abs() < 1e-7);
    // The weights are those after that step: a training that ends with it has them.
    let short = b.path("short.lupe");
    let epochs = best.to_string();
    done(&mut fit(&b.path("data"), &short, &[&more[..], &["--epochs", &epochs]].concat()));
    let [long, short] = [&model, &short].map(|m| file(m));
    assert!(long.weight == short.weight && long.bias == short.bias);
    assert!(fs::metadata(&model).unwrap().len() < 100_000, "a last layer is small");
}

/// Waits until a file is there, or the process has ended.
fn wait_for(file: &Path, child: &mut Child) {
    let since = Instant::now();
    while !file.exists() && child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < Duration::from_secs(240), "no {}", file.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A training that is killed, each time so many milliseconds after there is a checkpoint, gives the bytes of one that is not.
fn killed_and_resumed(b: &Bench, delays: &[u64], fit: &dyn Fn(&str, &[&str]) -> Command) {
    done(&mut fit("whole.lupe", &[]));
    let checkpoint = b.path("killed.lupe.training");
    let mut resumed = false;
    for delay in delays.iter().copied() {
        let mut child = fit("killed.lupe", &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for(&checkpoint, &mut child);
        std::thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        child.wait().unwrap();
        resumed |= checkpoint.exists();
    }
    assert!(resumed, "it was over before it could be killed");
    if !b.path("killed.lupe").exists() {
        let other = ["is the checkpoint of another training: seed is 0 there, 1 here; use --fresh"];
        refused(&mut fit("killed.lupe", &["--seed", "1"]), 2, &other);
        done(&mut fit("killed.lupe", &[]));
    }
    for ending in ["", ".losses.csv", ".losses.svg"] {
        let [whole, killed] = ["whole", "killed"].map(|n| fs::read(b.path(&format!("{n}.lupe{ending}"))).unwrap());
        assert!(whole == killed, "a training that was killed gives another {ending}");
    }
    assert!(!checkpoint.exists());
}

#[test]
fn a_last_layer_that_is_stopped_goes_on_to_the_same_bytes() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = classes(b.path("data"), &[("good", 5), ("spot", 5)]);
    killed_and_resumed(&b, &[0, 30, 120], &|name, more| {
        let all = ["--batch", "3", "--epochs", "120", "--patience", "0", "--checkpoint-every", "1"];
        fit(&data, &b.path(name), &[&all, more].concat())
    });
}

#[test]
fn all_layers_learn_and_go_on_to_the_same_bytes() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = classes(b.path("data"), &[("good", 5), ("red", 5)]);
    let all = ["--layers", "all", "--batch", "4", "--epochs", "3", "--checkpoint-every", "2", "--lr", "0.0002"];
    killed_and_resumed(&b, &[0], &|name, more| {
        fit(&data, &b.path(name), &[&all[..], &thin::BACKBONE, &["--size", "32", "--place", "layer2"], more].concat())
    });
    let model = file(&b.path("whole.lupe"));
    assert_eq!((model.config.layers, model.learned.steps, model.kept()), (Layers::All, 6, 2));
    let table = fs::read_to_string(b.path("whole.lupe.losses.csv")).unwrap();
    let losses: Vec<f32> = table.lines().skip(1).map(|l| l.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert!(losses[2] < 0.7 * losses[0], "{table}");
    // The network is another one than it was, inside and out.
    let (was, now) = (thin::weights(), model.backbone.weights.as_ref().unwrap());
    for (name, trained) in [("conv1.weight", true), ("layer2.0.conv1.bias", true), ("layer3.0.conv1.weight", false)] {
        assert_eq!(now.tensors()[name].data != was.tensors()[name].data, trained, "{name}");
    }
    assert_eq!(now.tensors().len(), was.tensors().len());
    let opened = Classifier::new(model, "m", None).unwrap();
    assert_eq!((opened.classes(), opened.limit()), (&["good".to_string(), "red".into()][..], None));
}

#[test]
fn the_statistics_of_batch_norms_stay() {
    if without_device("a training of a network with batch norms") {
        return;
    }
    let b = Bench::new();
    let data = classes(b.path("data"), &[("good", 2), ("red", 2)]);
    let model = b.path("m.lupe");
    let more = [
        "--layers",
        "all",
        "--batch",
        "2",
        "--epochs",
        "1",
        "--validation",
        "0",
        "--size",
        "32",
        "--no-flip",
        "--place",
        "block3",
    ];
    let end = fit(&data, &model, &more).output().unwrap();
    let said = text(&end.stderr);
    assert!(end.status.success() && said.contains("note: no picture is kept to see how the training goes"), "{said}");
    let m = file(&model);
    assert!(m.learned.validation.is_none() && m.config.augment && !m.config.flip);
    // Statistics are in the checkpoint's states no more than they are parameters.
    let (network, raw) = lupe::models::unfolded(EMBEDDED.name, None).unwrap();
    let body = lupe::methods::classifier::Body { network, place: network.vector, size: 32 };
    let step = Step::new(Some((body, raw.tensors())), [2, 1280], 0);
    let trained = step.parameters(2).unwrap();
    let names: Vec<&str> = trained.iter().map(|p| p.0).collect();
    assert!(names.iter().any(|n| n.ends_with("_bn0.weight")) && !names.iter().any(|n| n.contains("running_")));
    assert!(names.contains(&"classes.bias") && !names.iter().any(|n| n.contains("_fc")), "what nobody reads stays");
}

#[test]
fn what_cannot_be_fitted_is_told() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let model = b.path("m.lupe");
    let told = |data: &Path, more: &[&str], code: i32, want: &[&str]| {
        refused(&mut fit(data, &model, &[&["--epochs", "2"], more].concat()), code, want);
        assert_eq!(model.exists(), code == 9, "{want:?}");
        assert!(!b.path("m.lupe.training").exists());
    };
    let one = classes(b.path("one"), &[("good", 2)]);
    told(&one, &[], 3, &["has one class, good; expected two or more"]);
    fs::create_dir(one.join("spot")).unwrap();
    told(&one, &[], 3, &["one/spot: is a class without pictures"]);
    let data = classes(b.path("data"), &[("good", 3), ("spot", 2)]);
    told(&data, &["--lr", "0"], 2, &["--lr 0: must be above 0"]);
    told(&data, &["--lr", "nan"], 2, &["--lr NaN: must be above 0"]);
    told(&data, &["--validation", "0.95"], 2, &["--validation 0.95: must be between 0 and 0.9"]);
    told(&data, &["--validation", "-1"], 2, &["--validation -1: must be between 0 and 0.9"]);
    told(&data, &["--batch", "0"], 2, &["0 is not in"]);
    told(&data, &["--no-flip"], 2, &["--no-flip: only --layers all changes pictures"]);
    told(&data, &["--layers", "all", "--no-embed-backbone"], 2, &["trained weights are nowhere but"]);
    told(&data, &["--network", "resnet18"], 2, &["resnet18 has no built-in weights"]);
    told(&data, &["--place", "layer9"], 2, &["unknown place `layer9`; available: block0, "]);
    told(&data, &["--layers", "all", "--limit-memory", "64M"], 6, &["--limit-memory", "a smaller --batch"]);
    let twice = classes(b.path("twice"), &[("good", 2), ("spot", 1)]);
    fs::copy(twice.join("good/400.png"), twice.join("spot/other.png")).unwrap();
    told(&twice, &[], 3, &["spot/other.png and good/400.png are the same file, one in the class spot and one in good"]);
    fs::write(data.join("good/broken.png"), "no picture").unwrap();
    told(&data, &[], 3, &["broken.png"]);
    told(
        &data,
        &["--keep-going"],
        9,
        &["1 of 6 pictures could not be read", "too small for a share of 0.2 to be kept"],
    );
    assert_eq!((file(&model).pictures.len(), file(&model).kept()), (5, 1));
}

/// Any changed byte is found or changes nothing.
#[test]
fn a_damaged_file_is_refused() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (classes(b.path("data"), &[("good", 3), ("spot", 3)]), b.path("m.lupe"));
    done(&mut fit(&data, &model, &["--epochs", "1", "--no-embed-backbone", "--validation", "0.3"]));
    let bytes = fs::read(&model).unwrap();
    let whole = file(&model).to_bytes().unwrap();
    assert!(whole == bytes, "read and written again");
    for at in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        let read = ModelFile::from_bytes(&damaged, "m");
        assert!(read.is_err() || read.is_ok_and(|m| m.to_bytes().unwrap() == whole), "byte {at}");
    }
    let shorter = ModelFile { bias: Tensor::zeros([3]), ..file(&model) };
    let said = ModelFile::from_bytes(&shorter.to_bytes().unwrap(), "m").unwrap_err().to_string();
    assert!(said.contains("its last layer is none of 2 classes"), "{said}");
}
