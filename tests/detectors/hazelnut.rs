//! The default on real parts: hazelnuts, of which the network has never seen any.

use crate::common::program::{Bench, done, lupe, no_gpu};
use crate::common::skip::{skip, this_test};
use crate::common::sweep::full;
use std::fs;
use std::path::Path;

#[test]
fn defective_hazelnuts_are_found_and_shown() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hazelnut");
    if !data.exists() {
        return skip(&this_test(), "../shared/data/hazelnut is not here");
    }
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    done(lupe().args(["fit", "patchcore", "-q"]).arg(&data).arg("-o").arg(b.path("nut.lupe")));
    let evaluated = lupe_eval(&b, &data);
    let at = |path: [&str; 2]| evaluated[path[0]][path[1]].as_f64().unwrap_or_else(|| panic!("{path:?}: {evaluated}"));
    println!("{evaluated:#}");
    assert_eq!(at(["image", "auroc"]), 1.0);
    assert!(at(["pixel", "auroc"]) >= 0.988, "{}", at(["pixel", "auroc"]));
    assert!(at(["pixel", "ap"]) >= 0.70, "{}", at(["pixel", "ap"]));
    // At the limit from good pictures alone.
    let limit = &evaluated["at_limit"];
    assert_eq!((limit["misses"].as_u64(), limit["false_alarms"].as_u64()), (Some(0), Some(0)), "{limit}");
}

/// Good and coloured hazelnuts from five pictures of each, by three networks and two heads: the accuracies of docs/measured.md, to half of
/// their smallest interval and what another driver's bits make; and the same bytes twice.
#[test]
fn five_shots_tell_good_from_coloured() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if !shared.join("data/hazelnut").exists() {
        return skip(&this_test(), "../shared/data/hazelnut is not here");
    }
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let nuts = b.path("nuts");
    for (from, class) in [("train/good", "good"), ("test/good", "good"), ("test/colour", "colour")] {
        let folder = nuts.join(class);
        fs::create_dir_all(&folder).unwrap();
        for file in fs::read_dir(shared.join("data/hazelnut").join(from)).unwrap().map(|f| f.unwrap().path()) {
            let name = format!("{}_{}", from.split('/').next().unwrap(), file.file_name().unwrap().to_str().unwrap());
            fs::copy(&file, folder.join(name)).unwrap();
        }
    }
    let run = |words: &[&str], network: &str, out: &str| {
        let mut command = lupe();
        command.args(["episodes", "--shots", "5", "--queries", "all", "--episodes", "100", "--json", "-q"]).args(words);
        command.arg(&nuts).arg("-o").arg(b.path(out)).env("XDG_CACHE_HOME", b.path("cache"));
        if !network.is_empty() {
            command.args(["--backbone", network, "--weights"]);
            command.arg(shared.join(format!("weights/{network}.safetensors")));
        }
        let said: serde_json::Value = serde_json::from_str(&done(&mut command)).expect("JSON");
        said["results"][0]["accuracy"]["mean"].as_f64().unwrap_or_else(|| panic!("{said:#}"))
    };
    let cases: [(&[&str], &str, f64); 4] = [
        (&[], "", 0.984),
        (&[], "resnet50_thin", 0.988),
        (&[], "vit_s14_focus", 0.937),
        (&["--method", "pmf"], "vit_s14_focus", 0.940),
    ];
    for (words, network, want) in cases {
        let found = run(words, network, "first");
        assert!((found - want).abs() < 0.005, "{words:?} {network}: {found} instead of {want}");
        // Once for each head; `make test-full`: for every network.
        if network.is_empty() || !words.is_empty() || full() {
            run(words, network, "second");
            let [first, second] = ["first", "second"].map(|out| fs::read(b.path(out).join("episodes.jsonl")).unwrap());
            assert!(!first.is_empty() && first == second, "{words:?} {network}: twice, two results");
        }
    }
}

fn lupe_eval(b: &Bench, data: &Path) -> serde_json::Value {
    let said =
        done(lupe().args(["eval", "--json", "-q"]).arg(b.path("nut.lupe")).arg(data).arg("-o").arg(b.path("out")));
    serde_json::from_str(&said).expect("JSON")
}
