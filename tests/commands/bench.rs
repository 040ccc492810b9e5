//! `lupe bench`: sweeps in all formats, going on, verdicts on two sweeps, errors.

use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A sweep over the smallest pictures.
fn sweep() -> Command {
    let mut command = lupe();
    command.args(["bench", "--size", "32", "--repeats", "3", "--warmup", "1", "-q"]);
    command
}

fn rows(path: &PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    match text.starts_with('[') {
        true => serde_json::from_str(&text).unwrap(),
        false => text.lines().map(|l| serde_json::from_str(l).unwrap()).collect(),
    }
}

#[test]
fn a_sweep_in_every_format() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let models = "efficientnet_lite0,resnet18";
    let printed = done(sweep().args(["--model", models, "--batch", "1,2", "--cold", "1", "-o"]).arg(b.path("s.jsonl")));
    let rows = rows(&b.path("s.jsonl"));
    let cells: Vec<Value> = rows.iter().map(|r| json!([r["model"], r["input"]])).collect();
    let want = |model: &str, n: usize| json!([model, [n, 32, 32, 3]]);
    assert_eq!(
        cells,
        [want("efficientnet_lite0", 1), want("efficientnet_lite0", 2), want("resnet18", 1), want("resnet18", 2)]
    );
    for r in &rows {
        let times = |name: &str| r[name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<f64>>();
        assert_eq!((times("runs_ms").len(), times("cold_ms").len()), (3, 1));
        // A fresh process makes a plan before its first run.
        let run = times("runs_ms").into_iter().fold(f64::INFINITY, f64::min);
        assert!(times("cold_ms")[0] > run && r["first_cold_ms"].as_f64().unwrap() > run, "{r}");
        let bytes = |name: &str| r[name].as_u64().unwrap();
        assert!(bytes("peak_bytes") >= bytes("held_bytes") && bytes("held_bytes") > 10_000_000, "{r}");
        assert!(r["driver"].as_str().unwrap().len() > 3 && r["tuned"] == false, "{r}");
    }
    let plan: Value =
        serde_json::from_str(&done(lupe().args(["plan", "resnet18", "--size", "32", "--json", "-q"]))).unwrap();
    assert_eq!(rows[2]["flops"], plan["flops"]);
    assert_eq!(rows[3]["flops"].as_u64().unwrap(), 2 * plan["flops"].as_u64().unwrap());
    assert_eq!(printed.lines().count(), 6, "{printed}");
    let median = |r: &Value| {
        let mut ms: Vec<f64> = r["runs_ms"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        ms.sort_by(f64::total_cmp);
        format!("{:.2}", ms[1])
    };
    for (line, r) in printed.lines().skip(2).zip(&rows) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!((cells[1], cells[3]), (r["model"].as_str().unwrap(), median(r).as_str()), "{line}");
    }
    // The other forms, from the file alone: nothing is left to measure.
    let before = fs::read(b.path("s.jsonl")).unwrap();
    let again = |format: &str| {
        let args = ["--model", models, "--batch", "1,2", "--resume", "--format", format, "-o"];
        done(sweep().args(args).arg(b.path("s.jsonl")))
    };
    let csv = again("csv");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap().iter().take(3).collect::<Vec<_>>(), ["model", "input", "ms"]);
    let times: Vec<String> = reader.records().map(|r| r.unwrap()[2].to_string()).collect();
    assert_eq!(times, rows.iter().map(median).collect::<Vec<_>>());
    assert_eq!(serde_json::from_str::<Vec<Value>>(&again("json")).unwrap(), rows);
    assert_eq!(fs::read(b.path("s.jsonl")).unwrap(), before);
}

#[test]
fn a_sweep_goes_on_and_tells_what_failed() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let file = b.path("s.json");
    done(sweep().args(["--cold", "0", "-o"]).arg(&file));
    let first = rows(&file);
    refused(
        sweep().args(["--batch", "1,2,600", "--limit-memory", "40M", "--cold", "0", "--resume", "-o"]).arg(&file),
        9,
        &["1 of 3 measurements failed", "600x32x32x3", "40.0 MiB"],
    );
    let seen = rows(&file);
    assert_eq!((seen.len(), &seen[0]), (2, &first[0]));
    assert_eq!(seen[1]["input"][0], 2);
    refused(sweep().args(["--batch", "600", "--limit-memory", "40M", "--cold", "0"]), 6, &["40.0 MiB"]);
}

#[test]
fn a_fitted_model_is_timed_with_its_scoring() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    fs::create_dir(b.path("good")).unwrap();
    for i in 0..2 {
        b.picture(&format!("good/{i}.png"));
    }
    let model = b.path("m.lupe");
    let fit = ["--size", "64", "--test-split", "0", "--preset", "anomalib", "-q"];
    done(lupe().args(["fit", "patchcore"]).arg(b.path("good")).arg("-o").arg(&model).args(fit));
    let bench = ["--batch", "2", "--repeats", "2", "--cold", "0", "-q", "--format", "json", "--model"];
    let told: Value = serde_json::from_str(&done(lupe().arg("bench").args(bench).arg(&model))).unwrap();
    let plan: Value =
        serde_json::from_str(&done(lupe().args(["plan", "--batch", "2", "--json", "-q"]).arg(&model))).unwrap();
    assert_eq!((&told[0]["input"], told.as_array().unwrap().len()), (&json!([2, 64, 64, 3]), 1));
    assert_eq!(told[0]["flops"], plan["flops"]);
    let scored = plan["dispatches"].as_array().unwrap().iter().any(|d| d["op"] == "scan");
    assert!(scored, "scoring is a part of it: {plan}");
}

/// As `lupe bench` writes it.
fn row(model: &str, device: &str, middle: f64, half: f64) -> Value {
    let runs: Vec<f64> = (0..21).map(|i| middle + half * (f64::from(i) / 10.0 - 1.0)).collect();
    json!({"model": model, "input": [1, 224, 224, 3], "device": device, "driver": "d 1", "width": null, "lupe_version": "0.1.0",
        "tuned": false, "runs_ms": runs, "cold_ms": [], "first_cold_ms": 1.0, "flops": 1, "device_bytes": 1, "peak_bytes": null,
        "held_bytes": null, "load": null})
}

#[test]
fn two_sweeps_are_compared() {
    let b = Bench::new();
    let before = [row("net", "x", 100.0, 4.0), row("noisy", "x", 100.0, 40.0), row("gone", "x", 1.0, 0.1)];
    let after =
        [row("net", "x", 110.0, 4.0), row("noisy", "x", 110.0, 40.0), row("net", "cpu (LLVM 15, 512 bits)", 9.0, 0.1)];
    let (a, z) = (b.write("a.json", json!(before).to_string().as_bytes()), b.path("b.jsonl"));
    fs::write(&z, after.map(|r| r.to_string()).join("\n")).unwrap();
    let compare = |more: &[&str]| {
        let mut command = lupe();
        command.args(["bench", "compare"]).arg(&a).arg(&z).args(more);
        command
    };
    let said = done(&mut compare(&[]));
    let verdicts = |said: &str| -> Vec<String> {
        let cells = |l: &str| l.split('|').map(|c| c.trim().to_string()).collect::<Vec<_>>();
        said.lines().filter(|l| l.starts_with('|')).skip(2).map(|l| cells(l)[10].clone()).collect()
    };
    assert_eq!(verdicts(&said), ["slower", "unclear"], "{said}");
    assert!(said.contains("only in A: gone 1x224x224x3 on x") && said.contains("only in B: net"), "{said}");
    let told: Value = serde_json::from_str(&done(&mut compare(&["--json"]))).unwrap();
    assert_eq!(told["pairs"][0]["judged"]["verdict"], "slower");
    assert!((told["pairs"][0]["judged"]["ratio"].as_f64().unwrap() - 1.1).abs() < 1e-12);
    assert!(compare(&["--max-regress", "15"]).status().unwrap().success());
    refused(&mut compare(&["--max-regress", "5"]), 8, &["1 of 2 became slower by more than 5 %", "net", "+10.0 %"]);
    refused(&mut compare(&["--max-regress", "-1"]), 2, &["percent"]);
    // The same device at another width is the same device, and that is said.
    let wide = b.write("w.json", json!([row("net", "cpu (LLVM 15, 256 bits)", 9.0, 0.1)]).to_string().as_bytes());
    let said = done(lupe().args(["bench", "compare"]).arg(&wide).arg(&z));
    assert_eq!(verdicts(&said), ["same"], "{said}");
}

#[test]
fn fault_07_one_run_or_a_busy_machine_gives_no_verdict() {
    let b = Bench::new();
    let file = |name: &str, row: &Value| b.write(name, json!([row]).to_string().as_bytes());
    let compare = |a: &PathBuf, z: &PathBuf, more: &[&str]| {
        let mut command = lupe();
        command.args(["bench", "compare"]).arg(a).arg(z).args(more);
        command
    };
    let with = |middle: f64, runs: usize, load: Value, processors: Value| {
        let mut row = row("net", "x", middle, 1.0);
        row["runs_ms"].as_array_mut().unwrap().truncate(runs);
        (row["load"], row["processors"]) = (load, processors);
        row
    };
    let quiet = |middle: f64, runs: usize| with(middle, runs, json!(0.4), json!(8));
    let (before, after) = (file("a.json", &quiet(100.0, 6)), file("b.json", &quiet(200.0, 6)));
    refused(&mut compare(&before, &after, &["--max-regress", "5"]), 8, &["net"]);
    for (name, row, why) in [
        ("one.json", quiet(200.0, 1), "A has 6 runs, B has 1; at least 6 are needed (--repeats)"),
        ("five.json", quiet(200.0, 5), "B has 5"),
        ("busy.json", with(200.0, 6, json!(4.5), json!(8)), "a load of 4.5 on 8 processors before B"),
        ("old.json", with(200.0, 6, json!(1.2), Value::Null), "a load of 1.2 on 1 processors before B"),
    ] {
        let other = file(name, &row);
        for (a, z) in [(&before, &other), (&other, &after)] {
            let said = done(&mut compare(a, z, &["--max-regress", "5"]));
            assert!(said.contains("| unclear ") && said.contains("unclear: "), "{said}");
        }
        assert!(done(&mut compare(&before, &other, &[])).contains(why), "{name}");
        let told: Value = serde_json::from_str(&done(&mut compare(&before, &other, &["--json"]))).unwrap();
        let doubt = if name.contains("busy") || name.contains("old") { "busy" } else { "few_runs" };
        assert_eq!(told["pairs"][0]["judged"]["doubt"], doubt);
    }
}

#[test]
fn what_cannot_be_compared_is_said() {
    let b = Bench::new();
    let file = |name: &str, rows: Value| b.write(name, rows.to_string().as_bytes());
    let good = file("a.json", json!([row("net", "x", 100.0, 4.0)]));
    let other = file("b.json", json!([row("other", "x", 100.0, 4.0)]));
    let mut bad = row("net", "x", 100.0, 4.0);
    bad["runs_ms"] = json!([]);
    let empty = file("c.json", json!([bad]));
    bad["runs_ms"] = json!([1.0, -1.0]);
    let negative = file("d.json", json!([bad]));
    let compare = |other: &PathBuf, want: &[&str]| {
        refused(lupe().args(["bench", "compare"]).arg(&good).arg(other), 3, want);
    };
    compare(
        &other,
        &["no measurement of the same model, input and device is in both", "a.json has net", "b.json has other"],
    );
    compare(&empty, &["c.json: net has no runs, or a run whose time is invalid"]);
    compare(&negative, &["d.json: net has no runs, or a run"]);
    compare(&b.write("e.json", b"[1, 2"), &["e.json: not results of `lupe bench`"]);
    compare(&b.write("f.md", b"| model |"), &["f.md: not results"]);
    compare(&b.path("missing.json"), &["missing.json"]);
    compare(&b.write("g.json", b"\xff\xfe"), &["g.json"]);
}

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
    let b = Bench::new();
    refused(lupe().args(["bench", "-o"]).arg(b.path("x.txt")), 2, &["x.txt", ".jsonl"]);
    refused(lupe().args(["bench", "--batch", "1,0"]), 2, &["--batch"]);
    refused(lupe().args(["bench", "--repeats", "0"]), 2, &["--repeats"]);
    refused(lupe().args(["bench", "--model", "resnet18,resnet50", "--weights", "f"]), 2, &["--weights"]);
    refused(lupe().args(["bench", "--resume"]), 2, &["--output"]);
    if no_gpu() {
        return;
    }
    refused(sweep().args(["--model", "efficientnet_lite0,resnet19"]), 2, &["unknown network `resnet19`"]);
    refused(lupe().args(["bench", "--model", "missing.lupe"]), 4, &["missing.lupe"]);
    refused(sweep().args(["--device", "auto,nonesuch"]), 5, &["there is no adapter", "nonesuch"]);
    let file = b.write("file", b"");
    refused(sweep().args(["--cold", "0", "-o"]).arg(file.join("s.json")), 10, &["s.json cannot be written"]);
    refused(sweep().args(["--resume", "-o"]).arg(b.write("s.json", b"x")), 3, &["s.json"]);
    for theirs in ["s.json", "s.md", "s.csv"] {
        let path = b.write(theirs, b"a list of mine\n");
        refused(sweep().args(["--cold", "0", "-o"]).arg(&path), 10, &["would be replaced", "choose another output"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"a list of mine\n");
        std::fs::remove_file(path).unwrap();
    }
    refused(sweep().args(["--resume", "-o"]).arg(b.path("s.csv")), 2, &["--resume needs"]);
}

/// Who starts a measurement and dies leaves nobody behind who keeps the machine busy.
#[test]
fn a_worker_ends_with_its_caller() {
    if no_gpu() {
        return;
    }
    let mut command = lupe();
    command.args(["bench", "--worker", "runs", "--size", "32", "--repeats", "10000", "-q"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    drop(child.stdin.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stderr));
}
