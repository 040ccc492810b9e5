//! What a study trains or asks a transformer for every episode: CAML by hand, fine-tuning, EfficientAD, on the pool of the thesis.

mod common;

use common::caml::{by_hand, file};
use common::experiments::{plan, run, same};
use common::pdn::{pth, teacher};
use common::program::{Bench, done, no_gpu};
use common::skip::skip;
use lupe::models::pdn::Size;
use std::fs;

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
