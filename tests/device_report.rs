//! The report of a card, tried on the device that is here: parts that hang or crash are told and do not stop the rest.

#[path = "../benches/device/main.rs"]
mod device;
#[allow(dead_code)]
#[path = "common/program.rs"]
mod program;
#[path = "common/skip.rs"]
mod skip;

use device::{golden, md, report, standing, sweep};
use libtest_mimic::{Arguments, Trial};
use lupe::measure::bench::Report;
use program::{no_gpu, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output};

/// Set where this binary is to be the program itself.
const PROGRAM: &str = "LUPE_DEVICE_PROGRAM";

fn main() -> ExitCode {
    if std::env::var_os(PROGRAM).is_some() {
        return device::main();
    }
    let test = |name: &str, check: fn()| {
        Trial::test(name, move || {
            check();
            Ok(())
        })
    };
    let trials = vec![
        test("parts_that_hang_or_crash_do_not_stop_the_rest", parts_that_hang_or_crash_do_not_stop_the_rest),
        test("kernels_that_hang_or_crash_are_named", kernels_that_hang_or_crash_are_named),
        test("the_program_refuses_what_it_cannot_do", the_program_refuses_what_it_cannot_do),
        test("no_processor_is_taken_unless_it_is_named", no_processor_is_taken_unless_it_is_named),
        test("a_verdict_that_changed_is_seen", a_verdict_that_changed_is_seen),
        test("defaults_stand_where_arithmetic_says", defaults_stand_where_arithmetic_says),
        test("a_wrong_kernel_is_told_in_full", a_wrong_kernel_is_told_in_full),
        test("numbers_and_tables", numbers_and_tables),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The program on the device that is here, little of everything.
fn ran(out: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(PROGRAM, "1").args(["--lupe", env!("CARGO_BIN_EXE_lupe"), "--amount", "tiny"]);
    if !words.contains(&"--minutes") {
        command.args(["--minutes", "60"]);
    }
    command.arg("-o").arg(out).args(words).output().unwrap()
}

fn parsed(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap()
}

fn part<'r>(report: &'r Value, name: &str) -> &'r Value {
    report["parts"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap()
}

fn parts_that_hang_or_crash_do_not_stop_the_rest() {
    if no_gpu() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let words = ["-d", "0", "--parts", "devices,sweep,verify,bench,search", "--hang", "verify", "--crash", "bench"];
    let ran = ran(&out, &words);
    assert_eq!(ran.status.code(), Some(9), "{}", text(&ran.stderr));
    assert!(text(&ran.stderr).contains("not all went well: verify, bench"), "{}", text(&ran.stderr));
    let report = parsed(&out);
    let states: Vec<&str> = report["parts"].as_array().unwrap().iter().map(|p| p["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "done", "over time", "crashed", "done"], "{report:#}");
    for name in ["verify", "bench"] {
        let said = part(&report, name)["said"].to_string();
        assert!(said.contains("begin "), "what {name} began last is told: {said}");
    }
    let sweep = &part(&report, "sweep")["data"];
    assert!(sweep["right"].as_u64().unwrap() > 10 && sweep["right"] == sweep["candidates"], "{sweep}");
    assert_eq!(part(&report, "devices")["data"]["adapter"]["name"], report["adapter"]["name"]);
    assert_eq!(part(&report, "search")["data"]["searches"].as_array().unwrap().len(), 1);
    let markdown = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(
        markdown.contains("| verify | **over time** |") && markdown.contains("| bench | **crashed** |"),
        "{markdown}"
    );
    let archive = flate2::read::GzDecoder::new(fs::File::open(out.join("report.tar.gz")).unwrap());
    let mut archive = tar::Archive::new(archive);
    let names: Vec<String> =
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert!(["rest/sweep.json", "rest/log/verify.log"].iter().all(|n| names.iter().any(|m| m == n)), "{names:?}");
    assert!(!out.join("scratch").exists());
}

fn kernels_that_hang_or_crash_are_named() {
    if no_gpu() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let words = ["-d", "0", "--parts", "sweep", "--hang", "sweep:softmax::0::1", "--crash", "sweep:norm::0::0"];
    for (flag, name) in
        [(&words[..6], "softmax::0::1"), (&[words[0], words[1], words[2], words[3], words[6], words[7]], "norm::0::0")]
    {
        let out = folder.path().join(name.replace("::", "-"));
        let ran = ran(&out, flag);
        assert_eq!(ran.status.code(), Some(9), "{}", text(&ran.stderr));
        let report = parsed(&out);
        let sweep = &part(&report, "sweep")["data"];
        let wrong = sweep["wrong"].as_array().unwrap();
        assert_eq!(wrong.len(), 1, "{sweep:#}");
        assert!(wrong[0]["name"].as_str().unwrap().starts_with(name), "{sweep:#}");
        assert_eq!(sweep["right"].as_u64().unwrap() + 1, sweep["candidates"].as_u64().unwrap());
        assert!(fs::read_to_string(out.join("report.md")).unwrap().contains(name));
    }
}

fn the_program_refuses_what_it_cannot_do() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |words: &[&str], code: i32, want: &str| {
        let ran = ran(folder.path(), words);
        assert_eq!(ran.status.code(), Some(code), "{words:?}: {}", text(&ran.stderr));
        assert!(text(&ran.stderr).contains(want), "{words:?}: {}", text(&ran.stderr));
    };
    refused(&["--parts", "devices,sweeps"], 2, "there is no part sweeps; there are devices, sweep, golden");
    refused(&["--minutes", "0"], 2, "a number of minutes above 0");
    fs::write(folder.path().join("mine"), b"").unwrap();
    refused(&["--parts", "devices"], 2, "is not empty; name another folder with -o");
}

fn no_processor_is_taken_unless_it_is_named() {
    let adapter = |index: usize, name: &str, kind: &str| json!({"index": index, "name": name, "kind": kind});
    let processor = adapter(0, "vulkan:llvmpipe", "cpu");
    let e = report::chosen(None, std::slice::from_ref(&processor)).unwrap_err();
    assert_eq!(e.exit_code(), 5);
    assert!(e.to_string().contains("no adapter that is no processor; name one with -d: 0 vulkan:llvmpipe"), "{e}");
    let all = [
        processor,
        adapter(1, "vulkan:Intel", "integrated"),
        adapter(2, "vulkan:NVIDIA H100", "discrete"),
        adapter(3, "gl:NVIDIA H100", "discrete"),
    ];
    let index = |device: Option<&str>| report::chosen(device, &all).unwrap()["index"].as_u64().unwrap();
    assert_eq!([None, Some("llvm"), Some("1"), Some("gl:")].map(index), [2, 0, 1, 3]);
    assert!(report::chosen(Some("7"), &all).is_err());
}

fn a_verdict_that_changed_is_seen() {
    let line =
        |path: &str, score: Value, above: bool| json!({"path": path, "score": score, "limit": 4.0, "above": above});
    let there = json!([line("a", json!(1.0), false), line("b", json!(5.0), true), line("c", json!(2.0), false)]);
    let same = golden::compare(&there, &there);
    assert_eq!((&same["largest"], &same["flips"], &same["missing"]), (&json!(0.0), &json!([]), &json!([])));
    let here = json!([line("a", json!(1.5), false), line("b", json!(3.0), false)]);
    let found = golden::compare(&there, &here);
    assert_eq!((&found["largest"], &found["share"], &found["missing"]), (&json!(2.0), &json!(0.5), &json!(["c"])));
    assert_eq!(found["flips"][0]["path"], "b");
    let lost = golden::compare(&there, &json!([line("a", Value::Null, false)]));
    assert!(lost["largest"].as_f64().unwrap() > 1e300, "a score that is no number is no small difference");
}

/// A candidate of a kind of `op` that takes `us`; the first of a kind is the default.
fn row(op: &str, kernel: &str, default: bool, us: f64) -> Value {
    json!({
        "subject": "net", "key": op, "op": op, "node": "a", "calls": 3, "kernel": kernel, "default": default, "inputs": [[1, 4]],
        "shape": [1, 4], "us": [us], "median": us, "spread": 0.0, "flops": 1, "bytes": 1, "gflops": 1.0, "gbs": 1.0,
        "bound": "memory", "of_ceiling": 0.5,
    })
}

fn defaults_stand_where_arithmetic_says() {
    let ceiling = json!({"rate": 1.0, "spread": 0.0, "noisy": false, "kernel": "k"});
    let mut nobody = row("copy", "first", true, 100.0);
    nobody["subject"] = json!("ceilings");
    let report = json!({
        "adapter": "a", "driver": "d", "width": null, "clock": "device", "lupe_version": "0", "profile": "release", "repeats": 1,
        "ceilings": {"copy": ceiling, "arithmetic": ceiling},
        "rows": [
            nobody, row("copy", "second", false, 10.0), row("conv2d", "first", true, 100.0), row("conv2d", "second", false, 50.0), row("conv2d", "first", true, 80.0),
            row("pool", "first", true, 10.0), row("pool", "second", false, 40.0),
            row("short", "first", true, 4.0), row("short", "second", false, 1.0),
        ],
    });
    let found = standing::standing(&Report::read(report.to_string().as_bytes(), "x").unwrap());
    let near = |path: &str, want: f64| {
        let got = md::number(&found, path).unwrap();
        assert!((got - want).abs() < 1e-9, "{path}: {got}, {want} is right; {found:#}");
    };
    near("/all/mean", 0.5f64.cbrt());
    near("/all/worst", 0.5);
    near("/ops/0/mean", 0.5f64.sqrt());
    near("/ops/1/mean", 1.0);
    assert_eq!(
        (&found["all"]["kinds"], found["ops"].as_array().unwrap().len()),
        (&json!(3), 2),
        "short kinds do not count"
    );
    near("/subjects/0/default_us", 3.0 * 194.0);
    near("/subjects/0/best_us", 3.0 * 141.0);
    assert_eq!((&found["worst"][0]["best"], &found["worst"][0]["share"]), (&json!("second"), &json!(0.5)));
    let head = standing::page(&found).head;
    assert_eq!(head[0][1], "79 % on average, 50 % at worst; the bar of 80 % and 60 % is **not met**");
}

fn a_wrong_kernel_is_told_in_full() {
    let found = json!({"op": "Relu", "inputs": ["[4]"], "what": "production: row 0; worst is element 2: 1, the reference 0", "source": "a.wgsl"});
    let data = json!({
        "candidates": 3, "ops": 1, "right": 2, "wrong": [{"name": "map::0::1 map", "found": found}], "running": ["map::0::2 map"],
    });
    let page = sweep::page(&data);
    assert_eq!(page.head[0][1], "2 of 3 candidates of 1 ops are as their references");
    for part in [
        "map::0::1 map",
        "worst is element 2: 1, the reference 0",
        "rest/failures/a.wgsl",
        "was ended:\n\n- map::0::2 map",
    ] {
        assert!(page.body.contains(part), "{part} is not in {}", page.body);
    }
}

fn numbers_and_tables() {
    let shown = [1234.5, 12.345, 1.2345, 0.12345, 0.0012345, 0.0].map(md::digits);
    assert_eq!(shown, ["1234", "12.3", "1.23", "0.123", "1.2e-3", "0"]);
    assert_eq!((md::short(&json!({"a": 2.0}), "/a"), md::short(&json!({}), "/a")), ("2.00".into(), "–".into()));
    let row = ["a|b".to_string(), "c\nd".to_string()];
    assert_eq!(md::table(&["x", "y"], &[row]), "| x | y |\n| --- | --- |\n| a\\|b | c d |\n");
    assert_eq!(md::table::<[String; 1]>(&["x"], &[]), "");
}
