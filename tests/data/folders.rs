//! Folders as people have them: what counts as a picture, and that nothing is left out without a word.

use crate::common::counts::{counted, json, pictures, said, scored};
use crate::common::parts::{fit, fitted, part, spoiled, verb};
use crate::common::program::{Bench, done, no_gpu, refused};
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn fault_01_only_lupes_own_outputs_are_left_out() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (_, model) = fitted(&b);
    let (pics, names) = (b.path("pics"), ["00.png", "01.png", "02.png"]);
    pictures(&pics, 3);
    let predict = |pictures: &[&str], out: &str| {
        let mut command = verb(&["predict"]);
        command.arg(&model).args(pictures).args(["-o", out, "--masks", "--maps"]).current_dir(&pics);
        command
    };
    for out in [".", "../pics", "results", "res2", "."] {
        let text = said(&mut predict(&["."], out));
        assert!(text.contains("accepted  3\nrejected  0"), "-o {out}: {text}");
        assert_eq!(scored(&pics.join(out)), names, "-o {out}");
        counted(&text, 3, if out == "res2" { &["own results"] } else { &[] });
    }
    // Among folders, a picture that is named.
    pictures(&b.path("other"), 1);
    fs::rename(b.path("other/00.png"), b.path("other/p.png")).unwrap();
    let text = said(&mut predict(&[".", "../other/p.png"], "."));
    assert_eq!(scored(&pics).len(), 4);
    counted(&text, 4, &["own results"]);
    // Even a heat map, if that is what is named.
    let text = said(&mut predict(&["heatmaps/00.png", "01.png"], "../out"));
    assert_eq!(scored(&b.path("out")), ["00.png", "01.png"]);
    counted(&text, 2, &[]);
    // Results of a version that left no mark.
    fs::remove_file(pics.join("res2/.lupe-results")).unwrap();
    counted(&said(&mut predict(&["."], "../out")), 3, &["own results"]);
    // Nothing but those: no success.
    let lines = fs::read(b.path("out/results.ndjson")).unwrap();
    refused(predict(&["results"], "../out").arg("--exit-code"), 3, &["has no pictures", "left out", "own results"]);
    assert!(fs::read(b.path("out/results.ndjson")).unwrap() == lines);
}

#[test]
fn fault_02_every_unseen_good_picture_is_tested() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let out = b.path("out");
    let eval = |data: &Path, more: &[&str]| {
        let text = said(verb(&["eval"]).arg(&model).arg(data).arg("-o").arg(&out).args(more));
        let counts = json(&out.join("metrics.json"))["counts"].clone();
        let count = |name: &str| counts[name].as_u64().unwrap() as usize;
        let left: u64 = counts["left_out"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(count("found"), count("looked_at") + left as usize + count("failed"), "{counts}");
        counted(&text, count("test_good") + count("test_defective"), &[]);
        (count("test_good"), count("test_defective"), count("skipped_seen"), text)
    };
    // A plain set of pictures that a model never saw, but for one.
    let plain = b.path("plain");
    pictures(&plain.join("bad"), 0);
    pictures(&plain.join("good"), 1);
    (50..53).for_each(|n| part(n, 72, 72).save(plain.join(format!("good/{n}.png"))).unwrap());
    spoiled(9, 72, 72).0.save(plain.join("bad/0.png")).unwrap();
    let (good, bad, seen, text) = eval(&plain, &[]);
    assert_eq!((good, bad, seen), (3, 1, 1), "{text}");
    assert!(json(&out.join("metrics.json"))["image"]["auroc"].is_f64());
    assert!(text.contains("undefined pixel: no picture has a mask"), "{text}");
    assert_eq!(eval(&plain, &["--allow-seen"]).0, 4);
    // The folder of tests alone, and a set without a training split.
    let (good, bad, _, text) = eval(&data.join("test"), &[]);
    assert_eq!((good, bad), (2, 3), "{text}");
    assert!(json(&out.join("metrics.json"))["pixel"]["auroc"].is_f64(), "masks from beside it: {text}");
    let (_, _, seen, _) = eval(&data, &[]);
    assert_eq!(seen, 6, "the training split");
    assert_eq!(eval(&data, &["--allow-seen"]).0, 2, "the training split was seen: it is no test");
    part(77, 72, 72).save(data.join("train/good/new.png")).unwrap();
    assert_eq!(eval(&data, &[]).0, 3);
    assert_eq!(eval(&data, &["--allow-seen"]).0, 3);
    let tests = b.path("tests");
    fs::create_dir(&tests).unwrap();
    fs::rename(data.join("test"), tests.join("test")).unwrap();
    let (good, bad, ..) = eval(&tests, &["--skip-unmasked"]);
    assert_eq!((good, bad), (2, 3));
    refused(
        &mut fit(&tests, &b.path("n.lupe")),
        3,
        &["no good pictures to fit on", "5 for testing", "`lupe eval` takes"],
    );
    assert!(!b.path("n.lupe").exists());
    // Without a good picture: the reason stands where the number would.
    fs::remove_dir_all(tests.join("test/good")).unwrap();
    let (good, _, _, text) = eval(&tests, &[]);
    assert!(good == 0 && text.contains("undefined image: no defect-free sample"), "{text}");
    pictures(&tests.join("train/good"), 2);
    done(&mut fit(&tests, &b.path("n.lupe")));
}

#[test]
fn fault_02_a_model_of_unknown_pictures() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    // As an imported model: it lists no pictures.
    let mut file = lupe::methods::patchcore::ModelFile::from_bytes(&fs::read(&model).unwrap(), "").unwrap();
    file.origin = Some("elsewhere".into());
    (file.pictures, file.held_out, file.scores, file.peaks, file.sources) = Default::default();
    let (imported, out) = (b.path("imported.lupe"), b.path("out"));
    fs::write(&imported, file.to_bytes().unwrap()).unwrap();
    let eval = |data: &Path| {
        let text = said(verb(&["eval", "--no-heatmaps"]).arg(&imported).arg(data).arg("-o").arg(&out));
        assert!(text.contains("it is not known which pictures"), "{text}");
        (json(&out.join("metrics.json"))["counts"]["test_good"].as_u64().unwrap(), text)
    };
    let (good, text) = eval(&data);
    assert_eq!(good, 2, "the training split is what it was most likely fitted on");
    counted(&text, 5, &["training split 6", "mask 3"]);
    let plain = b.path("plain");
    fs::create_dir(&plain).unwrap();
    fs::rename(data.join("train/good"), plain.join("good")).unwrap();
    fs::rename(data.join("test/spot"), plain.join("spot")).unwrap();
    let (good, text) = eval(&plain);
    assert_eq!(good, 6);
    counted(&text, 9, &[]);
}

#[test]
fn fault_13_what_is_no_picture_is_counted_by_ending() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (_, model) = fitted(&b);
    let pics = b.path("pics");
    pictures(&pics.join("deep"), 2);
    for name in ["a.gif", "b.GIF", "c.ppm", "d.jp2", "e.avif", "f.svg", "deep/g.gif", "notes.txt", "t.csv", "_.png"] {
        fs::write(pics.join(name.replace('_', ".hidden")), b"x").unwrap();
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere.png", pics.join("gone\u{1b}[2J.png")).unwrap();
        std::os::unix::fs::symlink("..", pics.join("deep/up")).unwrap();
    }
    let text = said(verb(&["predict"]).arg(&model).arg(&pics).arg("-o").arg(b.path("out")));
    let all = [".gif 3 (", ".ppm 1 (c.ppm)", ".jp2 1", ".avif 1", ".svg 1", "other files 2", "hidden 1"];
    counted(&text, 2, &all);
    if cfg!(unix) {
        counted(&text, 2, &["dangling link 1 (gone\\u{1b}[2J.png)", "not followed 1 (deep/up)"]);
    }
    let model = b.path("n.lupe");
    let text = said(fit(&pics.join("deep"), &model).arg("--test-split").arg("0"));
    counted(&text, 2, &[".gif 1 (g.gif)"]);
    let text = done(fit(&pics.join("deep"), &model).args(["--json", "--test-split", "0"]));
    let counts = serde_json::from_str::<Value>(&text).unwrap()["counts"].clone();
    assert_eq!((&counts["looked_at"], &counts["left_out"][".gif"]), (&2.into(), &1.into()), "{counts}");
    fs::create_dir(b.path("none")).unwrap();
    fs::write(b.path("none/a.gif"), b"x").unwrap();
    for command in [
        &mut fit(&b.path("none"), &b.path("o.lupe")),
        verb(&["predict"]).arg(&model).arg(b.path("none")).arg("-o").arg(b.path("o")),
        verb(&["eval"]).arg(&model).arg(b.path("none")).arg("-o").arg(b.path("o")),
    ] {
        refused(command, 3, &["pictures", "left out: .gif 1 (a.gif)"]);
    }
    assert!(!b.path("o").exists() && !b.path("o.lupe").exists());
}

#[test]
fn fault_13_embed_counts_too() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let picture = b.picture("p.png");
    counted(&said(verb(&["embed"]).arg(&picture)), 1, &[]);
    let found: Value = serde_json::from_str(&done(verb(&["embed", "--json"]).arg(&picture))).unwrap();
    assert_eq!(found["counts"]["looked_at"], 1);
}

/// What lies beside the training pictures changes no byte of a model.
#[test]
fn the_same_model_whatever_lies_beside() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    fs::write(data.join("readme.txt"), b"x").unwrap();
    fs::write(data.join("train/good/a.gif"), b"x").unwrap();
    pictures(&data.join("validation/good"), 2);
    let again = b.path("again.lupe");
    counted(
        &said(&mut fit(&data, &again)),
        6,
        &["validation split 2", ".gif 1", "other files 1", "mask 3", "for testing 5"],
    );
    assert!(fs::read(&again).unwrap() == fs::read(&model).unwrap());
}

#[test]
fn hunt_what_fit_and_eval_would_assume_is_told() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    pictures(&data.join("good"), 4);
    image::RgbImage::new(120, 40).save(data.join("good/strip.png")).unwrap();
    let told = said(fit(&data, &model).args(["--test-split", "9"]));
    assert!(told.contains("the training pictures have 2 sizes, such as 72x72 and 120x40"), "{told}");
    assert!(told.contains("none of the 5 good pictures is kept to test with: --test-split 9"), "{told}");
    fs::remove_file(data.join("good/strip.png")).unwrap();
    let told = said(fit(&data, &model).args(["--test-split", "2"]));
    assert!(!told.contains("sizes") && told.contains("2 good pictures, one in 2, are kept to test with"), "{told}");
    // One file under two labels: either verdict would be counted as wrong.
    fs::create_dir(data.join("dent")).unwrap();
    fs::copy(data.join("good/01.png"), data.join("dent/x.png")).unwrap();
    let mut eval = verb(&["eval"]);
    eval.arg(&model).arg(&data).arg("-o").arg(b.path("out"));
    refused(&mut eval, 3, &["good/01.png and dent/x.png are the same file, labelled good and dent; remove one"]);
    assert!(!b.path("out/metrics.json").exists());
    fs::remove_file(data.join("good/01.png")).unwrap();
    done(&mut eval);
}
