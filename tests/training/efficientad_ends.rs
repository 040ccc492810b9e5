//! How a training of EfficientAD ends: early, by what is held out, and where the disk is full.

use crate::common;
use crate::common::parts::{part, verb};
use crate::common::pdn::{pth, teacher};
use crate::common::program::{Bench, no_gpu, refused, text};
use crate::common::sweep::gpu;
use lupe::data::{Limits, Picture};
use lupe::engine::{Graph, Named, Options, Plan, Scope, Store};
use lupe::methods::efficientad::step::HARD;
use lupe::methods::efficientad::{ModelFile, Teacher};
use lupe::models::pdn::Size;
use lupe::weights::WeightsFile;
use pollster::block_on;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Six good pictures and a narrow teacher.
fn ready() -> Bench {
    let b = Bench::new();
    b.write("teacher.pth", &pth(&teacher(Size::Small, 16)));
    fs::create_dir(b.path("good")).unwrap();
    for n in 0..6 {
        part(n, 96, 96).save(b.path("good").join(format!("{n}.png"))).unwrap();
    }
    b
}

fn fit(b: &Bench, output: &Path, more: &[&str]) -> Command {
    let mut command = verb(&["fit", "efficientad"]);
    command.arg(b.path("good")).arg("--teacher").arg(b.path("teacher.pth")).arg("-o").arg(output);
    command.args(["--penalty", "none"]).args(more);
    command
}

/// The loss of a model on the pictures that were kept, computed anew.
fn held_out(b: &Bench, file: &ModelFile) -> f64 {
    let (config, networks) = (&file.config, file.config.networks());
    let teacher = Teacher::open(&WeightsFile::from(b.path("teacher.pth").as_path()), None).unwrap();
    let mut named: Named = networks.normalised(teacher.weights.tensors(), &file.statistics);
    named.extend(file.trained.clone());
    let graph = Graph::new();
    let (x, p) = (graph.input("x", [1, 256, 256, 3]), Scope::new(&graph, &named));
    let total = networks.held_out(x, &p, &|apart| apart.hard_mean(apart.quantile(HARD))).total;
    let plan = block_on(Plan::new(gpu(), &graph, &[total], &Store::new(), Options::default())).unwrap();
    let loss = |name: &String| {
        let picture = Picture::open(&b.path("good").join(name), Limits::default()).unwrap();
        let picture = config.preprocess().apply(&picture).unwrap();
        f64::from(block_on(plan.run(&[&picture])).unwrap()[0].data[0])
    };
    file.kept().iter().map(|seen| loss(&seen.name)).sum::<f64>() / file.kept().len() as f64
}

#[test]
fn a_training_that_may_end_early() {
    if no_gpu() {
        return;
    }
    let b = ready();
    let held = ["--steps", "30", "--patience", "2", "--check-every", "2", "--checkpoint-every", "5"];
    let model = b.path("m.lupe");
    let out = fit(&b, &model, &[&held[..], &["--json"]].concat()).output().unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    let said: Value = serde_json::from_slice(&out.stdout).unwrap();
    let file = ModelFile::from_bytes(&fs::read(&model).unwrap(), "m").unwrap();
    let end = file.ended.as_ref().unwrap();
    let (best, loss) = end.checks.best().unwrap();
    println!("{end:?}");
    assert_eq!((said["ended"]["steps"].as_u64(), said["ended"]["best_steps"].as_u64()), (Some(end.step), Some(best)));
    assert_eq!((end.early, end.checks.since()), (end.step < 30, if end.early { 2 } else { (30 - best) / 2 }));
    assert_eq!(end.checks.0.len() as u64, end.step / 2);
    let again = held_out(&b, &file);
    assert!((again - loss).abs() < 1e-5 * loss, "the best weights lose {again}, not {loss}");
    let told = text(&out.stderr);
    assert!(told.lines().filter(|l| l.starts_with("check ")).count() == end.checks.0.len(), "{told}");
    let mut inspect = verb(&["weights", "inspect"]);
    let said = text(&inspect.arg(&model).output().unwrap().stdout);
    assert!(
        said.contains(&format!("these are the weights after {best} steps, when the loss on the pictures kept was")),
        "{said}"
    );
    // What cannot be is told.
    refused(&mut fit(&b, &model, &["--check-every", "5"]), 2, &["--patience <N>"]);
    refused(
        &mut fit(&b, &model, &["--steps", "5", "--patience", "1"]),
        2,
        &["--check-every 1000: with 5 steps there is no check"],
    );
    // A model that says otherwise is refused.
    for change in
        [|f: &mut ModelFile| f.ended = None, |f: &mut ModelFile| f.ended.iter_mut().for_each(|end| end.step = 31)]
    {
        let mut other = file.clone();
        change(&mut other);
        let said = ModelFile::from_bytes(&other.to_bytes().unwrap(), "m").map(|_| ()).unwrap_err().to_string();
        assert!(said.contains("how its training ended does not follow from its choices"), "{said}");
    }
}

/// What was there before stays, and the training goes on once there is room.
#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_when_a_checkpoint_is_written() {
    if no_gpu() {
        return;
    }
    let b = ready();
    common::program::on_a_small_disk(&b, |mount| {
        let (model, ballast, checkpoint) = (mount.join("m.lupe"), mount.join("ballast"), mount.join("m.lupe.training"));
        let command = || fit(&b, &model, &["--steps", "4", "--checkpoint-every", "2"]);
        fs::write(&ballast, vec![1; 900 << 10]).unwrap();
        let told = [
            "m.lupe.training cannot be written",
            "No space left",
            "there is no checkpoint; make room and run the same command again",
        ];
        refused(&mut command(), 10, &told);
        let left: Vec<_> = fs::read_dir(mount).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(left, ["ballast"], "something half-written is left");
        fs::remove_file(&ballast).unwrap();
        assert!(command().status().unwrap().success() && model.exists() && !checkpoint.exists());
    });
}
