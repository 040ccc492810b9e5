//! What runs leave in a folder of results, and what commands say.

use super::parts::verb;
use super::program::text;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// What a file of JSON holds.
pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The lines of a folder's `results.ndjson`.
pub fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("results.ndjson")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// Every file below a folder, `/` between the parts of its path.
pub fn files(folder: &Path) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![folder.to_path_buf()]);
    while let Some(path) = open.pop() {
        match path.is_dir() {
            true => open.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path())),
            false => drop(found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_string())),
        }
    }
    found
}

/// The same with their bytes.
pub fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| (fs::read(folder.join(&name)).unwrap(), name);
    files(folder).into_iter().map(read).map(|(bytes, name)| (name, bytes)).collect()
}

/// The same but the times, which no two runs share.
pub fn lasting(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = contents(folder);
    found.retain(|name, _| !name.ends_with("timing.ndjson"));
    found
}

pub fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(ToString::to_string).collect()
}

/// What a results folder lists, itself aside, and whether its run ended.
pub fn listed(folder: &Path) -> (BTreeSet<String>, bool) {
    let list: Value = serde_json::from_slice(&fs::read(folder.join(".lupe-results")).unwrap()).unwrap();
    let names = list["files"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_string());
    (names.collect(), list["finished"] == true)
}

pub fn predict(model: &Path, pictures: &Path, out: &Path) -> Command {
    let mut command = verb(&["predict"]);
    command.arg(model).arg(pictures).arg("-o").arg(out);
    command
}

pub fn said(command: &mut Command, code: i32) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = text(&stderr);
    assert_eq!(status.code(), Some(code), "{stderr}");
    stderr
}
