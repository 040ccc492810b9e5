//! A folder for each class, or a table: every file counted, and what is wrong with one said.

use crate::common::parts::{data_set, part};
use lupe::data::dataset::Classes;
use std::fs;
use std::path::Path;

/// Writes picture number `n`.
fn picture(root: &Path, name: &str, n: u64) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    part(n, 40, 30).save(path).unwrap();
}

fn counts(classes: &Classes) -> Vec<(String, usize)> {
    classes.counts().into_iter().map(|(name, n)| (name.to_string(), n)).collect()
}

fn said(root: &Path) -> String {
    Classes::open(root, false).expect_err("refused").to_string()
}

#[test]
fn a_folder_for_each_class_with_any_number_of_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let names = ["brick/b.png", "brick/a.png", "a weed/left/x.png", "a weed/right/x.png", "OK/1.png"];
    names.iter().enumerate().for_each(|(n, name)| picture(root, name, n as u64));
    picture(root, "loose.png", 9);
    fs::write(root.join("brick/notes.txt"), "x").unwrap();
    fs::write(root.join("brick/c.gif"), "x").unwrap();
    let classes = Classes::open(root, false).unwrap();
    assert_eq!(counts(&classes), [("a weed".into(), 2), ("brick".into(), 2), ("good".into(), 1)]);
    let sorted = ["a weed/left/x.png", "a weed/right/x.png", "brick/a.png", "brick/b.png", "OK/1.png"];
    assert_eq!(classes.samples.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), sorted);
    let counted = classes.fitted([("same as another", "brick/b.png")].into_iter(), 1).to_string();
    for part in
        ["8 files found: 3 looked at", "outside the layout's folders 1 (loose.png)", "other files 1", "1 unreadable"]
    {
        assert!(counted.contains(part), "{part}: {counted}");
    }
}

#[test]
fn what_is_no_folder_of_classes_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(said(&at("none")).contains("does not exist"));
    fs::create_dir(at("empty")).unwrap();
    assert!(said(&at("empty")).contains("has no folder of pictures, but 0 pictures directly in it"));
    picture(&at("flat"), "a.png", 1);
    assert!(said(&at("flat")).contains("1 pictures directly in it; expected a folder for each class"));
    data_set(&at("mvtec"), 3, 40, 40);
    let text = said(&at("mvtec"));
    assert!(text.contains("is a data set in splits") && text.contains("mvtec/test"), "{text}");
    assert_eq!(counts(&Classes::open(&at("mvtec/test"), false).unwrap()), [("good".into(), 2), ("spot".into(), 3)]);
    picture(&at("one"), "a/1.png", 1);
    fs::create_dir(at("one/b")).unwrap();
    assert!(said(&at("one")).contains("one/b: is a class without pictures"));
    for name in ["a/1.png", "A/2.png"] {
        picture(&at("case"), name, 1);
    }
    assert!(said(&at("case")).contains("differ in case only"));
    for name in ["a/1.png", "b/1.png", "b/1.jpg"] {
        picture(&at("twins"), name, 1);
    }
    assert!(said(&at("twins")).contains("differ in their endings only"));
    assert!(Classes::open(&at("twins"), true).is_ok());
    fs::write(at("x.txt"), "x").unwrap();
    assert!(said(&at("x.txt")).contains("not a folder or a table; expected a folder for each class"));
}

/// A table says which class a picture is of, wherever it lies.
#[test]
fn a_table_of_classes() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    (0..5).for_each(|n| picture(root, &format!("images/{n}.png"), n));
    let table = "image_path,label,split,who\nimages/0.png,cut,train,me\nimages/1.png,0,train,me\nimages/2.png,cut,test,me\nimages/3.png,dent,train,me\n";
    fs::write(root.join("list.csv"), table).unwrap();
    for path in [root.to_path_buf(), root.join("list.csv")] {
        let classes = Classes::open(&path, false).unwrap();
        assert_eq!(counts(&classes), [("cut".into(), 1), ("dent".into(), 1), ("good".into(), 1)], "{path:?}");
        assert!(classes.notes.iter().any(|n| n.contains("not used: who")), "{:?}", classes.notes);
        let counted = classes.fitted(std::iter::empty(), 0).to_string();
        assert!(counted.contains("3 looked at") && counted.contains("for testing 1"), "{counted}");
        assert_eq!(counted.contains("6 files found"), path.is_dir(), "{counted}");
        assert_eq!(counted.contains("not in the table 1 (images/4.png)"), path.is_dir(), "{counted}");
    }
    fs::write(root.join("list.csv"), "image_path,label\nimages/0.png,cut\nimages/9.png,cut\n").unwrap();
    assert!(said(root).contains("line 3: images/9.png does not exist"));
    fs::write(root.join("other.csv"), "image_path,label\nimages/0.png,cut\n").unwrap();
    assert!(said(root).contains("has several tables, list.csv and other.csv"));
}
