//! EfficientAD from pictures to a model by the commands: a teacher distilled, a training that is killed and resumed, what is refused.

use crate::common::parts::{part, spoiled, verb};
use crate::common::program::{Bench, done, no_gpu, refused};
use crate::common::skip::skip;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Good pictures, and others that serve as anything else.
fn data(b: &Bench) -> [PathBuf; 2] {
    let [good, others] = ["good", "others"].map(|name| b.path(name));
    for folder in [&good, &others] {
        fs::create_dir_all(folder).unwrap();
    }
    for n in 0..6 {
        part(n, 96, 96).save(good.join(format!("{n}.png"))).unwrap();
        spoiled(n, 96, 96).0.save(others.join(format!("{n}.png"))).unwrap();
    }
    [good, others]
}

fn distill(others: &Path, teacher: &Path, more: &[&str]) -> Command {
    let mut command = verb(&["distill"]);
    command
        .arg(others)
        .arg("-o")
        .arg(teacher)
        .args(["--narrow", "16", "--image-size", "64", "--batch", "2"])
        .args(more);
    command
}

fn fit(b: &Bench, name: &str, more: &[&str]) -> Command {
    let mut command = verb(&["fit", "efficientad"]);
    command.arg(b.path("good")).arg("--teacher").arg(b.path("teacher.safetensors"));
    command.arg("--penalty").arg(b.path("others")).args(["--steps", "24", "--checkpoint-every", "2"]);
    command.arg("-o").arg(b.path(name)).args(more);
    command
}

/// Waits until a file is there, or the process has ended; how long that took.
fn wait_for(file: &Path, child: &mut Child) -> Duration {
    let since = Instant::now();
    while !file.exists() && child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < Duration::from_secs(240), "no {}", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    since.elapsed()
}

fn started(b: &Bench, name: &str) -> Child {
    fit(b, name, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills a training at five moments that are drawn from a seed, the first checkpoint of one that is not stopped taking so long and all of it
/// so long; whether there was one to go on from. A training that ends before its moment begins anew.
fn killed(b: &Bench, seed: u64, [first, all]: [Duration; 2]) -> bool {
    let (checkpoint, mut kills, mut resumed) = (b.path("killed.lupe.training"), 0, false);
    for draw in 0.. {
        let drawn = lupe::random::uniform(&format!("killed {seed}"), draw);
        let moment = first.mul_f64(0.7) + (all - first.mul_f64(0.7)).mul_f64(0.6 * drawn);
        let mut child = started(b, "killed.lupe");
        std::thread::sleep(moment);
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
        println!("killed {kills} times, this time after {moment:?}; a checkpoint is there: {}", checkpoint.exists());
        resumed |= checkpoint.exists();
        if kills == 5 {
            break;
        }
        let _ = fs::remove_file(b.path("killed.lupe"));
    }
    resumed
}

#[test]
fn a_teacher_and_a_training_that_is_killed_again_and_again() {
    if no_gpu() {
        return skip("a training by the commands", "LUPE_NO_GPU is set");
    }
    let b = Bench::new();
    let [_, others] = data(&b);
    let teacher = b.path("teacher.safetensors");
    let said = done(&mut distill(&others, &teacher, &["--steps", "30"]));
    assert!(said.contains("fingerprint") && said.contains("over the first twentieth"), "{said}");
    let again = b.path("again.safetensors");
    done(&mut distill(&others, &again, &["--steps", "30"]));
    assert!(fs::read(&teacher).unwrap() == fs::read(&again).unwrap(), "two distillations differ");
    assert!(!b.path("teacher.safetensors.training").exists());
    // One that is never stopped.
    let (since, checkpoint) = (Instant::now(), b.path("killed.lupe.training"));
    let mut child = started(&b, "whole.lupe");
    let first = wait_for(&b.path("whole.lupe.training"), &mut child);
    assert!(child.wait().unwrap().success());
    let table = fs::read_to_string(b.path("whole.lupe.losses.csv")).unwrap();
    assert!(table.starts_with("step,hard,penalty,autoencoder,student\n1,") && table.lines().count() == 25, "{table}");
    assert!(fs::read_to_string(b.path("whole.lupe.losses.svg")).unwrap().contains("<svg"));
    let seed = std::env::var("LUPE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into());
    println!("LUPE_SEED={seed} draws the same moments");
    let resumed = killed(&b, seed, [first, since.elapsed()]);
    if checkpoint.exists() {
        // Other choices are no way to go on.
        let told = ["is the checkpoint of another training", "--fresh"];
        refused(&mut fit(&b, "killed.lupe", &["--seed", "1"]), 2, &told);
    }
    let said = done(&mut fit(&b, "killed.lupe", &[]));
    assert!(said.contains("24 steps"), "{said}");
    let [whole, killed] = ["whole.lupe", "killed.lupe"].map(|name| fs::read(b.path(name)).unwrap());
    assert!(whole == killed, "LUPE_SEED={seed}: a training that was killed gives another model");
    assert!(resumed, "LUPE_SEED={seed}: no checkpoint was ever there to go on from");
    let losses = ["whole", "killed"].map(|name| fs::read(b.path(&format!("{name}.lupe.losses.csv"))).unwrap());
    assert!(losses[0] == losses[1] && !checkpoint.exists());
    let predicted = done(verb(&["predict"]).arg(b.path("whole.lupe")).arg(&others).arg("-o").arg(b.path("results")));
    assert!(predicted.contains("limit"), "{predicted}");
}

#[test]
fn what_a_distillation_refuses() {
    if no_gpu() {
        return skip("a distillation by the command", "LUPE_NO_GPU is set");
    }
    let b = Bench::new();
    let [_, others] = data(&b);
    let teacher = b.path("t.safetensors");
    let cases: [(&[&str], i32, &str); 5] = [
        (&["--narrow", "3"], 2, "expected one of"),
        (&["--image-size", "60"], 2, "a multiple of 8 between 64 and 1024"),
        (&["--layers", "block99"], 2, "block99"),
        (&["--steps", "0"], 2, "0 is not in"),
        (&["--backbone", "resnet18"], 2, "give --weights FILE"),
    ];
    for (more, code, want) in cases {
        let mut command = verb(&["distill"]);
        command.arg(&others).arg("-o").arg(&teacher).args(more);
        refused(&mut command, code, &[want]);
    }
    let mut none = verb(&["distill"]);
    fs::create_dir_all(b.path("empty")).unwrap();
    none.arg(b.path("empty")).arg("-o").arg(&teacher);
    refused(&mut none, 3, &["empty"]);
    assert!(!teacher.exists());
}
