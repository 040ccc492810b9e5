//! `lupe episodes`: what draws hold, accuracies that are known by hand, vectors that are kept, and refusals.

use crate::common::parts::part;
use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use lupe::methods::episodes::{Class, Episode, Learner, Member, Rule, pool, run};
use lupe::methods::metrics::{Confusion, Spread};
use lupe::methods::prototype::head::{Distance, Head};
use lupe::watch::Unwatched;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A class of pictures with these vectors.
fn class(name: &str, vectors: &[f32]) -> Class {
    let pictures = vectors.iter().enumerate().map(|(i, v)| (format!("{name}/{i}.png"), vec![*v, 1.0])).collect();
    Class { name: name.into(), pictures }
}

fn rule(shots: &[usize], queries: Option<usize>) -> Rule {
    Rule { seed: 0, pool: "p".into(), ways: None, shots: shots.into(), queries }
}

/// Calls everything the first class.
struct First;

impl Learner for First {
    fn logits(&mut self, support: &[Vec<&[f32]>], queries: &[&[f32]]) -> lupe::Result<Vec<Vec<f64>>> {
        Ok(queries.iter().map(|_| (0..support.len()).map(|i| -(i as f64)).collect()).collect())
    }
}

#[test]
fn what_is_known_by_hand_comes_out() {
    let classes = [class("a", &[0.0; 4]), class("good", &[10.0; 8])];
    let said = run(&classes, &rule(&[1], None), 10, &mut First, &Unwatched, &mut |_| ()).unwrap();
    let mean = |spread: Option<Spread>| spread.map(|s| (s.mean, s.interval.unwrap()));
    let one = &said[0];
    let near = |value: Option<(f64, f64)>, want: f64| {
        let (mean, interval) = value.unwrap();
        assert!((mean - want).abs() < 1e-12 && interval < 1e-12, "{mean} ± {interval} instead of {want}");
    };
    // Three queries of a, seven of good.
    near(mean(one.accuracy), 0.3);
    near(mean(one.balanced_accuracy), 0.5);
    near(mean(one.majority), 0.7);
    near(mean(one.auroc), 0.5);
    near(mean(one.recalls[0].recall), 1.0);
    near(mean(one.recalls[1].recall), 0.0);
    assert_eq!((one.shots, one.chance), (1, 0.5));
}

/// One picture of b lies at 1, beside all of a at 0; the others lie at 10. As a query it is called a, as the support of one it still is
/// nearer to the others than a is: the accuracy of a draw is known from where that picture is.
#[test]
fn prototypes_are_wrong_where_they_must_be() {
    let classes = [class("a", &[0.0; 6]), class("b", &[10.0, 10.0, 1.0, 10.0, 10.0, 10.0])];
    let rule = rule(&[1, 2], Some(3));
    let mut told = vec![];
    let mut head = Head::new(Distance::Squared);
    run(&classes, &rule, 40, &mut head, &Unwatched, &mut |e: Episode| told.push(e.json(&classes))).unwrap();
    let mut seen = BTreeSet::new();
    for (i, episode) in told.iter().enumerate() {
        let drawn = rule.draw(&[6, 6], i / 2);
        let is_query = drawn.queries[1].contains(&2);
        seen.insert(is_query);
        let called: Vec<&str> = episode["said"]["b"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
        let expected: Vec<&str> = drawn.queries[1].iter().map(|p| if *p == 2 { "a" } else { "b" }).collect();
        assert_eq!(called, expected, "{episode}");
        assert_eq!(episode["said"]["a"], serde_json::json!(["a", "a", "a"]));
        assert_eq!(episode["support"]["b"].as_array().unwrap().len(), 1 + i % 2);
        assert_eq!((&episode["seed"], &episode["repeat"]), (&drawn.text.into(), &(i / 2).into()));
    }
    assert!(told.len() == 80 && seen.len() == 2);
}

#[test]
fn a_class_that_takes_no_part_has_no_recall_of_that_draw() {
    let classes = ["a", "b", "c"].map(|name| class(name, &[name.as_bytes()[0] as f32; 3]));
    let two = Rule { ways: Some(2), ..rule(&[1], Some(2)) };
    let said = run(&classes, &two, 30, &mut Head::new(Distance::Squared), &Unwatched, &mut |_| ()).unwrap();
    let counts: Vec<usize> = said[0].recalls.iter().map(|r| r.recall.unwrap().count).collect();
    assert!(counts.iter().sum::<usize>() == 60 && counts.iter().all(|n| (10..30).contains(n)), "{counts:?}");
    assert!(said[0].chance == 0.5 && said[0].accuracy.unwrap().mean == 1.0);
}

#[test]
fn copies_are_left_out_and_contradictions_refused() {
    let member = |class: &'static str, name: &'static str, hash: &str| Member {
        class,
        name,
        vector: vec![0.0],
        sha256: hash.into(),
    };
    let (classes, copies) = pool([member("a", "a/1", "x"), member("a", "a/2", "x"), member("b", "b/1", "y")]).unwrap();
    assert_eq!((classes.len(), classes[0].pictures.len(), copies), (2, 1, vec!["a/2"]));
    let said = pool([member("a", "a/1", "x"), member("b", "b/1", "x")]).unwrap_err().to_string();
    assert!(said.contains("b/1: is the same file as a/1, of another class"), "{said}");
}

#[test]
fn intervals_and_balanced_accuracy_are_those_of_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/episode_metrics.safetensors");
    let bytes = fs::read(path).unwrap();
    let numbers = |t: &TensorView| -> Vec<f64> {
        let (data, eight) = (t.data(), |b: &[u8]| <[u8; 8]>::try_from(b).unwrap());
        match t.dtype() {
            Dtype::F64 => data.chunks(8).map(|b| f64::from_le_bytes(eight(b))).collect(),
            Dtype::I64 => data.chunks(8).map(|b| i64::from_le_bytes(eight(b)) as f64).collect(),
            _ => data.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
        }
    };
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let all: BTreeMap<String, Vec<f64>> = file.iter().map(|(name, t)| (name.into(), numbers(&t))).collect();
    let spread = Spread::of(&all["acc"]).unwrap();
    for (value, name) in [
        (spread.mean, "acc.mean__f64"),
        (spread.deviation.unwrap(), "acc.std_sample__f64"),
        (spread.interval.unwrap(), "acc.ci95_student_t39__f64"),
    ] {
        assert!((value - all[name][0]).abs() < 1e-7, "{name}: {value} instead of {}", all[name][0]);
    }
    let mut confusion = Confusion::new(4);
    for (i, n) in all["conf.matrix_rows_true"].iter().enumerate() {
        (0..*n as usize).for_each(|_| confusion.add(i / 4, i % 4));
    }
    for (value, name) in
        [(confusion.accuracy(), "conf.accuracy__f64"), (confusion.balanced_accuracy(), "conf.balanced_accuracy__f64")]
    {
        assert!((value.unwrap() - all[name][0]).abs() < 1e-7, "{name}");
    }
}

/// Two classes that differ in brightness, of 5 and 6 pictures, and one that is empty of pictures where asked for.
fn parts(b: &Bench) -> PathBuf {
    let root = b.path("parts");
    for (class, n, shift) in [("dark", 5, 0), ("light", 6, 120)] {
        fs::create_dir_all(root.join(class)).unwrap();
        for i in 0..n {
            let mut picture = part(i + shift, 40, 40);
            picture.pixels_mut().flat_map(|p| &mut p.0).for_each(|v| *v = *v / 2 + shift as u8);
            picture.save(root.join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    root
}

/// `lupe episodes` with a cache of its own and small pictures.
fn command(b: &Bench, data: &Path, more: &[&str]) -> Command {
    let mut command = lupe();
    command.env("XDG_CACHE_HOME", b.path("cache")).arg("episodes").arg(data);
    let usual = [["--size", "64"], ["--shots", "1,2"], ["--queries", "2"], ["--episodes", "20"]];
    command.args(usual.iter().filter(|word| !more.contains(&word[0])).flatten()).args(more);
    command
}

fn kept(b: &Bench) -> Vec<PathBuf> {
    let folders = fs::read_dir(b.path("cache/lupe/features")).into_iter().flatten().map(|f| f.unwrap().path());
    let mut all: Vec<PathBuf> = folders.flat_map(|f| fs::read_dir(f).unwrap().map(|f| f.unwrap().path())).collect();
    all.sort();
    all
}

#[test]
fn vectors_are_kept_and_the_same_bytes_come_twice() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = parts(&b);
    let first = done(command(&b, &data, &["--json"]).arg("-o").arg(b.path("one")));
    assert_eq!(kept(&b).len(), 11);
    // The second run finds no driver, and needs none.
    let blind = |more: &[&str]| {
        let mut command = command(&b, &data, more);
        for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
            command.env(variable, "/nonexistent.json");
        }
        command.env("WGPU_BACKEND", "vulkan");
        command
    };
    let again = blind(&["--json"]).arg("-o").arg(b.path("two")).output().unwrap();
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(text(&again.stdout), first);
    assert!(text(&again.stderr).contains("11 of 11 are kept from earlier runs"), "{}", text(&again.stderr));
    for name in ["episodes.jsonl", "summary.json"] {
        assert_eq!(fs::read(b.path("one").join(name)).unwrap(), fs::read(b.path("two").join(name)).unwrap(), "{name}");
    }
    refused(&mut blind(&["--fresh"]), 5, &[]);
    refused(&mut blind(&["--crop"]), 5, &[]);

    // Damage is noticed and mended.
    let victim = &kept(&b)[3];
    let good = fs::read(victim).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 1;
    fs::write(victim, bad).unwrap();
    refused(&mut blind(&[]), 5, &["1 of the vectors that were kept are damaged"]);
    let mended = command(&b, &data, &["--json"]).output().unwrap();
    assert_eq!(text(&mended.stdout), first);
    assert!(text(&mended.stderr).contains("10 of 11 are kept"), "{}", text(&mended.stderr));
    assert_eq!(fs::read(victim).unwrap(), good);

    // A file that moves keeps its vector; one that changes does not. The bound is held.
    fs::rename(data.join("dark/0.png"), data.join("dark/9.png")).unwrap();
    done(&mut blind(&[]));
    part(77, 40, 40).save(data.join("dark/9.png")).unwrap();
    refused(&mut blind(&[]), 5, &["10 of 11 are kept"]);
    done(&mut command(&b, &data, &["--keep", "12K"]));
    let bytes: u64 = kept(&b).iter().map(|f| f.metadata().unwrap().len()).sum();
    assert!(bytes <= 12 << 10 && bytes > 9 << 10, "{bytes}");
    done(&mut command(&b, &data, &["--keep", "0"]));
}

#[test]
fn results_say_what_was_done() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = parts(&b);
    fs::copy(data.join("light/0.png"), data.join("light/copy.png")).unwrap();
    let out = command(&b, &data, &[]).arg("-o").arg(b.path("out")).output().unwrap();
    let (said, told) = (text(&out.stdout), text(&out.stderr));
    assert!(out.status.success(), "{told}");
    for part in
        ["prototype, squared distance", "20 draws of parts, seed 0: 2-way, 2 queries", "100.0 ± 0.0 %", "50.0 %"]
    {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert!(told.contains("same as another 1 (light/copy.png)"), "{told}");
    let lines = fs::read_to_string(b.path("out/episodes.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 40);
    for pair in lines.chunks(2) {
        let names = |episode: &Value, what: &str, class: &str| -> Vec<String> {
            episode[what][class].as_array().unwrap().iter().map(|n| n.as_str().unwrap().into()).collect()
        };
        for class in ["dark", "light"] {
            let [one, two] = [&pair[0], &pair[1]].map(|e| names(e, "support", class));
            assert_eq!((one.as_slice(), two.len()), (&two[..1], 2));
            let asked = names(&pair[0], "queries", class);
            assert_eq!(asked, names(&pair[1], "queries", class));
            assert!(asked.len() == 2 && !asked.iter().any(|a| two.contains(a) || a == "light/copy.png"));
        }
    }
    let summary: Value = serde_json::from_slice(&fs::read(b.path("out/summary.json")).unwrap()).unwrap();
    assert_eq!(summary["facts"]["pictures"], serde_json::json!({"dark": 5, "light": 6}));
    assert_eq!(summary["results"][1]["recalls"]["light"]["mean"], 1.0);
    assert_eq!(summary["files"]["looked_at"], 11);
    let other = done(command(&b, &data, &["--seed", "1", "--json"]).arg("-q"));
    assert_ne!(serde_json::from_str::<Value>(&other).unwrap()["facts"], summary["facts"]);
}

#[test]
fn what_cannot_be_measured_is_told() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = parts(&b);
    let out = b.path("out");
    let with = |more: &[&str]| {
        let mut command = command(&b, &data, more);
        command.arg("-o").arg(&out);
        command
    };
    refused(
        &mut with(&["--queries", "4"]),
        3,
        &["parts: 2 shots and 4 queries take 6", "but dark has 5; give smaller"],
    );
    refused(&mut with(&["--classes", "dark"]), 3, &["expected at least two classes, found dark alone"]);
    refused(&mut with(&["--classes", "dark,gray"]), 2, &["unknown class `gray`; available: dark, light"]);
    refused(&mut with(&["--ways", "3"]), 2, &["--ways 3: must be between 2 and 2"]);
    refused(&mut with(&["--method", "pmf"]), 2, &["dino_vits16 has no built-in weights"]);
    refused(&mut with(&["--shot-correction"]), 2, &["one picture in every class", "--shot-correction"]);
    refused(&mut with(&["--place", "nowhere"]), 2, &["nowhere", "block10"]);
    refused(&mut with(&["--method", "caml"]), 2, &["--checkpoint <FILE>"]);
    refused(&mut with(&["--queries", "some"]), 2, &["expected a number, or all"]);
    refused(&mut with(&["--size", "16"]), 2, &["size 16: must be between 32 and 4096"]);
    fs::write(data.join("dark/4.png"), b"no picture").unwrap();
    refused(&mut with(&[]), 3, &["dark/4.png"]);
    assert!(!out.exists());
    refused(&mut with(&["--keep-going"]), 9, &["1 of 11 pictures could not be read", "dark/4.png"]);
    assert!(out.join("episodes.jsonl").exists());
    fs::copy(data.join("light/0.png"), data.join("dark/4.png")).unwrap();
    refused(&mut with(&[]), 3, &["light/0.png: is the same file as dark/4.png, of another class"]);
    for i in 0..5 {
        fs::write(data.join(format!("dark/{i}.png")), b"no picture").unwrap();
    }
    refused(&mut with(&["--keep-going"]), 3, &["dark: none of its pictures could be read"]);
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_the_episodes_and_writes_nothing() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = parts(&b);
    done(&mut command(&b, &data, &[]));
    let mut many = lupe();
    many.env("XDG_CACHE_HOME", b.path("cache")).arg("episodes").arg(&data).arg("-o").arg(b.path("out"));
    many.args(["--size", "64", "--shots", "1", "--queries", "1", "--episodes", "1000000"]);
    let mut child = many.stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("vectors   11 of 11") {
        assert!(told.read_line(&mut said).unwrap() > 0, "it ended: {said}");
    }
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    told.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("no results were written; the vectors"), "{said}");
    assert!(!b.path("out").exists());
}
