//! What a hunt for faults found in outputs, runs and fits (tests/hunt.md).

use crate::common::parts::{fit, fitted, part, verb};
use crate::common::program::{Bench, done, no_gpu, text};
use crate::common::results::{files, listed, predict, said};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn hunt_results_replace_nothing_that_no_run_has_listed() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (_, model) = fitted(&b);
    let (pictures, mask) = (b.path("new"), b.path("new/masks/0.png"));
    ["new/masks", "third/results.ndjson", "alone"]
        .iter()
        .for_each(|folder| fs::create_dir_all(b.path(folder)).unwrap());
    part(0, 72, 72).save(pictures.join("0.png")).unwrap();
    fs::write(&mask, "drawn by hand").unwrap();
    part(1, 72, 72).save(b.path("alone/0.png")).unwrap();
    let before = files(&pictures);
    let line = |out: &str| {
        let mut command = predict(&model, &pictures.join("0.png"), &b.path(out));
        command.arg("--masks");
        command
    };
    let told = said(&mut line("new"), 10);
    assert!(told.contains("masks/0.png: would be replaced, and no run of Lupe has listed it; move it"), "{told}");
    assert!(files(&pictures) == before && fs::read_to_string(&mask).unwrap() == "drawn by hand");
    // What the message advises, either way; what a run has listed is replaced by the next one.
    done(&mut line("other"));
    fs::rename(&mask, b.path("mine.png")).unwrap();
    done(&mut line("new"));
    done(&mut line("new"));
    assert!(listed(&pictures).0.contains("masks/0.png"));
    let told = said(&mut line("third"), 10);
    assert!(told.contains("results.ndjson: is a folder; expected a file") && !told.contains("device"), "{told}");
    fs::create_dir(b.path("fifth")).unwrap();
    fs::write(b.path("fifth/heatmaps"), "a file").unwrap();
    let told = said(&mut line("fifth"), 10);
    assert!(told.contains("heatmaps: is a file; expected a folder") && !told.contains("device"), "{told}");
    #[cfg(unix)]
    {
        let link = b.path("link.lupe");
        std::os::unix::fs::symlink(b.path("nowhere"), &link).unwrap();
        let told = said(&mut fit(&b.path("alone"), &link), 10);
        assert!(told.contains("link.lupe cannot be written: it is a link that leads nowhere"), "{told}");
        assert!(link.is_symlink());
    }
    // A limit for pictures alone outlines nothing.
    let (one, stated) = (b.path("one.lupe"), b.path("stated.lupe"));
    done(fit(&b.path("alone"), &one).args(["--test-split", "0"]));
    done(verb(&["limit"]).arg(&one).args(["--rule", "fixed=3", "-o"]).arg(&stated));
    let told = said(predict(&stated, &pictures.join("0.png"), &b.path("fourth")).arg("--masks"), 0);
    assert!(told.contains("no limit for pixels, so no masks are written"), "{told}");
    done(verb(&["limit"]).arg(&stated).args(["--rule", "fixed=3,3"]));
    done(predict(&stated, &pictures.join("0.png"), &b.path("fourth")).arg("--masks"));
    assert!(b.path("fourth/masks/0.png").is_file());
}

#[test]
#[cfg(target_os = "linux")]
fn hunt_a_run_without_room_for_its_first_file_leaves_no_folder() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let line = predict(&model, &data.join("test/good"), &b.path("out"));
    let mut narrow = Command::new("sh");
    narrow.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""]).arg(line.get_program()).args(line.get_args());
    narrow.envs(line.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let told = said(&mut narrow, 10);
    assert!(told.contains("cannot be written: File too large"), "{told}");
    assert!(!b.path("out").exists(), "{:?}", files(&b.path("out")));
}

#[test]
#[cfg(unix)]
fn hunt_two_runs_do_not_write_into_one_folder() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let out = b.path("out");
    fs::create_dir(&out).unwrap();
    let held = fs::File::open(&out).unwrap();
    held.try_lock().unwrap();
    let told = said(&mut predict(&model, &data.join("test/good"), &out), 10);
    assert!(told.contains("out: another run is writing there; wait until it has finished"), "{told}");
    assert!(files(&out).is_empty());
    drop(held);
    done(&mut predict(&model, &data.join("test/good"), &out));
}

#[test]
fn hunt_a_fit_says_what_it_cannot_do_as_asked() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (good, bad, model) = (b.path("good"), b.path("bad"), b.path("m.lupe"));
    [&good, &bad].iter().for_each(|folder| fs::create_dir(folder).unwrap());
    for n in 0..3 {
        part(n, 72, 72).save(good.join(format!("{n}.png"))).unwrap();
        fs::write(bad.join(format!("{n}.png")), format!("no picture {n}")).unwrap();
    }
    let line = |folder: &Path, words: &[&str], code: i32| {
        let out = fit(folder, &model).args(["--test-split", "0"]).args(words).output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{}", text(&out.stderr));
        text(&out.stderr)
    };
    let told = line(&bad, &["--keep-going"], 3);
    assert!(told.contains("none of its 3 pictures can be read:\n") && told.contains("2.png: not a PNG"), "{told}");
    // No number of neighbours would do.
    let told = line(&good, &["--ratio", "1e-9"], 2);
    assert!(told.contains("each picture is compared with those of the others; raise --ratio"), "{told}");
    let told = line(&good, &["--drop-outliers", "--reweight", "1000"], 0);
    let few = "dropped   none: of 3 training pictures none stands apart; fewer than 8 scores tell nothing";
    assert!(told.contains(few), "{told}");
    assert!(told.contains("note: --reweight 1000: only 12 rows of the bank are there for every picture"), "{told}");
    assert!(!line(&good, &["--reweight", "12"], 0).contains("--reweight"));
}
