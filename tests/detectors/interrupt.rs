//! Fits that are interrupted, killed or cut off: what was there stays, and the next one ends in the same bytes.
#![cfg(unix)]

use crate::common;
use crate::common::parts::{data_set, fit, fitted, part};
use crate::common::program::{Bench, done, no_gpu, text};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn started(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits until `ready`, while the child runs; false if it ended first.
fn until(child: &mut Child, ready: impl Fn() -> bool) -> bool {
    while child.try_wait().unwrap().is_none() {
        if ready() {
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    false
}

/// What a child that was told to stop ends with. The bound is there for one that hangs alone; nothing is said of how fast it is.
fn ended(mut child: Child) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it did not end in a minute: {}", text(&child.wait_with_output().unwrap().stderr));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len())
}

/// Bytes of one picture's record: 64 places of 1024 values and 128 projected ones.
const RECORD: u64 = 8 + 128 + 4 * 64 * (1024 + 128);

#[test]
fn an_interrupted_fit_goes_on_and_ends_in_the_same_bytes() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, whole, model) = (b.path("data"), b.path("whole.lupe"), b.path("m.lupe"));
    data_set(&data, 40, 400, 400);
    let command = || {
        let mut c = fit(&data, &model);
        c.args(["--batch", "2"]);
        c
    };
    done(fit(&data, &whole).args(["--batch", "2"]));
    let whole = fs::read(whole).unwrap();
    let work = b.path("m.lupe.features");
    // While patch vectors are made, and, with all 40 pictures done, in the selection or the scoring.
    for (name, pictures) in [("INT", 6), ("KILL", 14), ("TERM", 22), ("INT", 40)] {
        let mut child = started(&mut command());
        assert!(until(&mut child, || size(&work) > pictures * RECORD), "the fit ended before it was interrupted");
        signal(&child, name);
        let end = ended(child);
        let said = text(&end.stderr);
        assert!(size(&work) > pictures * RECORD && !model.exists());
        if name != "KILL" {
            assert_eq!(end.status.code(), Some(130), "{said}");
            assert!(
                said.contains("interrupted") && said.contains("m.lupe.features; run the same command again"),
                "{said}"
            );
        }
        if pictures > 6 {
            assert!(said.contains("pictures are done from an earlier fit"), "{said}");
        }
    }
    // What a crash or a broken disk leaves: a record cut off, and a byte of an earlier one changed.
    let mut bytes = fs::read(&work).unwrap();
    bytes.truncate(bytes.len() - 1000);
    bytes[(8 * RECORD) as usize] ^= 1;
    fs::write(&work, &bytes).unwrap();
    let again = command().output().unwrap();
    let said = text(&again.stderr);
    assert!(again.status.success() && said.contains("resuming  7 pictures"), "{said}");
    assert!(fs::read(&model).unwrap() == whole, "the resumed fit ends in other bytes");
    assert!(!work.exists());

    // A file with other settings, of other pictures, or that is not wanted, is not taken over.
    let stop = |more: &[&str]| {
        let mut child = started(command().args(more));
        assert!(until(&mut child, || size(&work) > 4 * RECORD));
        signal(&child, "INT");
        ended(child);
    };
    stop(&["--seed", "3"]);
    let said = text(&command().output().unwrap().stderr);
    assert!(!said.contains("resuming") && said.contains("with other settings"), "{said}");
    assert!(fs::read(&model).unwrap() == whole);
    stop(&[]);
    let said = text(&command().arg("--fresh").output().unwrap().stderr);
    assert!(!said.contains("resuming") && fs::read(&model).unwrap() == whole, "{said}");
    stop(&[]);
    part(77, 400, 400).save(data.join("train/good/002.png")).unwrap();
    let said = text(&command().output().unwrap().stderr);
    assert!(said.contains("resuming  2 pictures") && fs::read(&model).unwrap() != whole, "{said}");
}

/// A batch that takes the device ten seconds: the answer does not wait for it, or its pictures would be there.
#[test]
fn a_busy_device_does_not_hold_the_answer_up() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    data_set(&data, 16, 200, 200);
    let mut command = common::parts::verb(&["fit", "patchcore", "--size", "448", "--batch", "16"]);
    let mut child = started(command.args(common::thin::BACKBONE).arg(&data).arg("-o").arg(&model));
    let work = b.path("m.lupe.features");
    assert!(until(&mut child, || size(&work) > 0));
    std::thread::sleep(Duration::from_secs(2));
    signal(&child, "INT");
    let end = ended(child);
    let said = text(&end.stderr);
    assert_eq!(end.status.code(), Some(130), "{said}");
    assert!(said.contains("run the same command again"), "{said}");
    // A card may be done with the batch before it is interrupted.
    let slow = common::sweep::gpu().info.kind == lupe::engine::gpu::Kind::Cpu;
    assert!(!slow || size(&work) < RECORD, "the batch was waited for: {} bytes", size(&work));
}

#[test]
fn two_fits_of_one_file_do_not_mix() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    data_set(&data, 30, 400, 400);
    let mut first = started(&mut fit(&data, &model));
    assert!(until(&mut first, || size(&b.path("m.lupe.features")) > RECORD));
    common::program::refused(&mut fit(&data, &model), 10, &["another fit is writing it"]);
    assert!(first.wait().unwrap().success());
}

/// Kills fits while they write their model: the file is always a whole one.
#[test]
fn killed_while_writing_the_old_file_survives() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let old = fs::read(&model).unwrap();
    let temporary = || b.files().iter().any(|f| f.starts_with(".lupe-"));
    let mut caught = 0;
    for _ in 0..6 {
        let mut child = started(fit(&data, &model).args(["--seed", "5"]));
        caught += u32::from(until(&mut child, temporary));
        signal(&child, "KILL");
        child.wait().unwrap();
        for left in b.files().iter().filter(|f| f.starts_with(".lupe-")) {
            fs::remove_file(b.path(left)).unwrap();
        }
        let now = fs::read(&model).unwrap();
        if now != old {
            let again = lupe::methods::patchcore::ModelFile::from_bytes(&now, "m.lupe").expect("a whole model");
            assert_eq!(again.config.seed, 5);
            fs::write(&model, &old).unwrap();
        }
    }
    println!("{caught} of 6 were killed while they wrote");
    assert!(caught > 0, "none was caught while it wrote");
}
