//! What commands leave behind: results of one run only, names that cannot steer a terminal, no file of a fit that failed at once.

use crate::common;
use crate::common::parts::{data_set, fit, fitted, part, verb};
use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use crate::common::results::{files, listed, names, predict, said};
use serde_json::Value;
use std::fs;
use std::process::Command;

#[test]
fn fault_16_a_results_folder_holds_what_its_run_made() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let (pictures, out) = (b.path("new"), b.path("out"));
    fs::create_dir(&pictures).unwrap();
    for n in 0..3 {
        part(n, 72, 72).save(pictures.join(format!("{n}.png"))).unwrap();
    }
    let holds = |want: &[&str]| {
        let (list, finished) = listed(&out);
        assert!(finished && list == names(want), "{list:?}");
        assert_eq!(files(&out), &list | &names(&[".lupe-results"]));
    };
    done(predict(&model, &pictures, &out).args(["--masks", "--maps"]));
    let [a, z, c] = ["0", "1", "2"].map(|n| format!("heatmaps/{n}.png"));
    let drawn = |kind: &str, ending: &str| [0, 1, 2].map(|n| format!("{kind}/{n}.{ending}"));
    let all = [drawn("heatmaps", "png"), drawn("masks", "png"), drawn("maps", "tiff")].concat();
    let mut want: Vec<&str> = all.iter().map(String::as_str).collect();
    want.extend(["results.ndjson", "timing.ndjson"]);
    holds(&want);
    // A picture that cannot be read any more keeps no heat map of yesterday; masks and raw maps were not asked for.
    fs::write(pictures.join("1.png"), "no picture").unwrap();
    said(predict(&model, &pictures, &out).args(["--keep-going", "--format", "csv"]), 9);
    holds(&[&a, &c, "results.csv", "timing.ndjson"]);
    // Metrics are of an eval; a predict into its folder leaves none.
    done(verb(&["eval"]).arg(&model).arg(&data).arg("-o").arg(&out));
    assert!(files(&out).contains("metrics.json") && !files(&out).contains(&a));
    fs::remove_file(pictures.join("1.png")).unwrap();
    done(&mut predict(&model, &pictures, &out));
    holds(&[&a, &c, "results.ndjson", "timing.ndjson"]);
    // What no run has listed is somebody's: it stays, and is told.
    for mine in ["heatmaps/mine.png", "results.csv", "notes.txt"] {
        fs::write(out.join(mine), "mine").unwrap();
    }
    let told = said(&mut predict(&model, &pictures, &out), 0);
    assert!(told.contains("holds 2 files that no earlier run listed, such as heatmaps/mine.png"), "{told}");
    for mine in ["heatmaps/mine.png", "results.csv", "notes.txt"] {
        assert_eq!(fs::read_to_string(out.join(mine)).unwrap(), "mine", "{mine}");
    }
    // A run that fails leaves the results of the one before, and says so.
    let before = fs::read(out.join("results.ndjson")).unwrap();
    fs::write(pictures.join("9.png"), "no picture").unwrap();
    let told = said(&mut predict(&model, &pictures, &out), 3);
    assert!(told.contains("are those of an earlier run"), "{told}");
    assert!(fs::read(out.join("results.ndjson")).unwrap() == before && !listed(&out).0.contains(&z));
    // Where there is no earlier run, nothing is left that says there was one.
    fs::remove_file(pictures.join("0.png")).unwrap();
    fs::write(pictures.join("0.png"), "no picture").unwrap();
    assert!(!said(predict(&model, &pictures, &b.path("none")).args(["--batch", "1"]), 3).contains("earlier run"));
    assert!(!b.path("none").exists(), "an empty folder is left");
}

#[test]
#[cfg(unix)]
fn fault_16_an_interrupted_run_says_what_is_older() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let (pictures, out) = (b.path("new"), b.path("out"));
    fs::create_dir(&pictures).unwrap();
    for n in 0..40 {
        part(n, 500, 500).save(pictures.join(format!("{n}.png"))).unwrap();
    }
    done(verb(&["eval"]).arg(&model).arg(&data).arg("-o").arg(&out));
    let (earlier, metrics) = (listed(&out).0, fs::read(out.join("metrics.json")).unwrap());
    let mut command = predict(&model, &pictures, &out);
    let mut child = command.args(["--batch", "1"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while listed(&out).1 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    let end = child.wait_with_output().unwrap();
    let told = text(&end.stderr);
    assert_eq!(end.status.code(), Some(130), "{told}");
    assert!(
        told.contains("results.*, metrics.json and all pictures that were not replaced are those of an earlier run")
    );
    // Everything that is there is listed, and the list says that its run did not end.
    let (list, finished) = listed(&out);
    let there = &files(&out) - &names(&[".lupe-results"]);
    assert!(!finished && list.is_superset(&there) && there.is_superset(&earlier));
    assert!(fs::read(out.join("metrics.json")).unwrap() == metrics);
    // The next run that ends leaves its own results alone.
    done(&mut predict(&model, &pictures.join("0.png"), &out));
    assert_eq!(files(&out), names(&[".lupe-results", "heatmaps/0.png", "results.ndjson", "timing.ndjson"]));
}

#[test]
fn fault_18_pictures_of_one_name_are_told_apart() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (_, model) = fitted(&b);
    for (n, folder) in ["a", "b"].into_iter().enumerate() {
        fs::create_dir(b.path(folder)).unwrap();
        part(n as u64, 72, 72).save(b.path(folder).join("x.png")).unwrap();
    }
    let out = b.path("out");
    let mut both = predict(&model, &b.path("a/x.png"), &out);
    let told = said(both.arg(b.path("b/x.png")).arg(b.path("b/../a/x.png")), 0);
    assert!(told.contains("2 pictures have names that occur in several folders"), "{told}");
    assert!(told.contains("x.png is given more than once; it is looked at once"), "{told}");
    let lines = fs::read_to_string(out.join("results.ndjson")).unwrap();
    let paths: Vec<Value> = lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["path"].clone()).collect();
    assert_eq!(paths, ["a/x.png", "b/x.png"]);
    let heatmaps: Vec<String> = files(&out).into_iter().filter(|f| f.starts_with("heatmaps")).collect();
    assert_eq!(heatmaps, ["heatmaps/a/x.png", "heatmaps/b/x.png"]);
    // `x.png.png` has the stem that `x.png` has in full.
    fs::copy(b.path("a/x.png"), b.path("a/x.png.png")).unwrap();
    fs::copy(b.path("a/x.png"), b.path("a/x.bmp")).unwrap();
    done(&mut predict(&model, &b.path("a"), &out));
    let heatmaps = files(&out).into_iter().filter(|f| f.starts_with("heatmaps")).count();
    assert_eq!(heatmaps, 3, "one heat map has replaced another");
}

/// A name that clears the screen and begins a line of its own.
#[cfg(unix)]
const NAME: &str = "a\u{1b}[2J\nlupe: all is well.png";

#[test]
#[cfg(unix)]
fn fault_18_names_of_files_cannot_steer_a_terminal() {
    let b = Bench::new();
    let data = b.path("data");
    data_set(&data, 3, 40, 40);
    let calm = |words: &[&str], codes: &[i32]| {
        let output = lupe().args(words).current_dir(b.dir.path()).output().unwrap();
        let all = text(&[output.stdout, output.stderr].concat());
        assert!(codes.contains(&output.status.code().unwrap()), "{words:?}: {all}");
        assert!(!all.contains('\u{1b}') && !all.contains("\nlupe: all is well"), "{words:?}: {all:?}");
        assert!(all.contains("a\\u{1b}[2J\\nlupe: all is well"), "{words:?}: the name is not told: {all:?}");
    };
    // Files that are no pictures, models, weights or tables, and outputs that cannot be written.
    fs::write(b.path(NAME), "no picture").unwrap();
    fs::create_dir(b.path(&format!("{NAME}.lupe"))).unwrap();
    let (folder, inside) = (format!("{NAME}.lupe"), format!("{NAME}/x"));
    for (words, code) in [
        (vec!["fit", "patchcore", NAME, "-o", "m.lupe"], 3),
        (vec!["fit", "patchcore", &folder, "-o", "m.lupe"], 3),
        (vec!["fit", "patchcore", "data", "-o", &folder], 10),
        (vec!["fit", "patchcore", "data", "-o", &inside], 10),
        (vec!["predict", NAME, "data/test", "-o", "out"], 4),
        (vec!["predict", "m.lupe", "data/test", "-o", NAME], 10),
        (vec!["eval", NAME, "data", "-o", "out"], 4),
        (vec!["eval", "m.lupe", NAME, "-o", "out"], 3),
        (vec!["embed", NAME], 3),
        (vec!["embed", NAME, "-o", NAME], 2),
        (vec!["embed", "data/train/good/000.png", "--weights", NAME], 4),
        (vec!["embed", &folder], 3),
        (vec!["classify", "data/train/good/000.png", "--labels", &folder], 3),
        (vec!["classify", "data/train/good/000.png", "--weights", NAME], 4),
        (vec!["weights", "inspect", NAME], 4),
        (vec!["weights", "convert", NAME, "x.safetensors"], 4),
        (vec!["weights", "verify", NAME], 0),
        (vec!["import", NAME, "-o", "m.lupe"], 4),
        (vec!["profile", "efficientnet_lite0", NAME], 3),
        (vec!["verify", "efficientnet_lite0", NAME], 3),
        (vec!["bench", "compare", NAME, NAME], 3),
        (vec!["bench", "-o", NAME], 2),
        (vec!["shaders", "--dump", NAME], 10),
        (vec!["demo", "-o", NAME], 10),
    ] {
        // Commands that open a device beside a file end with 5 where there is none.
        calm(&words, &[code, 5]);
    }
    if no_gpu() {
        return;
    }
    let model = b.path("m.lupe");
    done(&mut fit(&data, &model));
    fs::write(data.join("train/good").join(NAME), "no picture").unwrap();
    fs::write(data.join("test/good").join(NAME), "no picture").unwrap();
    let set = ["fit", "patchcore", "data", "-o", "n.lupe", "--preset", "official", "--size", "64", "--resize", "72"];
    calm(&set, &[3]);
    calm(&[&set[..], &["--keep-going"]].concat(), &[9]);
    calm(&["predict", "m.lupe", "data/test", "-o", "out"], &[3]);
    calm(&["predict", "m.lupe", "data/test", "-o", "out", "--keep-going"], &[9]);
    calm(&["eval", "m.lupe", "data", "-o", "out", "--keep-going"], &[9]);
    fs::remove_file(b.path(NAME)).unwrap();
    part(1, 40, 40).save(b.path(NAME)).unwrap();
    calm(&["embed", NAME], &[0]);
    calm(&["predict", "m.lupe", NAME, NAME, "-o", NAME.trim_end_matches(".png")], &[0]);
    let lines = fs::read_to_string(b.path(NAME.trim_end_matches(".png")).join("results.ndjson")).unwrap();
    let line: Value = serde_json::from_str(lines.trim_end()).unwrap();
    assert_eq!(line["path"], NAME, "results are exact");
    calm(
        &[
            "fit",
            "patchcore",
            "data",
            "-o",
            &format!("{NAME}.model"),
            "--preset",
            "official",
            "--size",
            "64",
            "--resize",
            "72",
            "--keep-going",
        ],
        &[9],
    );
}

#[test]
fn fault_18_a_fit_that_fails_at_once_leaves_nothing() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("new/m.lupe"));
    data_set(&data, 3, 72, 72);
    fs::rename(data.join("train/good/000.png"), b.path("kept.png")).unwrap();
    fs::write(data.join("train/good/000.png"), "no picture").unwrap();
    refused(&mut fit(&data, &model), 3, &["000.png"]);
    assert_eq!(b.files(), ["data", "kept.png"]);
    // With pictures done there is something to go on from.
    fs::rename(b.path("kept.png"), data.join("train/good/000.png")).unwrap();
    fs::write(data.join("train/good/002.png"), "no picture").unwrap();
    refused(fit(&data, &model).args(["--batch", "1"]), 3, &["002.png"]);
    let kept = b.path("new/m.lupe.features");
    assert!(fs::metadata(&kept).unwrap().len() > 100_000);
    part(2, 72, 72).save(data.join("train/good/002.png")).unwrap();
    assert!(said(&mut fit(&data, &model), 0).contains("are done from an earlier fit"));
    assert!(!kept.exists() && model.exists());
    // A file of that name which is not Lupe's is not touched.
    fs::write(&kept, "somebody's notes").unwrap();
    refused(
        fit(&data, &model).arg("--fresh"),
        10,
        &["m.lupe.features: would be replaced, and is not a file of Lupe's"],
    );
    assert_eq!(fs::read_to_string(&kept).unwrap(), "somebody's notes");
}

#[test]
fn fault_19_the_processor_is_called_by_its_name() {
    if no_gpu() || common::sweep::gpu().info.kind != lupe::engine::gpu::Kind::Cpu {
        return;
    }
    let b = Bench::new();
    let picture = b.picture("a.png");
    let said = |words: &[&str]| {
        let output = lupe().arg("embed").arg(&picture).args(words).output().unwrap();
        assert!(output.status.success());
        text(&output.stderr)
    };
    let told = said(&[]);
    assert_eq!(told.matches("is your processor; no GPU was found").count(), 1, "{told}");
    for quiet in [&["-q"][..], &["-d", "0"], &["-d", "llvmpipe"]] {
        assert!(!said(quiet).contains("processor"), "{quiet:?}");
    }
}
