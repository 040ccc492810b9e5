//! Folders that leave a doubt: names that mean good, loose pictures, masks among pictures, masks that are not two-valued.

use crate::common::counts::{counted, json, pictures, said};
use crate::common::parts::{fit, fitted, spoiled, verb};
use crate::common::program::{Bench, done, no_gpu, refused};
use image::{GrayImage, Luma, RgbImage};
use lupe::data::dataset::Dataset;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

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
    let names = ["2 pictures directly in it", "docs: 1, imgs: 3", "Give one of these folders"];
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
    counted(&said(fit(&twins, &model).args(["--all", "--test-split", "0"])), 6, &[]);
    let predict = |out: &str| {
        let mut command = verb(&["predict"]);
        command.arg(&model).arg(&twins).arg("-o").arg(b.path(out));
        command
    };
    refused(&mut predict("out"), 3, &["0.jpg and 0.png", "name the folders of the pictures alone", "--all"]);
    counted(&said(predict("out").arg("--all")), 6, &[]);
    let (data, _) = fitted(&b);
    let whole = |data: &Path| {
        let mut command = verb(&["predict"]);
        command.arg(&model).arg(data).arg("-o").arg(b.path("whole"));
        command
    };
    let masks =
        ["ground_truth/spot/000_mask.png: consists of two gray values", "name the folders of the pictures alone"];
    refused(&mut whole(&data), 3, &masks);
    assert!(!b.path("whole").exists());
    counted(&said(&mut whole(&data.join("test"))), 5, &[]);
    // Other names, and a mask that compression spoiled.
    for (folder, ending) in [("named", "png"), ("compressed", "jpg")] {
        let folder = b.path(folder);
        pictures(&folder.join("good"), 3);
        spoiled(1, 72, 72).1.save(folder.join(format!("good/z_mask.{ending}"))).unwrap();
        refused(&mut fit(&folder, &model), 3, &["z_mask", "two gray values", advice[1]]);
        fs::create_dir(folder.join("masks")).unwrap();
        let moved = folder.join(format!("masks/00_mask.{ending}"));
        fs::rename(folder.join(format!("good/z_mask.{ending}")), &moved).unwrap();
        // It is the mask of a good picture now, and must mark nothing of it.
        refused(fit(&folder, &model).args(["--test-split", "0"]), 3, &["00.png: is labelled good, but its mask marks"]);
        image::GrayImage::new(72, 72).save(&moved).unwrap();
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
    let classes = pixels(&b, &model, &data);
    assert_eq!((classes.0, classes.1), (clean.0, clean.1));
    assert!(!classes.2.contains("not two-valued"), "{}", classes.2);
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
    for (n, good) in ["Good", "GOOD", "OK", "Ok", "normal", "Normal", "MT_Free", "defect-free"].into_iter().enumerate()
    {
        let set = b.path(&n.to_string());
        pictures(&set.join("train").join(good), 2);
        pictures(&set.join("test").join(good.to_uppercase()), 1);
        let set = Dataset::open(&set).unwrap();
        let labels: BTreeSet<&str> = set.train.iter().chain(&set.test).map(|s| s.label.as_str()).collect();
        assert!(
            set.train.len() == 2 && set.test.len() == 1 && labels == BTreeSet::from(["good"]),
            "{good}: {labels:?}"
        );
    }
    let table = b.write("t.csv", b"image_path,label,split\n2/train/OK/00.png,OK,train\n2/train/OK/01.png,Cut,test\n");
    let set = Dataset::open(&table).unwrap();
    assert_eq!((set.train[0].label.as_str(), set.test[0].label.as_str()), ("good", "Cut"));
    let rows = "2/train/OK/00.png,Cut,test\n2/train/OK/01.png,cut,test\n";
    let table = b.write("u.csv", format!("image_path,label,split\n{rows}").as_bytes());
    let error = Dataset::open(&table).unwrap_err();
    assert!(error.to_string().contains("labels Cut and cut, which differ in case only"), "{error}");
    // Both folders have an own name for good: both count, and that is said.
    let both = b.path("both");
    for folder in ["good", "ok", "good_scratched"] {
        pictures(&both.join(folder), 1);
    }
    let set = Dataset::open(&both).unwrap();
    assert_eq!((set.train.len(), set.test.len()), (2, 1));
    let notes = set.notes.join("\n");
    assert!(notes.contains("pictures of good, ok all count as good"), "{notes}");
    assert!(
        notes.contains("good_scratched counts as a kind of defect; the names that mean good are good, ok"),
        "{notes}"
    );
}

#[test]
#[cfg(target_os = "linux")] // elsewhere, two such folders are one
fn fault_06_folders_that_differ_in_case() {
    let b = Bench::new();
    let twice = b.path("twice");
    pictures(&twice.join("train/good"), 1);
    for (one, two) in [("train/good", "train/Good"), ("test/cut", "test/Cut")] {
        pictures(&twice.join(one), 1);
        fs::create_dir_all(twice.join(two)).unwrap();
        RgbImage::new(9, 9).save(twice.join(two).join("x.png")).unwrap();
        let path = one.split('/').next().unwrap();
        let [one, two] = [one, two].map(|f| f.split('/').nth(1).unwrap());
        refused(
            &mut fit(&twice, &b.path("m.lupe")),
            3,
            &[&format!("the folders {two} and {one}, which differ in case only")],
        );
        fs::rename(twice.join(path).join(two), b.path(two)).unwrap();
        Dataset::open(&twice).unwrap();
    }
}

#[test]
fn hunt_masks_among_tests_and_masks_that_contradict_their_label() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let eval = || {
        let mut command = verb(&["eval", "--no-heatmaps"]);
        command.arg(&model).arg(&data).arg("-o").arg(b.path("out"));
        command
    };
    // A mask beside its defective picture would count as a defective picture.
    let among = data.join("test/spot/000_mask.png");
    spoiled(200, 72, 72).1.save(&among).unwrap();
    let words = ["test/spot/000_mask.png: consists of two gray values", "move masks to a folder of their own", "--all"];
    refused(&mut eval(), 3, &words);
    assert!(!b.path("out").exists());
    fs::remove_file(&among).unwrap();
    counted(&said(&mut eval()), 5, &["mask 3"]);
    // A good picture of which a mask marks something.
    let good = data.join("ground_truth/good");
    let first = fs::read_dir(data.join("test/good")).unwrap().next().unwrap().unwrap().file_name();
    fs::create_dir(&good).unwrap();
    spoiled(200, 72, 72).1.save(good.join(&first)).unwrap();
    refused(&mut eval(), 3, &["is labelled good, but its mask marks", "correct the label or the mask"]);
    refused(eval().arg("--keep-going"), 9, &["1 of 11 pictures", "is labelled good, but its mask marks"]);
    GrayImage::new(72, 72).save(good.join(&first)).unwrap();
    let told = said(&mut eval());
    assert!(!told.contains("inverted"), "{told}");
    // An inverted mask.
    let mut mask = spoiled(200, 72, 72).1;
    mask.pixels_mut().for_each(|p| p.0[0] = 255 - p.0[0]);
    mask.save(data.join("ground_truth/spot/000_mask.png")).unwrap();
    let told = said(&mut eval());
    let inverted =
        "the masks of 1 defective pictures mark more than half of their pixels; the first is that of test/spot/000.png";
    assert!(told.contains(inverted), "{told}");
    // A mask in a format that is not read.
    let truth = data.join("ground_truth/spot");
    fs::rename(truth.join("000_mask.png"), truth.join("000_mask.gif")).unwrap();
    let words = [
        "1 defective pictures have no mask, the first is test/spot/000.png",
        "left out: .gif 1 (ground_truth/spot/000_mask.gif)",
    ];
    refused(&mut eval(), 3, &words);
}

#[test]
fn hunt_paths_that_are_no_files_and_files_given_twice() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let predict = |words: &[&Path], out: &str| {
        let mut command = verb(&["predict", "--no-heatmaps"]);
        command.arg(&model).args(words).arg("-o").arg(b.path(out));
        command
    };
    #[cfg(unix)]
    {
        let pipe = b.path("pipe.png");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        refused(&mut predict(&[&pipe], "out"), 3, &["pipe.png: is a pipe or a device, not a file"]);
    }
    let test = data.join("test");
    let told = said(&mut predict(&[&test, &test], "out"));
    assert!(told.contains("note: 5 pictures are given more than once; each is looked at once"), "{told}");
    assert_eq!(told.matches("given more than once").count(), 1, "{told}");
    counted(&told, 5, &["given twice 5"]);
    fs::write(b.path("file"), "mine").unwrap();
    refused(&mut predict(&[&test], "file"), 10, &["it is a file; expected a folder"]);
    assert_eq!(fs::read(b.path("file")).unwrap(), b"mine");
    // Good pictures of the set's own test split were not kept aside by an option.
    let told = said(&mut fit(&data, &model));
    assert!(!told.contains("aside "), "{told}");
}

#[test]
fn hunt_masks_by_name_and_folders_that_say_otherwise_are_refused() {
    let b = Bench::new();
    let (folder, model) = (b.path("parts"), b.path("m.lupe"));
    let named = ["is called as masks are", "--all"];
    // Masks that mark nothing look like nothing; their names tell.
    for mask in ["00_mask.png", "01_GT.png", "02_label.bmp"] {
        pictures(&folder, 3);
        GrayImage::new(72, 72).save(folder.join(mask)).unwrap();
        refused(&mut fit(&folder, &model), 3, &[&[mask], &named[..]].concat());
        fs::remove_file(folder.join(mask)).unwrap();
    }
    let both = b.path("both");
    pictures(&both.join("images"), 2);
    fs::create_dir(both.join("masks")).unwrap();
    (0..2).for_each(|n| GrayImage::new(72, 72).save(both.join(format!("masks/0{n}.png"))).unwrap());
    let mut predict = verb(&["predict", "missing.lupe"]);
    refused(predict.arg(&both).arg("-o").arg(b.path("out")), 3, &["masks/00.png", "name the folders of the pictures"]);
    // A label's folder holds folders that say the opposite.
    for (good, other, want) in [
        ("train/good/ok", "train/good/bad", "train/good/bad: has pictures, but lies below train/good, which is good"),
        ("good", "backup/good", "backup/good: has pictures, but lies below backup, which is a kind of defect"),
        ("good", "line2/Normal", "line2/Normal: has pictures, but lies below line2"),
    ] {
        let set = tempfile::tempdir().unwrap();
        pictures(&set.path().join(good), 3);
        pictures(&set.path().join(other), 2);
        refused(&mut fit(set.path(), &model), 3, &[want, "Move its pictures"]);
        assert!(!model.exists());
        fs::remove_dir_all(set.path().join(other)).unwrap();
        assert_eq!(Dataset::open(set.path()).unwrap().train.len(), 3, "the advice");
    }
}
