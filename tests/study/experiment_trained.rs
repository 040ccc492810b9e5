//! What a study trains or asks a transformer for every episode: CAML by hand, fine-tuning, EfficientAD, on the pool of the thesis; and
//! detectors on DINO features, held to their own commands.

use crate::common;
use crate::common::caml::{by_hand, file};
use crate::common::experiments::{plan, run, same};
use crate::common::parts::verb;
use crate::common::pdn::{pth, teacher};
use crate::common::program::{Bench, done, no_gpu};
use crate::common::skip::skip;
use crate::common::vit::{DRAWN, drawn_weights};
use lupe::models::pdn::Size;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What is trained or asked for each episode: CAML by hand, fine-tuning, EfficientAD.
const TRAINED: &str = r#"
name = "trained"
repeats = 2
exclude = ["left"]
pool = "author"
stratified = true

[[category]]
path = "parts"

[tasks]
T1 = { shots = [1, 2] }
T2 = { shots = [2] }
T4 = { good = [2, 4], bad = 2 }

[[method]]
kind = "caml"
name = "caml"
network = "efficientnet_lite0"
place = "block15"
size = 64
average = 2
checkpoint = "caml.safetensors"

[[method]]
kind = "pmf"
name = "tuned"
network = "efficientnet_lite0"
size = 64
steps = 2
correction = [false, true]
tasks = ["T4"]
repeats = 1

[[method]]
kind = "efficientad"
weights = "teacher.pth"
penalty = "none"
steps = 3
tasks = ["T2"]
repeats = 1
good = [1, 4, "all"]
"#;

#[test]
fn what_is_trained_for_every_episode_gives_the_same_bytes_again() {
    if no_gpu() {
        return skip("trainings in a study", "LUPE_NO_GPU is set");
    }
    let b = Bench::new();
    plan(&b, TRAINED);
    b.write("caml.safetensors", &file(&by_hand(320).1));
    b.write("teacher.pth", &pth(&teacher(Size::Small, 16)));
    let said = common::counts::said(&mut run(&b, "one", &[]));
    assert!(
        said.contains("efficientad on T2 of parts: with all good pictures: pool = \"author\" asks about"),
        "{said}"
    );
    done(&mut run(&b, "two", &[]));
    same(&b.path("one"), &b.path("two"));
    let rows = fs::read_to_string(b.path("one/results.csv")).unwrap();
    let of = |start: &str, task: &str| {
        let own = |r: &&str| r.starts_with(&format!("{start},")) && r.contains(&format!(",parts,{task},author,"));
        rows.lines().filter(own).count()
    };
    assert_eq!([of("caml", "T1"), of("caml", "T2"), of("caml", "T4")], [4, 2, 4], "{rows}");
    assert_eq!([of("tuned", "T4"), of("tuned balanced", "T4")], [2, 2]);
    // Two good pictures: held out, oracle, and by the support; four, which are all that are kept for shots: oracle.
    assert_eq!(of("efficientad", "T2"), 3 + 1, "{rows}");
    let episodes = fs::read_to_string(b.path("one/episodes.jsonl")).unwrap();
    for draw in episodes.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()) {
        let shots: Vec<&serde_json::Value> =
            draw["support"].as_array().unwrap().iter().flat_map(|s| s.as_array().unwrap()).collect();
        let asked: Vec<&serde_json::Value> = draw["queries"].as_array().unwrap().iter().map(|q| &q["path"]).collect();
        assert!(shots.iter().all(|s| !asked.contains(s)), "a shot is asked about: {draw}");
        let four = draw["task"] != "T1";
        assert_eq!(asked.iter().filter(|p| p.as_str().unwrap().contains("good")).count(), if four { 6 } else { 8 });
    }
    assert!(
        !fs::read_dir(b.path("one")).unwrap().any(|e| e.unwrap().path().extension().is_some_and(|x| x == "training"))
    );
}

/// Detectors on DINO features, and a fine-tuning whose rate each episode finds, once for each number of shots.
const FEATURES: &str = r#"
repeats = 1

[[category]]
path = "parts"

[tasks]
T2 = { shots = [1, 2] }

[[method]]
kind = "pmf"
name = "found"
network = "efficientnet_lite0"
size = 32
steps = 1
lr = "auto"

[[method]]
kind = "anomalydino"
network = "NETWORK"
weights = "WEIGHTS"
size = 64
rotations = false

[[method]]
kind = "subspacead"
network = "NETWORK"
weights = "WEIGHTS"
size = 64
augment = 0
"#;

/// The lines of the units of a study, method by method: the method's number, good shots, and the scores.
fn scored(journal: &Path) -> Vec<(u64, u64, Vec<f64>)> {
    let of = |line: &Value| {
        let scores = line["answer"]["scores"].as_array().unwrap().iter().map(|s| s.as_f64().unwrap());
        let [method, good] = ["method", "good"].map(|key| line[key].as_u64().unwrap());
        (method, good, scores.collect())
    };
    let unit = |line: &str| serde_json::from_str::<Value>(line.split_once(' ').unwrap().1).unwrap();
    let text = fs::read_to_string(journal).unwrap();
    text.lines().flat_map(|l| unit(l)["lines"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()).collect()
}

/// Both take part with the shots of a draw, and give every query the score that `fit` and `predict` give it.
#[test]
fn detectors_on_features_score_as_their_commands_do() {
    if no_gpu() {
        return skip("detectors on features in a study", "LUPE_NO_GPU is set");
    }
    let b = Bench::new();
    let weights = drawn_weights();
    plan(&b, &FEATURES.replace("NETWORK", DRAWN).replace("WEIGHTS", weights.to_str().unwrap()));
    let said = common::counts::said(&mut run(&b, "out", &[]));
    assert!(said.contains("found on T2 of parts: with 1 shots: a rate is found on pictures beside"), "{said}");
    let all = scored(&b.path("out/outcomes.jsonl"));
    let lines: Vec<_> = all.iter().map(|s| (s.0, s.1)).collect();
    assert_eq!(lines, [(0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]);
    let draws = fs::read_to_string(b.path("out/episodes.jsonl")).unwrap();
    let draw: Value = serde_json::from_str(draws.lines().next().unwrap()).unwrap();
    let good = draw["classes"].as_array().unwrap().iter().position(|c| c == "good").unwrap();
    let shots = draw["support"][good].as_array().unwrap(); // two, the most
    let paths = draw["queries"].as_array().unwrap().iter().map(|q| q["path"].as_str().unwrap());
    for path in shots.iter().map(|s| s.as_str().unwrap()) {
        fs::create_dir_all(b.path("own")).unwrap();
        fs::copy(b.path("parts").join(path), b.path("own").join(path.replace('/', "_"))).unwrap();
    }
    for (number, method, view) in [(1, "anomalydino", "--rotations=off"), (2, "subspacead", "--augment=0")] {
        let model = b.path(&format!("{method}.lupe"));
        let mut fit = verb(&["fit", method, "--backbone", DRAWN, "--no-embed-backbone", "--size", "64", view]);
        done(fit.arg("--weights").arg(weights).arg(b.path("own")).arg("-o").arg(&model));
        let mut predict = verb(&["predict"]);
        predict.arg(&model).args(paths.clone().map(|p| b.path("parts").join(p))).arg("--weights").arg(weights);
        done(predict.arg("-o").arg(b.path(method)).arg("--no-heatmaps"));
        let results = fs::read_to_string(b.path(method).join("results.ndjson")).unwrap();
        let alone = results.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["score"].as_f64().unwrap());
        let of_study = all.iter().find(|s| (s.0, s.1) == (number, 2)).unwrap().2.iter().map(|s| *s as f32);
        assert_eq!(of_study.collect::<Vec<_>>(), alone.map(|s| s as f32).collect::<Vec<_>>(), "{method}");
    }
}
