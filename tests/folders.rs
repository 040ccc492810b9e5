//! Folders as people have them: what counts as a picture, as good, as a mask; and that nothing is left out without a word.

mod common;

use common::parts::{data_set, fit, fitted, part, spoiled, verb};
use common::program::{Bench, done, no_gpu, refused, text};
use image::{GrayImage, Luma, RgbImage};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Runs a command that must end well, in a folder; stdout and stderr.
fn said(command: &mut Command) -> String {
    let run = command.output().unwrap();
    assert!(run.status.success(), "{command:?}: {}", text(&run.stderr));
    text(&run.stdout) + &text(&run.stderr)
}

/// Paths of the pictures that got a score.
fn scored(out: &Path) -> Vec<String> {
    let lines = fs::read_to_string(out.join("results.ndjson")).unwrap();
    let lines = lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    lines.filter(|l| l["score"].is_f64()).map(|l| l["path"].as_str().unwrap().to_string()).collect()
}

/// Every number of the line that counts, and that they add up.
#[track_caller]
fn counted(said: &str, looked_at: usize, left_out: &[&str]) {
    let line = said.lines().find(|l| l.starts_with("counted   ")).unwrap_or_else(|| panic!("nothing counted: {said}"));
    let before = |word: &str| -> usize {
        let words = line.split(word).next().unwrap().trim_end();
        words.rsplit([' ', ',']).next().unwrap().parse().unwrap_or_else(|_| panic!("{word}: {line}"))
    };
    let (found, looked, left) = (before("files found"), before("looked at"), before("left out"));
    assert_eq!((looked, found), (looked_at, looked + left + before("unreadable")), "{line}");
    for part in left_out {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(said.matches("counted   ").count(), 1, "said once");
}

fn pictures(folder: &Path, n: u64) {
    fs::create_dir_all(folder).unwrap();
    (0..n).for_each(|i| part(i, 72, 72).save(folder.join(format!("{i:02}.png"))).unwrap());
}

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
        assert!(text.contains("of 3 pictures are above"), "-o {out}: {text}");
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
    assert!(text.contains("pixel ap, auroc, aupro_05") && text.contains("undefined, no picture has a mask"), "{text}");
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
    assert!(good == 0 && text.contains("image auroc: undefined, "), "{text}");
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

#[test]
fn fault_22_loose_pictures_beside_folders_of_pictures_are_refused() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (repo, model) = (b.path("repo"), b.path("m.lupe"));
    pictures(&repo, 2);
    pictures(&repo.join("imgs"), 3);
    pictures(&repo.join("docs/more"), 1);
    let names = ["2 pictures directly in it", "docs: 1 pictures, imgs: 3 pictures", "Give one of these folders"];
    refused(&mut fit(&repo, &model), 3, &names);
    assert!(!model.exists() && !b.path("m.lupe.features").exists());
    // The advice, both ways.
    counted(&said(&mut fit(&repo.join("imgs"), &model)), 3, &[]);
    pictures(&repo.join("own"), 0);
    (0..2).for_each(|n| fs::rename(repo.join(format!("0{n}.png")), repo.join(format!("own/{n}.png"))).unwrap());
    counted(&said(&mut fit(&repo.join("own"), &model)), 2, &[]);
    // A folder of folders: the ones that are data sets are named.
    pictures(&b.path("many/bottle/train/good"), 2);
    refused(&mut fit(&b.path("many"), &model), 3, &["many/bottle is a data set", "give its folder"]);
    done(&mut fit(&b.path("many/bottle"), &model));
}

#[test]
fn fault_23_masks_among_good_pictures_are_refused() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (twins, model) = (b.path("twins"), b.path("m.lupe"));
    fs::create_dir(&twins).unwrap();
    for n in 0..3 {
        let (picture, mask) = spoiled(n, 72, 72);
        picture.save(twins.join(format!("{n}.jpg"))).unwrap();
        mask.save(twins.join(format!("{n}.png"))).unwrap();
    }
    let advice = ["move masks to a folder of their own", "--all"];
    refused(&mut fit(&twins, &model), 3, &[&["0.jpg and 0.png differ in their endings only"], &advice[..]].concat());
    assert!(!model.exists() && !b.path("m.lupe.features").exists());
    counted(&said(fit(&twins, &model).arg("--all")), 6, &[]);
    let predict = |out: &str| {
        let mut command = verb(&["predict"]);
        command.arg(&model).arg(&twins).arg("-o").arg(b.path(out));
        command
    };
    refused(&mut predict("out"), 3, &["0.jpg and 0.png", "--all"]);
    counted(&said(predict("out").arg("--all")), 6, &[]);
    // Other names, and a mask that compression spoiled.
    for (folder, ending) in [("named", "png"), ("compressed", "jpg")] {
        let folder = b.path(folder);
        pictures(&folder.join("good"), 3);
        spoiled(1, 72, 72).1.save(folder.join(format!("good/z_mask.{ending}"))).unwrap();
        refused(&mut fit(&folder, &model), 3, &["z_mask", "two gray values", advice[1]]);
        fs::create_dir(folder.join("masks")).unwrap();
        fs::rename(folder.join(format!("good/z_mask.{ending}")), folder.join(format!("masks/00_mask.{ending}")))
            .unwrap();
        counted(&said(fit(&folder, &model).args(["--test-split", "0"])), 3, &["mask 1"]);
    }
    // Where all are of two colours they are what the camera gives.
    let flat = b.path("silhouettes");
    fs::create_dir(&flat).unwrap();
    (0..3).for_each(|n| spoiled(n, 72, 72).1.save(flat.join(format!("{n}.png"))).unwrap());
    done(&mut fit(&flat, &model));
}

/// Regions and defect pixels that an evaluation found.
fn pixels(b: &Bench, model: &Path, data: &Path) -> (u64, u64, String) {
    let text = said(verb(&["eval", "--no-heatmaps"]).arg(model).arg(data).arg("-o").arg(b.path("out")));
    let counts = json(&b.path("out/metrics.json"))["counts"].clone();
    (counts["regions"].as_u64().unwrap(), counts["defect_pixels"].as_u64().unwrap(), text)
}

#[test]
fn fault_17_and_25_compressed_smooth_and_class_masks() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let truth = data.join("ground_truth/spot");
    let clean = pixels(&b, &model, &data);
    assert!(clean.0 == 3 && !clean.2.contains("not two-valued"), "{}", clean.2);
    let each = |save: &dyn Fn(&GrayImage, &Path)| {
        for n in 0..3 {
            let path = truth.join(format!("{n:03}_mask.png"));
            let mask = spoiled(200 + n, 72, 72).1;
            fs::remove_file(&path).unwrap();
            save(&mask, &path);
        }
    };
    // Values that stand for classes.
    each(&|mask, path| {
        let classes = GrayImage::from_fn(72, 72, |x, y| {
            Luma([if mask.get_pixel(x, y).0[0] > 0 { 1 + (x % 3) as u8 } else { 0 }])
        });
        classes.save(path).unwrap();
    });
    assert_eq!(pixels(&b, &model, &data), (clean.0, clean.1, pixels(&b, &model, &data).2));
    assert!(!pixels(&b, &model, &data).2.contains("not two-valued"));
    // A smooth edge: what is less than half bright is good, and that is said.
    each(&|mask, path| {
        let edge = GrayImage::from_fn(72, 72, |x, y| {
            Luma([if mask.get_pixel(x, y).0[0] > 0 { 255 } else { (x + y) as u8 % 100 }])
        });
        edge.save(path).unwrap();
    });
    let smooth = pixels(&b, &model, &data);
    assert_eq!((smooth.0, smooth.1), (clean.0, clean.1));
    assert!(smooth.2.contains("note: 3 masks are not two-valued"), "{}", smooth.2);
    // JPEG, under the name of a PNG.
    each(&|mask, path| mask.save_with_format(path, image::ImageFormat::Jpeg).unwrap());
    let compressed = pixels(&b, &model, &data);
    assert_eq!(compressed.0, clean.0, "noise makes no regions: {}", compressed.2);
    assert!(compressed.1.abs_diff(clean.1) * 20 < clean.1, "{} and {}", compressed.1, clean.1);
    // A mask that says nothing is told.
    each(&|_, path| GrayImage::new(72, 72).save(path).unwrap());
    assert!(
        pixels(&b, &model, &data)
            .2
            .contains("masks of 3 defective pictures mark no pixel; the first is that of test/spot/000.png")
    );
}

#[test]
fn fault_06_names_that_mean_good() {
    let b = Bench::new();
    for good in ["Good", "GOOD", "OK", "Ok", "normal", "Normal", "MT_Free", "defect-free"] {
        let set = b.path(good);
        pictures(&set.join("train").join(good), 2);
        pictures(&set.join("test").join(good.to_uppercase()), 1);
        let set = lupe::data::dataset::Dataset::open(&set).unwrap();
        let labels: BTreeSet<&str> = set.train.iter().chain(&set.test).map(|s| s.label.as_str()).collect();
        assert!(
            set.train.len() == 2 && set.test.len() == 1 && labels == BTreeSet::from(["good"]),
            "{good}: {labels:?}"
        );
    }
    let twice = b.path("twice");
    pictures(&twice.join("train/good"), 1);
    for (one, two) in [("train/good", "train/Good"), ("test/cut", "test/Cut")] {
        pictures(&twice.join(one), 1);
        fs::create_dir_all(twice.join(two)).unwrap();
        RgbImage::new(9, 9).save(twice.join(two).join("x.png")).unwrap();
        let [one, two] = [one, two].map(|f| f.split('/').nth(1).unwrap());
        refused(
            &mut fit(&twice, &b.path("m.lupe")),
            3,
            &[&format!("the folders {two} and {one}, which differ in case only")],
        );
        fs::remove_dir_all(twice.join("train/Good")).ok();
    }
    let table = b.write("t.csv", b"image_path,label,split\nOK/train/OK/00.png,OK,train\nOK/train/OK/01.png,Cut,test\n");
    let set = lupe::data::dataset::Dataset::open(&table).unwrap();
    assert_eq!((set.train[0].label.as_str(), set.test[0].label.as_str()), ("good", "Cut"));
    let rows = "OK/train/OK/00.png,Cut,test\nOK/train/OK/01.png,cut,test\n";
    let table = b.write("u.csv", format!("image_path,label,split\n{rows}").as_bytes());
    let error = lupe::data::dataset::Dataset::open(&table).unwrap_err();
    assert!(error.to_string().contains("labels Cut and cut, which differ in case only"), "{error}");
    // Both folders have an own name for good: both count, and that is said.
    let both = b.path("both");
    ["good", "ok"].map(|f| pictures(&both.join(f), 1));
    let notes = lupe::data::dataset::Dataset::open(&both).unwrap_err().to_string();
    assert!(notes.contains("good/00.png"), "{notes}");
}

/// The training pictures of a demo-like set do not change by what lies beside them.
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
    data_set(&b.path("second"), 6, 72, 72);
    assert!(fs::read(b.path("second/train/good/000.png")).is_ok());
}
