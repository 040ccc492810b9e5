//! Data sets as their publishers lay them out, each made here: labels, splits, ground truth, tables; and that all files are counted.

use image::{GrayImage, Luma, LumaA, Rgb, RgbImage};
use lupe::Error;
use lupe::data::dataset::{Dataset, Layout, Sample, good};
use lupe::data::{Limits, Mask};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with pictures and masks of these names: masks are those with a `truth` or `mask` in their path, two-valued.
fn set(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    add(dir.path(), files);
    dir
}

fn add(root: &Path, files: &[&str]) {
    for (n, file) in files.iter().enumerate() {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let lower = file.to_lowercase();
        match file.rsplit('.').next().unwrap() {
            _ if lower.contains("truth") || lower.contains("mask") => square(n as u32 % 3).save(path).unwrap(),
            "jpg" | "png" | "bmp" | "JPG" => {
                let picture = RgbImage::from_fn(12, 10, |x, y| Rgb([(20 * x) as u8, (20 * y) as u8, n as u8]));
                picture.save(path).unwrap();
            }
            _ => fs::write(path, b"x").unwrap(),
        }
    }
}

/// White 2x2 on black, `at` columns to the right.
fn square(at: u32) -> GrayImage {
    GrayImage::from_fn(12, 10, |x, y| Luma([if (at..at + 2).contains(&x) && y < 2 { 255 } else { 0 }]))
}

fn open(path: &Path) -> Dataset {
    let set = Dataset::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let left: usize = set.census.left_out().values().sum();
    assert_eq!(set.census.found, set.train.len() + set.test.len() + left, "{:?}", set.census);
    set
}

/// `name=label`, with a `+` where there is a mask.
fn shown(samples: &[Sample]) -> Vec<String> {
    let mark = |s: &Sample| if s.mask.is_some() { "+" } else { "" };
    samples.iter().map(|s| format!("{}={}{}", s.name, s.label, mark(s))).collect()
}

fn mask(sample: &Sample) -> Mask {
    Mask::open(sample.mask.as_ref().unwrap(), Limits::default()).unwrap()
}

#[track_caller]
fn refused(path: &Path, parts: &[&str]) {
    let error = Dataset::open(path).expect_err(parts[0]);
    assert!(matches!(error, Error::Input(_)), "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn mvtec_ad_2() {
    let dir = set(&[
        "can/train/good/0.png",
        "can/validation/good/0.png",
        "can/test_public/good/0.png",
        "can/test_public/bad/0.png",
        "can/test_public/ground_truth/bad/0_mask.png",
        "can/test_private/0.png",
        "can/test_private_mixed/0.png",
        "can/readme.txt",
    ]);
    let found = open(&dir.path().join("can"));
    assert_eq!((found.layout, shown(&found.train)), (Layout::Mvtec, vec!["train/good/0.png=good".to_string()]));
    assert_eq!(shown(&found.test), ["test_public/bad/0.png=bad+", "test_public/good/0.png=good"]);
    let left = found.census.left_out();
    assert_eq!((left["validation split"], left["without a label"], left["mask"], left["other files"]), (1, 2, 1, 1));
    // The folder of tests alone.
    let tests = open(&dir.path().join("can/test_public"));
    let mut all = shown(&tests.train);
    all.extend(shown(&tests.test));
    assert_eq!(all, ["good/0.png=good", "bad/0.png=bad+"]);
}

#[test]
fn btad() {
    let dir =
        set(&["train/ok/0.bmp", "test/ok/1.bmp", "test/ko/2.bmp", "ground_truth/ko/2.png", "ground_truth/ok/1.png"]);
    let found = open(dir.path());
    assert_eq!(shown(&found.train), ["train/ok/0.bmp=good"]);
    assert_eq!(shown(&found.test), ["test/ko/2.bmp=ko+", "test/ok/1.bmp=good+"]);
    // Its masks are called .bmp as well in one of the three.
    let dir = set(&["train/ok/0.bmp", "test/ko/2.bmp", "ground_truth/ko/2.bmp"]);
    assert_eq!(shown(&open(dir.path()).test), ["test/ko/2.bmp=ko+"]);
}

#[test]
fn folders_as_anomalib_takes_them() {
    let dir = set(&["normal/0.png", "abnormal/0.png", "abnormal/1.png", "mask/0.png", "mask/1_mask.png"]);
    let found = open(dir.path());
    assert_eq!((found.layout, shown(&found.train)), (Layout::Plain, vec!["normal/0.png=good".to_string()]));
    assert_eq!(shown(&found.test), ["abnormal/0.png=abnormal+", "abnormal/1.png=abnormal+"]);
    let dir = set(&["Normal/0.png", "Anomaly/0.png", "Masks/Anomaly/0.png"]);
    assert_eq!(shown(&open(dir.path()).test), ["Anomaly/0.png=Anomaly+"]);
}

#[test]
fn loco_and_fault_17_the_union_of_several_masks() {
    let dir = set(&[
        "train/good/0.png",
        "validation/good/0.png",
        "test/good/0.png",
        "test/logical_anomalies/0.png",
        "test/structural_anomalies/7.png",
        "ground_truth/logical_anomalies/0/000.png",
        "ground_truth/logical_anomalies/0/001.png",
        "ground_truth/structural_anomalies/7/000.png",
        "defects_config.json",
    ]);
    let found = open(dir.path());
    let test = shown(&found.test);
    assert_eq!(
        test[1..],
        ["test/logical_anomalies/0.png=logical_anomalies+", "test/structural_anomalies/7.png=structural_anomalies+"]
    );
    let folder = dir.path().join("ground_truth/logical_anomalies/0");
    square(0).save(folder.join("000.png")).unwrap();
    // The values of one are no brightness: they say which kind it is.
    let class = GrayImage::from_fn(12, 10, |x, y| Luma([if x > 9 && y > 7 { 33 } else { 0 }]));
    class.save(folder.join("001.png")).unwrap();
    assert_eq!(mask(&found.test[1]).bits.iter().filter(|b| **b).count(), 4 + 4);
    GrayImage::new(5, 5).save(folder.join("001.png")).unwrap();
    let error = Mask::open(found.test[1].mask.as_ref().unwrap(), Limits::default()).unwrap_err().to_string();
    assert!(error.contains("001.png: is 5x5, but the masks beside it are 12x10"), "{error}");
    // A folder and a file.
    add(dir.path(), &["ground_truth/logical_anomalies/0.png"]);
    refused(
        dir.path(),
        &["test/logical_anomalies/0.png has two masks", "logical_anomalies/0 and ", "0.png; remove one"],
    );
    fs::remove_file(dir.path().join("ground_truth/logical_anomalies/0.png")).unwrap();
    open(dir.path());
}

#[test]
fn fault_17_two_masks_of_one_picture() {
    let dir = set(&["good/0.png", "bad/00.png", "masks/bad/00.png", "masks/bad/00_mask.png"]);
    refused(dir.path(), &["bad/00.png has two masks", "masks/bad/00.png and ", "00_mask.png; remove one"]);
    fs::remove_file(dir.path().join("masks/bad/00_mask.png")).unwrap();
    open(dir.path());
    add(dir.path(), &["bad/00.jpg"]);
    refused(dir.path(), &["masks/bad/00.png: is the mask of bad/00.jpg and bad/00.png; give these different names"]);
}

#[test]
fn fault_17_alpha_is_the_mask_where_the_colour_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.png");
    let count = || Mask::open(&path, Limits::default()).map(|m| m.bits.iter().filter(|b| **b).count());
    let save = |of: &dyn Fn(bool) -> [u8; 2]| {
        image::ImageBuffer::from_fn(12, 10, |x, y| LumaA(of(x < 2 && y < 2))).save(&path).unwrap();
    };
    save(&|set| [255, if set { 255 } else { 0 }]);
    assert_eq!(count().unwrap(), 4);
    save(&|set| [0, if set { 255 } else { 0 }]);
    assert_eq!(count().unwrap(), 4);
    save(&|set| if set { [255, 255] } else { [0, 0] });
    assert_eq!(count().unwrap(), 4);
    save(&|set| [if set { 255 } else { 0 }, 255]);
    assert_eq!(count().unwrap(), 4);
    save(&|set| if set { [255, 255] } else { [200, 0] });
    let error = count().unwrap_err().to_string();
    assert!(
        error.contains("its colours mark 116 pixels that are transparent; save it without an alpha channel"),
        "{error}"
    );
    image::open(&path).unwrap().into_luma8().save(&path).unwrap();
    count().unwrap();
}

#[test]
fn fault_25_few_values_are_classes_and_many_are_brightness() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.png");
    let of = |value: &dyn Fn(u32) -> u8| {
        GrayImage::from_fn(16, 16, |x, y| Luma([value(x + 16 * y)])).save(&path).unwrap();
        let mask = Mask::open(&path, Limits::default()).unwrap();
        (mask.bits.iter().filter(|b| **b).count(), mask.unsure)
    };
    assert_eq!(of(&|i| if i < 10 { 255 } else { 0 }), (10, 0));
    assert_eq!(of(&|i| if i < 10 { 1 + (i % 3) as u8 } else { 0 }), (10, 0), "classes");
    assert_eq!(
        of(&|i| if i < 10 {
            255
        } else if i < 15 {
            100
        } else {
            0
        }),
        (15, 5),
        "classes, or an edge: it is said"
    );
    assert_eq!(of(&|i| i as u8), (128, 127));
    assert_eq!(of(&|i| if i < 10 { 235 } else { 16 }), (10, 246), "without black, nothing is a class");
    assert_eq!(of(&|_| 255), (256, 0));
}

/// As Huang's magnetic tiles: the mask of every picture lies beside it, that of a good one is black.
#[test]
fn magnetic_tiles() {
    let dir = set(&["MT_Free/Imgs/0.jpg", "MT_Blowhole/Imgs/1.jpg", "MT_Break/Imgs/2.jpg"]);
    GrayImage::new(12, 10).save(dir.path().join("MT_Free/Imgs/0.png")).unwrap();
    square(1).save(dir.path().join("MT_Blowhole/Imgs/1.png")).unwrap();
    square(2).save(dir.path().join("MT_Break/Imgs/2.png")).unwrap();
    let found = open(dir.path());
    assert_eq!(shown(&found.train), ["MT_Free/Imgs/0.jpg=good+"]);
    assert_eq!(shown(&found.test), ["MT_Blowhole/Imgs/1.jpg=MT_Blowhole+", "MT_Break/Imgs/2.jpg=MT_Break+"]);
    assert_eq!(found.census.left_out()["mask"], 3);
    assert!(mask(&found.test[0]).bits[1] && mask(&found.test[1]).bits[2]);
    // Two photographs of one name are both pictures.
    add(dir.path(), &["MT_Break/Imgs/1.jpg", "MT_Break/Imgs/1.png"]);
    assert_eq!(shown(&open(dir.path()).test)[1..3], ["MT_Break/Imgs/1.jpg=MT_Break", "MT_Break/Imgs/1.png=MT_Break"]);
}

#[test]
fn visa_with_its_splits() {
    let dir = set(&[
        "candle/Data/Images/Normal/0.JPG",
        "candle/Data/Images/Normal/1.JPG",
        "candle/Data/Images/Anomaly/0.JPG",
        "candle/Data/Images/Anomaly/9.JPG",
        "candle/Data/Masks/Anomaly/0.png",
        "pcb1/Data/Images/Normal/0.JPG",
        "candle/image_anno.csv",
    ]);
    let csv = dir.path().join("split_csv/1cls.csv");
    fs::create_dir(csv.parent().unwrap()).unwrap();
    let rows = "candle,train,normal,candle/Data/Images/Normal/0.JPG,\n\
                candle,test,normal,candle/Data/Images/Normal/1.JPG,\n\
                candle,test,anomaly,candle/Data/Images/Anomaly/0.JPG,candle/Data/Masks/Anomaly/0.png\n";
    fs::write(&csv, format!("object,split,label,image,mask\n{rows}pcb1,train,normal,pcb1/Data/Images/Normal/0.JPG,\n"))
        .unwrap();
    let found = open(&dir.path().join("candle"));
    assert_eq!(
        (found.layout, shown(&found.train)),
        (Layout::Csv, vec!["candle/Data/Images/Normal/0.JPG=good".to_string()])
    );
    assert_eq!(
        shown(&found.test),
        ["candle/Data/Images/Anomaly/0.JPG=anomaly+", "candle/Data/Images/Normal/1.JPG=good"]
    );
    let left = found.census.left_out();
    assert_eq!((left["not in the table"], left["mask"], left["other files"]), (1, 1, 1));
    // Several objects: they are named, and the advice works.
    let advice = format!("give the folder of one, such as {}", dir.path().join("candle").display());
    for path in [dir.path(), &csv] {
        refused(path, &["is about several objects: candle, pcb1", &advice]);
    }
    fs::write(&csv, format!("object,split,label,image,mask\n{rows}")).unwrap();
    assert_eq!(open(&csv).test.len(), 2);
    // Without its table.
    fs::remove_file(&csv).unwrap();
    let images = dir.path().join("candle/Data/Images");
    refused(&dir.path().join("candle"), &[&format!("{} is a data set", images.display())]);
    assert_eq!(shown(&open(&images).test), ["Anomaly/0.JPG=Anomaly+", "Anomaly/9.JPG=Anomaly"], "masks from beside it");
}

fn tabled(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = set(&["a/0.png", "a/1.png", "b/2.png", "truth/2.png"]);
    let csv = dir.path().join("t.csv");
    fs::write(&csv, text).unwrap();
    (dir, csv)
}

#[test]
fn fault_15_separators_backslashes_and_no_split() {
    let rows = |separator: &str, split: bool| {
        let line = |words: [&str; 4]| {
            let kept = words.iter().enumerate().filter(|(i, _)| split || *i != 2).map(|w| *w.1);
            kept.collect::<Vec<_>>().join(separator) + "\n"
        };
        [
            "image_path;label;split;mask_path",
            "a\\0.png;OK;train;",
            "a/1.png;normal;TEST;",
            "b\\2.png;cut;test;truth\\2.png",
        ]
        .map(|l| line(l.split(';').collect::<Vec<_>>().try_into().unwrap()))
        .concat()
    };
    for (separator, mark) in [(",", ""), (";", "\u{feff}"), ("\t", "")] {
        let (dir, csv) = tabled(&(mark.to_string() + &rows(separator, true)));
        for path in [dir.path(), &csv] {
            let found = open(path);
            assert_eq!(shown(&found.train), ["a/0.png=good"], "{separator:?}");
            assert_eq!(shown(&found.test), ["a/1.png=good", "b/2.png=cut+"]);
            assert!(found.notes.is_empty() && found.census.left_out()["table"] == 1, "{:?}", found.notes);
        }
        let (_dir, csv) = tabled(&rows(separator, false));
        let found = open(&csv);
        assert_eq!((shown(&found.train).len(), shown(&found.test)), (2, vec!["b/2.png=cut+".to_string()]));
        assert!(found.notes[0].contains("has no column `split`: good pictures are for fitting"), "{:?}", found.notes);
    }
    for (text, by) in [
        ("image_path;split\na/0.png;train\n", "must name image_path and label"),
        ("image_path,label\na/0.png,\n", "line 2: has no label"),
        ("image_path,label,split\na/9.png,ok,train\n", "line 2: a/9.png does not exist"),
        ("image_path,label,split,mask_path\nb/2.png,cut,test,truth\\3.png\n", "line 2: truth/3.png does not exist"),
    ] {
        refused(&tabled(text).1, &[by]);
    }
}

#[test]
fn fault_15_a_stray_table_beside_pictures() {
    let dir = set(&["0.png", "1.png", "2.png"]);
    fs::write(dir.path().join("notes.csv"), "name,score\n0.png,3\n").unwrap();
    let found = open(dir.path());
    assert_eq!((found.layout, found.train.len(), found.census.left_out()["other files"]), (Layout::Flat, 3, 1));
    fs::write(dir.path().join("set.csv"), "image_path,label,split\n0.png,ok,train\n1.png,cut,test\n").unwrap();
    let found = open(dir.path());
    assert_eq!((found.layout, shown(&found.test)), (Layout::Csv, vec!["1.png=cut".to_string()]));
    let left = found.census.left_out();
    assert_eq!((left["not in the table"], left["other files"], left["table"]), (1, 1, 1));
    fs::copy(dir.path().join("set.csv"), dir.path().join("two.csv")).unwrap();
    refused(dir.path(), &["has several tables, set.csv and two.csv; name the one to use"]);
    open(&dir.path().join("two.csv"));
    // Beside labelled folders a table is not used, and that is said.
    add(dir.path(), &["good/0.png", "bad/0.png"]);
    let found = open(dir.path());
    assert!(found.layout == Layout::Plain && found.notes[0].contains("set.csv is not used"), "{:?}", found.notes);
}

#[test]
fn fault_22_pictures_beside_folders_of_pictures_under_a_label() {
    let dir = set(&["train/good/0.png", "train/good/more/1.png", "test/cut/0.png"]);
    refused(
        dir.path(),
        &["train/good: has pictures (1) beside folders of pictures (train/good/more: 1); move one or the other"],
    );
    fs::rename(dir.path().join("train/good/more"), dir.path().join("elsewhere")).unwrap();
    let found = open(dir.path());
    assert_eq!((found.train.len(), found.census.left_out()["outside the layout's folders"]), (1, 1));
    // Only deeper ones are all taken.
    let dir = set(&["good/monday/0.png", "good/tuesday/0.png"]);
    assert_eq!(open(dir.path()).train.len(), 2);
    // Good pictures beside a folder of tests.
    let dir = set(&["good/0.png", "test/cut/0.png"]);
    refused(dir.path(), &["good pictures beside its folder of tests", "move their folder into train"]);
    fs::create_dir(dir.path().join("train")).unwrap();
    fs::rename(dir.path().join("good"), dir.path().join("train/good")).unwrap();
    assert_eq!((open(dir.path()).train.len(), open(dir.path()).test.len()), (1, 1));
}

#[test]
#[cfg(unix)]
fn fault_13_links_are_followed_once_and_closed_folders_are_counted() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = set(&["set/good/0.png", "elsewhere/1.png", "elsewhere/deep/2.png"]);
    let root = dir.path().join("set");
    symlink("../elsewhere", root.join("cut")).unwrap();
    fs::remove_file(dir.path().join("elsewhere/1.png")).unwrap();
    symlink("..", root.join("good/up")).unwrap();
    symlink("nowhere", root.join("good/gone.png")).unwrap();
    symlink("deep", dir.path().join("elsewhere/again")).unwrap();
    let found = open(&root);
    assert_eq!(shown(&found.test), ["cut/deep/2.png=cut"]);
    let left = found.census.left_out();
    assert_eq!((left["dangling link"], left["link to a folder, not followed"]), (1, 2));
    let closed = root.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&closed).is_err() {
        assert_eq!(open(&root).census.left_out()["cannot be entered"], 1);
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(open(&root).train.iter().all(good));
}

#[test]
fn hunt_a_table_with_carriage_returns_alone_is_read_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("t.csv");
    for name in ["a.png", "b.png"] {
        RgbImage::new(8, 8).save(folder.path().join(name)).unwrap();
    }
    for columns in ["image_path,label,split", "split,image_path,label"] {
        let row = |split: &str, image: &str, label: &str| match columns.starts_with("split") {
            true => format!("{split},{image},{label}"),
            false => format!("{image},{label},{split}"),
        };
        let rows = [columns.to_string(), row("train", "a.png", "good"), row("test", "b.png", "dent")];
        fs::write(&table, rows.join("\r") + "\r").unwrap();
        let set = Dataset::open(&table).unwrap();
        assert_eq!((set.train.len(), set.test[0].label.as_str(), set.notes.len()), (1, "dent", 0), "{columns}");
    }
}
