//! Studies by the commands: killed and resumed, in shards, and what is refused.

use crate::common;
use crate::common::experiments::{plan, run, same};
use crate::common::parts::verb;
use crate::common::program::{Bench, done, lupe, no_gpu, refused};
use crate::common::skip::skip;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What takes part: all that the built-in network can do.
const PLAN: &str = r#"
name = "made up"
repeats = 3
exclude = ["left"]

[[category]]
path = "parts"
painted = true

[tasks]
T1 = { shots = [1, 2] }
T2 = { shots = [1, 2] }
T3 = { shots = [2] }
T4 = { good = [2, 4], bad = 2 }
T5 = { good = [2, 4], bad = 2 }

[[method]]
kind = "prototype"
name = "prototypes"
size = 64
distance = ["squared", "cosine"]
correction = [false, true]

[[method]]
kind = "patchcore"
name = "detector"
size = 64
tasks = ["T2"]
repeats = 2
good = [3, 20, "all"]

[[method]]
kind = "chain"
detector = "detector"
learner = "prototypes"

[[method]]
kind = "pmf"
name = "absent"
weights = "dino_vits16.facebook"
"#;

/// Kills a study at so many moments drawn from a seed, one run of which takes so long, and lets it end.
fn killed(b: &Bench, out: &str, (kills, whole): (usize, Duration)) {
    let seed = std::env::var("LUPE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into());
    println!("LUPE_SEED={seed} draws the same moments");
    let (mut done_by_kill, journal) = (vec![], b.path(out).join("outcomes.jsonl"));
    for kill in 0..kills {
        let moment = whole.mul_f64(0.1 + 0.9 * lupe::random::uniform(&format!("killed {seed}"), kill as u64));
        let mut child = run(b, out, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        done_by_kill.push(fs::read_to_string(&journal).map_or(0, |text| text.lines().count()));
    }
    println!("units after each kill: {done_by_kill:?}");
    done(&mut run(b, out, &[]));
}

#[test]
fn a_study_that_is_killed_again_and_again_and_one_in_shards_are_the_same_to_the_byte() {
    if no_gpu() {
        return skip("a study by the commands", "LUPE_NO_GPU is set");
    }
    let b = Bench::new();
    plan(&b, PLAN);
    let begin = Instant::now();
    let said = common::counts::said(&mut run(&b, "whole", &[]));
    let whole = begin.elapsed();
    for told in [
        "absent: its weights dino_vits16.facebook are not here; get them by: lupe weights pull",
        "test/good/copy.png is the same file",
    ] {
        assert!(said.contains(told), "{said}");
    }
    assert!(said.contains("20 good pictures were asked for, and there are 6"), "{said}");
    // 6 + 4 good ones, a copy, 6 with a spot, 6 turned, one that is excluded.
    assert!(said.contains("24 files found: 22 looked at, 2 left out (of other classes 1, same as another 1"), "{said}");
    killed(&b, "killed", (10, whole));
    same(&b.path("whole"), &b.path("killed"));
    // Done again it does nothing, and says the same.
    done(&mut run(&b, "killed", &[]));
    same(&b.path("whole"), &b.path("killed"));
    for shard in ["1/3", "2/3", "3/3"] {
        done(&mut run(&b, &format!("shard-{}", &shard[..1]), &["--shard", shard]));
    }
    let merge = |shards: &[&str], out: &str| {
        let mut command = verb(&["experiment", "merge"]);
        command.args(shards.iter().map(|s| b.path(s))).arg("-o").arg(b.path(out));
        command
    };
    refused(&mut merge(&["shard-1", "shard-3"], "merged"), 3, &["shards are missing: 2/3", "--shard 2/3"]);
    refused(&mut merge(&["shard-1", "shard-1", "shard-3"], "merged"), 3, &["is shard 1/3, and so is"]);
    done(&mut merge(&["shard-2", "shard-3", "shard-1"], "merged"));
    same(&b.path("whole"), &b.path("merged"));
    refused_folders(&b, &merge);
    outcomes_are_whole(&b);
}

/// A shard of another plan, results of another plan, a damaged line.
fn refused_folders(b: &Bench, merge: &dyn Fn(&[&str], &str) -> Command) {
    let other = PLAN.replace("repeats = 3", "repeats = 2");
    plan(b, &other);
    refused(
        &mut run(b, "whole", &[]),
        3,
        &["holds results of another plan, with other pictures, tasks, shots or repeats"],
    );
    done(&mut run(b, "other-1", &["--shard", "1/3"]));
    refused(&mut merge(&["shard-2", "shard-3", "other-1"], "merged"), 3, &["is of another plan"]);
    refused(&mut run(b, "other-1", &["--shard", "2/3"]), 3, &["holds results of shard 1/3 of this plan"]);
    plan(b, PLAN);
    let path = b.path("shard-1/outcomes.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"good\":2", "\"good\":3", 1)).unwrap();
    refused(&mut merge(&["shard-1", "shard-2", "shard-3"], "merged"), 3, &["outcomes.jsonl: line ", "is damaged"]);
    fs::write(&path, &text[..text.len() - 9]).unwrap();
    refused(
        &mut merge(&["shard-1", "shard-2", "shard-3"], "merged"),
        3,
        &["units are not done yet, of the shards 1/3"],
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text[..text.len() - 9], "a merge leaves shards as they are");
    fs::create_dir(b.path("mine")).unwrap();
    b.write("mine/results.csv", b"my own");
    refused(&mut run(b, "mine", &[]), 3, &["mine: holds results.csv, but not study.json", "give another folder"]);
}

/// What was found out about what was asked for.
fn outcomes_are_whole(b: &Bench) {
    let rows = fs::read_to_string(b.path("whole/results.csv")).unwrap();
    let head: Vec<&str> = rows.lines().next().unwrap().split(',').collect();
    let column = |row: &str, name: &str| {
        row.split(',')
            .nth(head.iter().position(|h| *h == name).unwrap_or_else(|| panic!("{name}")))
            .unwrap()
            .to_string()
    };
    let of = |method: &str, task: &str| {
        rows.lines().skip(1).filter(|r| column(r, "method") == method && column(r, "task") == task).collect::<Vec<_>>()
    };
    assert_eq!(of("prototypes cosine", "T4").len(), 2 * 3);
    assert_eq!(of("prototypes squared corrected", "T1").len(), 3, "one shot of each class has no spread");
    // 1, 2, 3 good ones in two repeats with their limits, and all of them: held out, oracle; with bad shots also by the support, where there
    // are two good ones.
    let detector = of("detector", "T2");
    assert_eq!(detector.iter().filter(|r| column(r, "limit") == "oracle").count(), 2 * 4);
    assert_eq!(detector.iter().filter(|r| column(r, "limit") == "support").count(), 2);
    assert!(detector.iter().filter(|r| column(r, "all_good") == "true").all(|r| column(r, "good_shots") == "4"));
    assert_eq!(of("detector then prototypes", "T1").len(), 2 * 3);
    for row in rows.lines().skip(1) {
        let [good, bad] = ["n_query_good", "n_query_bad"].map(|name| column(row, name));
        let expected = match column(row, "task").as_str() {
            "T2" | "T4" => ["4", "10"],
            "T3" => ["0", "8"],
            _ => ["4", "8"],
        };
        assert_eq!([good.as_str(), bad.as_str()], expected, "{row}");
    }
    let episodes = fs::read_to_string(b.path("whole/episodes.jsonl")).unwrap();
    assert_eq!(episodes.lines().count(), 5 * 3);
    assert!(!episodes.contains("copy.png") && !episodes.contains("left"));
}

#[test]
fn what_a_plan_takes_is_told_before_anything_runs() {
    if no_gpu() {
        return skip("what a plan takes", "LUPE_NO_GPU is set");
    }
    let b = Bench::new();
    let path = plan(&b, PLAN);
    let told = |more: &[&str]| {
        let mut command = verb(&["experiment", "plan"]);
        done(command.arg(&path).args(more))
    };
    let said = told(&[]);
    for word in ["prototypes", "detector then prototypes", "about", "left out:", "spot 6, turned 6 (painted)"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    plan(&b, &PLAN.replace("repeats = 3", "repeats = 3\nbudget-hours = 0.0000001"));
    assert!(told(&[]).contains("which is NOT enough"));
    refused(&mut run(&b, "out", &[]), 2, &["budget-hours 0.0000001", "lupe experiment plan"]);
}

/// Message, line and code of each thing that is wrong with a plan; none of them needs a device.
#[test]
fn what_is_wrong_with_a_plan_is_told_with_its_line() {
    let b = Bench::new();
    plan(&b, PLAN);
    let wrong = |from: &str, to: &str, want: &[&str]| {
        assert!(PLAN.contains(from), "{from}");
        let text = PLAN.replacen(from, to, 1);
        plan(&b, &text);
        refused(lupe().args(["experiment", "plan"]).arg(b.path("study.toml")), 2, want);
    };
    wrong("repeats = 3", "repeat = 3", &["line 3", "unknown field `repeat`", "`repeats`"]);
    wrong("repeats = 3", "repeats = 0", &["line 3: repeats: must be between 1 and 10000"]);
    wrong("T1 =", "T9 =", &["line 11", "unknown variant `T9`"]);
    wrong("\"patchcore\"", "\"patchcor\"", &["line 25", "unknown variant `patchcor`"]);
    wrong("\"parts\"", "\"pears\"", &["line 6: category:", "pears does not exist"]);
    wrong(
        "[\"left\"]",
        "[\"right\"]",
        &["line 4: exclude: no data set has a kind of defect `right`; there are left, spot, turned"],
    );
    wrong(
        "{ good = [2, 4], bad = 2 }",
        "{ good = [2, 7], bad = 2 }",
        &["line 14: T4: parts: 7 good shots, but 6 good pictures", "at most 6"],
    );
    wrong(
        "T3 = { shots = [2] }",
        "T3 = { shots = [6] }",
        &["line 13: T3: parts: 6 shots of spot, which has 6 pictures", "at most 5"],
    );
    wrong("T3 = { shots = [2] }", "T3 = { good = [2] }", &["line 13: T3: expected shots"]);
    wrong("T3 = { shots = [2] }", "T3 = { shots = [0] }", &["line 13: T3: a number of shots must be at least 1"]);
    wrong("size = 64", "sizes = 64", &["unknown field `sizes`"]);
    wrong(
        "good = [3, 20, \"all\"]",
        "distance = [\"cosine\"]",
        &["line 30: distance is no choice of this kind of method; it has network, weights"],
    );
    wrong("good = [3, 20, \"all\"]", "good = [0]", &["good: a number of good pictures must be at least 1"]);
    wrong("tasks = [\"T2\"]", "tasks = [\"T1\"]", &["tasks: detector has no answer to T1"]);
    wrong("repeats = 2", "repeats = 9", &["repeats: must be between 1 and 3, the study's own"]);
    wrong(
        "detector = \"detector\"",
        "detector = \"nobody\"",
        &["no detector is called \"nobody\"; there are \"detector\""],
    );
    wrong(
        "learner = \"prototypes\"",
        "learner = \"absent two\"",
        &["no method on vectors is called \"absent two\"; there are \"prototypes\""],
    );
    wrong(
        "\"dino_vits16.facebook\"",
        "\"nothing.pth\"",
        &["line 37: absent: ", "nothing.pth does not exist, and `lupe weights list` has no such name"],
    );
    wrong("name = \"absent\"", "name = \"detector\"", &["two methods are called detector"]);
    wrong("[\"squared\", \"cosine\"]", "[\"cosine\"]", &["correction: only squared distances are corrected"]);
    wrong("[\"squared\", \"cosine\"]", "[\"city\"]", &["unknown variant `city`"]);
    wrong("size = 64", "size = 16", &["line 17: size 16: must be between 32 and 4096"]);
    refused(lupe().args(["experiment", "plan"]).arg(b.path("none.toml")), 3, &["none.toml: cannot be read"]);
    for bad in ["0/3", "4/3", "1", "a/b"] {
        refused(lupe().args(["experiment", "run", "p", "-o", "o", "--shard", bad]), 2, &["expected I/N"]);
    }
}
