//! Studies by the commands: made-up parts, a plan, a run, and whether two folders are the same.

use super::parts::{part, spoiled, verb};
use super::program::Bench;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Good parts, some with a spot, some turned upside down; one picture twice.
pub fn data(root: &Path) {
    let file = |name: String| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for n in 0..6 {
        part(n, 72, 72).save(file(format!("train/good/{n}.png"))).unwrap();
        spoiled(300 + n, 72, 72).0.save(file(format!("test/spot/{n}.png"))).unwrap();
        let mut turned = part(400 + n, 72, 72);
        image::imageops::flip_vertical_in_place(&mut turned);
        turned.save(file(format!("test/turned/{n}.png"))).unwrap();
    }
    for n in 0..4 {
        part(100 + n, 72, 72).save(file(format!("test/good/{n}.png"))).unwrap();
    }
    fs::copy(root.join("test/good/0.png"), root.join("test/good/copy.png")).unwrap();
    part(500, 72, 72).save(file("test/left/0.png".into())).unwrap();
}

/// Writes a plan, and the parts that it is about.
pub fn plan(b: &Bench, text: &str) -> PathBuf {
    if !b.path("parts").exists() {
        data(&b.path("parts"));
    }
    b.write("study.toml", text.as_bytes())
}

/// `lupe experiment run` of it.
pub fn run(b: &Bench, out: &str, more: &[&str]) -> Command {
    let mut command = verb(&["experiment", "run"]);
    command.arg(b.path("study.toml")).arg("-o").arg(b.path(out)).args(more);
    command
}

/// All files of a folder; those that show times apart.
pub fn files(folder: &Path) -> [BTreeMap<String, Vec<u8>>; 2] {
    let (mut all, mut open) = ([BTreeMap::new(), BTreeMap::new()], vec![folder.to_path_buf()]);
    while let Some(at) = open.pop() {
        for path in fs::read_dir(&at).unwrap().map(|e| e.unwrap().path()) {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_string();
            if path.is_dir() {
                open.push(path);
            } else {
                let timed = lupe::study::report::timed(&name) || name == "timing.jsonl";
                all[usize::from(timed)].insert(name, fs::read(&path).unwrap());
            }
        }
    }
    all
}

#[track_caller]
pub fn same(one: &Path, other: &Path) {
    let ([one, times], [other, more]) = (files(one), files(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    assert_eq!(times.keys().collect::<Vec<_>>(), more.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(other[name] == *bytes, "{name} differs");
    }
}
