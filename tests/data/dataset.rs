//! Data-set layouts: each is found as it lies, and what is wrong is told.

use crate::common::skip;
use lupe::data::dataset::{Dataset, Layout, pictures};
use lupe::data::{Limits, Mask, Preprocess, Scaling};
use std::fs;
use std::path::Path;

fn put(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }
}

fn names(samples: &[lupe::data::dataset::Sample]) -> Vec<String> {
    samples.iter().map(|s| format!("{}={}{}", s.name, s.label, if s.mask.is_some() { "+" } else { "" })).collect()
}

fn refused(path: &Path, by: &str) {
    let error = Dataset::open(path).expect_err(by);
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains(by), "{by}: {error}");
}

#[test]
fn layouts() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("mvtec");
    let files =
        ["train/good/1.png", "train/good/0.JPG", "train/good/.hidden.png", "train/good/note.txt", "test/good/5.png"];
    put(&root, &files);
    put(
        &root,
        &["test/cut/a.png", "test/cut/b.png", "ground_truth/cut/a_mask.png", "ground_truth/cut/b.png", "good/x.png"],
    );
    let set = Dataset::open(&root).unwrap();
    assert_eq!(set.layout, Layout::Mvtec);
    assert_eq!(names(&set.train), ["train/good/0.JPG=good", "train/good/1.png=good"]);
    assert_eq!(names(&set.test), ["test/cut/a.png=cut+", "test/cut/b.png=cut+", "test/good/5.png=good"]);
    assert_eq!(set.split(2).train.len(), 2, "it has a test split of its own");

    let root = dir.path().join("plain");
    let good: Vec<String> = (0..11).map(|i| format!("good/{i:02}.png")).collect();
    put(&root, &good.iter().map(String::as_str).collect::<Vec<_>>());
    put(&root, &["scratch/a.png", "masks/scratch/a.png"]);
    let set = Dataset::open(&root).unwrap();
    assert_eq!((set.layout, set.train.len()), (Layout::Plain, 11));
    let set = set.split(5);
    assert_eq!(names(&set.test), ["good/04.png=good", "good/09.png=good", "scratch/a.png=scratch+"]);
    assert_eq!(set.train.len(), 9);

    let root = dir.path().join("flat");
    put(&root, &["b.png", "a.webp", "c.txt"]);
    let set = Dataset::open(&root).unwrap();
    assert_eq!((set.layout, names(&set.train)), (Layout::Flat, vec!["a.webp=good".into(), "b.png=good".to_string()]));
    assert_eq!(pictures(&[dir.path().join("flat"), root.join("b.png")], false).unwrap().samples.len(), 3);

    put(&root, &["masks/b.png"]);
    let csv = root.join("set.csv");
    fs::write(&csv, "image_path,label,split,mask_path\na.webp,0,train,\nb.png,crack,test,masks/b.png\n").unwrap();
    for path in [&csv, &root] {
        let set = Dataset::open(path).unwrap();
        assert_eq!((set.layout, names(&set.test)), (Layout::Csv, vec!["b.png=crack+".to_string()]));
    }
}

#[test]
fn what_is_wrong_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    refused(&at("nowhere"), "does not exist");
    put(
        dir.path(),
        &["file.png", "stray/good/a.png", "stray/bad/a.png", "stray/ground_truth/bad/z_mask.png", "other/deep/x.png"],
    );
    refused(&at("file.png"), "not a folder or a table; expected train/good");
    refused(&at("stray"), "is a mask without a matching picture");
    refused(&at("other"), "found deep");
    fs::create_dir_all(at("empty/train/good")).unwrap();
    refused(&at("empty"), "has no good pictures");
    fs::create_dir_all(at("nothing")).unwrap();
    refused(&at("nothing"), "found nothing");
    assert!(pictures(&[at("nothing")], false).unwrap_err().to_string().contains("has no pictures"));
    for (text, by) in [
        ("a,b\n", "must name image_path and label (and optionally split and mask_path)"),
        ("image_path,label,split\nno.png,good,train\n", "line 2: no.png does not exist"),
        ("image_path,label,split\nfile.png,good,dev\n", "split is \"dev\", expected train, validation or test"),
        ("image_path,label,split\nfile.png,bad,train\n", "cannot be fitted on"),
        ("image_path,label,split\nfile.png,good,train\nfile.png,good,test\n", "occurs twice"),
        ("image_path,label,split\nfile.png,good\n", "give every line as many columns as the first"),
        ("image_path,label,split\n/etc/hostname,good,train\n", "line 2: /etc/hostname is outside the table"),
    ] {
        fs::write(at("t.csv"), text).unwrap();
        refused(&at("t.csv"), by);
    }
}

/// Results are written under these names: none may lead out of their folder.
#[test]
fn names_of_a_table_stay_below_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &["pictures/a.png", "pictures/b.png", "tables/x.txt"]);
    let (csv, inside) = (dir.path().join("tables/set.csv"), dir.path().join("tables/c.png"));
    fs::write(&inside, b"x").unwrap();
    let rows = format!("../pictures/a.png,good,train\n./../pictures/b.png,cut,test\n{},cut,test\n", inside.display());
    fs::write(&csv, format!("image_path,label,split\n{rows}")).unwrap();
    let set = Dataset::open(&csv).unwrap();
    assert_eq!(names(&set.train), ["pictures/a.png=good"]);
    assert_eq!(names(&set.test), ["c.png=cut", "pictures/b.png=cut"]);
    assert!(set.test.iter().all(|s| s.path.is_file()));
}

#[test]
fn hazelnut_as_it_lies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hazelnut");
    if !root.exists() {
        return skip::skip("hazelnut_as_it_lies", "../shared/data/hazelnut is not here");
    }
    let set = Dataset::open(&root).unwrap();
    let masks = set.test.iter().filter(|s| s.mask.is_some()).count();
    assert_eq!((set.train.len(), set.test.len(), masks), (28, 23, 17));
    let official = Preprocess::imagenet(256, 224);
    let anomalib = Preprocess { scaling: Some(Scaling::Square(256)), crop: None, ..official };
    let mut counts = [0; 2];
    for path in set.test.iter().filter_map(|s| s.mask.as_ref()) {
        let mask = Mask::open(path, Limits::default()).unwrap();
        let sizes = [mask.sized(&official, false).unwrap(), mask.sized(&anomalib, true).unwrap()];
        counts.iter_mut().zip(&sizes).for_each(|(c, m)| *c += m.iter().filter(|b| **b).count());
    }
    assert_eq!(counts, [34_001, 39_427]);
}

#[test]
fn where_the_input_lies_in_the_picture() {
    let official = Preprocess::imagenet(256, 224);
    assert_eq!(official.area(512, 512), [32.0, 32.0, 448.0, 448.0]);
    assert_eq!(official.area(1024, 512), [288.0, 32.0, 448.0, 448.0]);
    let square = Preprocess { scaling: Some(Scaling::Square(256)), crop: None, ..official };
    assert_eq!(square.area(640, 480), [0.0, 0.0, 640.0, 480.0]);
    let padded = Preprocess { scaling: None, crop: Some([10, 10]), ..official };
    assert_eq!(padded.area(4, 20), [-3.0, 5.0, 10.0, 10.0]);
}

/// What is noted of a set.
fn noted(path: &Path) -> String {
    Dataset::open(path).unwrap().notes.join("\n")
}

#[test]
fn hunt_names_that_do_not_mean_good_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, &["split/train/gut/0.png", "split/test/gut/1.png", "split/test/kratzer/2.png"]);
    refused(
        &root.join("split"),
        "train: has no folder that means good, but gut; rename it: these names mean good: good, ok",
    );
    fs::rename(root.join("split/train/gut"), root.join("split/train/good")).unwrap();
    let none = "none of the labels of the pictures to test with means good (gut, kratzer), so all 2 count as defective";
    assert!(noted(&root.join("split")).contains(none));
    fs::rename(root.join("split/test/gut"), root.join("split/test/good")).unwrap();
    assert_eq!(noted(&root.join("split")), "");
    fs::write(root.join("t.csv"), "image_path,label\nsplit/test/good/1.png,0.0\n").unwrap();
    assert!(noted(&root.join("t.csv")).contains("(0.0), so all 1 count as defective"));
    let error = Dataset::open(&root.join("t.csv")).unwrap().to_fit(false).unwrap_err().to_string();
    assert!(error.contains("give them a label that means good (0, good") && !error.contains("train/good"), "{error}");
    put(root, &["two/Good/0.png", "two/good/1.png"]);
    refused(&root.join("two"), "two: has the folders Good and good");
}

#[test]
fn hunt_what_a_table_says_twice_or_in_vain_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (root, csv) = (dir.path(), dir.path().join("t.csv"));
    put(root, &["p/a.png", "p/b.png", "m/b.png"]);
    let rows = |rows: &str| fs::write(&csv, format!("image_path,label,split,mask_path\n{rows}")).unwrap();
    for (text, by) in [
        (
            "p/a.png,good,test,\n\n\np/../p/a.png,good,test,\n",
            "line 5: p/a.png occurs twice: line 2 names the same file",
        ),
        ("p/a.png,good,test,\r\n\r\nno.png,good,test,\r\n", "line 4: no.png does not exist"),
        ("p/a.png,cut,test,m/b.png\np/b.png,cut,test,m/b.png\n", "also that of the picture in line 2"),
        ("p/a.png,cut,test,p/b.png\np/b.png,good,test,\n", "the mask of p/a.png is a picture of the table itself"),
        ("p/a.png,cut,test,m\n", "line 2: m is a folder; name a file"),
        (",cut,test,\n", "line 2: names no picture"),
        ("", "its table has no rows"),
    ] {
        rows(text);
        refused(&csv, by);
    }
    fs::write(&csv, "image_path,label,image_path\np/a.png,good,p/b.png\n").unwrap();
    refused(&csv, "names the column image_path more than once");
    fs::write(&csv, "image_path,label,mask\np/a.png,good,m/b.png\n").unwrap();
    assert!(noted(&csv).contains("that are not used: mask"));
    fs::write(&csv, b"\xff\xfei\0m\0").unwrap();
    refused(&csv, "is a table in UTF-16; save it as UTF-8");
    fs::write(&csv, b"image_path,label\np/a.png,gr\xfcn\n").unwrap();
    refused(&csv, "save it as UTF-8");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("b.png", root.join("p/link.png")).unwrap();
        rows("p/b.png,cut,test,\np/link.png,cut,test,\n");
        refused(&csv, "line 3: p/link.png occurs twice: line 2");
    }
    // An absolute path within the table's folder, by whatever path that is given.
    rows(&format!("{},good,test,\n", root.join("p/a.png").display()));
    let beside = root.join("p/../t.csv");
    assert_eq!(names(&Dataset::open(&beside).unwrap().test), ["p/a.png=good"]);
}

#[test]
fn hunt_masks_say_how_they_are_called_and_good_pictures_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, &["good/0.png", "bad/1.png", "masks/bad/1.png", "masks/good/0_mask.png", "masks/good/elsewhere.png"]);
    let set = Dataset::open(root).unwrap();
    assert_eq!((names(&set.train), names(&set.test)), (vec!["good/0.png=good+".into()], vec!["bad/1.png=bad+".into()]));
    assert_eq!(set.census.left_out()["mask"], 3);
    put(root, &["masks/bad/1_MASK.png"]);
    refused(root, "the mask of X.png is called X.* or X_mask.*");
}
