//! What commands say of the files that they found, held to what lies there.

use super::parts::part;
use super::program::text;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Runs a command that must end well, in a folder; stdout and stderr.
pub fn said(command: &mut Command) -> String {
    let run = command.output().unwrap();
    assert!(run.status.success(), "{command:?}: {}", text(&run.stderr));
    text(&run.stdout) + &text(&run.stderr)
}

/// Paths of the pictures that got a score.
pub fn scored(out: &Path) -> Vec<String> {
    let lines = fs::read_to_string(out.join("results.ndjson")).unwrap();
    let lines = lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    lines.filter(|l| l["score"].is_f64()).map(|l| l["path"].as_str().unwrap().to_string()).collect()
}

/// Every number of the line that counts, and that they add up.
#[track_caller]
pub fn counted(said: &str, looked_at: usize, left_out: &[&str]) {
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

pub fn pictures(folder: &Path, n: u64) {
    fs::create_dir_all(folder).unwrap();
    (0..n).for_each(|i| part(i, 72, 72).save(folder.join(format!("{i:02}.png"))).unwrap());
}
