//! The documents say what the program does: commands and flags that exist, links that lead somewhere, the table of exit codes.

use crate::common::program::{done, lupe};
use lupe::error::EXIT_CODES;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// README.md, the other documents beside it, and those in `docs`.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = |path: PathBuf| fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let all = [folder(root.into()), folder(root.join("docs"))].concat();
    let documents = all.into_iter().filter(|p| p.extension().is_some_and(|e| e == "md"));
    let read: Vec<_> = documents.map(|p| (p.clone(), fs::read_to_string(p).unwrap())).collect();
    assert!(read.len() >= 8, "{read:?}");
    read
}

/// Every line that is a command, in a block or between backticks, without `lupe`.
fn commands(text: &str) -> Vec<String> {
    let block = |line: &str| {
        let code = line.strip_prefix("    ")?.trim_start();
        let code = code.strip_prefix("$ ").unwrap_or(code);
        code.strip_prefix("lupe ").map(|c| c.split(" #").next().unwrap_or(c).to_string())
    };
    let inline = text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("lupe ")).map(str::to_string);
    text.lines().filter_map(block).chain(inline.map(|c| c.replace('\n', " "))).collect()
}

/// `lupe help` of a command's words, which are those before the first that is no name of a command.
fn help(words: &[&str], known: &mut BTreeMap<String, String>) -> String {
    let nested = ["fit", "weights", "bench", "data", "experiment"].contains(&words[0]);
    let second = words.get(1).filter(|w| nested && w.chars().all(|c| c.is_ascii_lowercase()));
    let topic: Vec<&str> = [words[0]].into_iter().chain(second.copied()).collect();
    known.entry(topic.join(" ")).or_insert_with(|| done(lupe().arg("help").args(&topic))).clone()
}

#[test]
fn every_command_and_flag_exists() {
    let (mut known, mut seen) = (BTreeMap::new(), 0);
    for (path, text) in documents() {
        for command in commands(&text) {
            let words: Vec<&str> = command.split_whitespace().collect();
            let Some(first) = words.first().filter(|w| w.chars().all(|c| c.is_ascii_lowercase())) else { continue };
            if *first == "help" || *first == "patchcore" {
                continue;
            }
            let help = help(&words, &mut known);
            for flag in words.iter().filter_map(|w| w.strip_prefix("--")) {
                let flag = flag.split(['=', ',', '.']).next().unwrap();
                assert!(help.contains(&format!("--{flag}")), "{}: `lupe {command}`: no --{flag}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} commands");
}

#[test]
fn links_lead_somewhere() {
    for (path, text) in documents() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.starts_with("http") {
                continue;
            }
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let heading = |l: &str| {
                    let words = l.trim_start_matches('#').trim().to_lowercase();
                    let kept: String = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect();
                    kept.replace(' ', "-")
                };
                let text = fs::read_to_string(&target).unwrap();
                let found = text.lines().filter(|l| l.starts_with('#')).any(|l| heading(l) == anchor);
                assert!(found, "{}: no heading for {link}", path.display());
            }
        }
    }
}

#[test]
fn the_first_page_is_short_and_the_codes_are_those_of_the_program() {
    let all = documents();
    let text = |name: &str| &all.iter().find(|d| d.0.ends_with(name)).unwrap().1;
    assert!(text("README.md").lines().count() <= 150);
    let formats = text("docs/formats.md").replace('`', "");
    for (code, meaning) in EXIT_CODES {
        assert!(formats.contains(&format!("| {code} | {meaning} |")), "{code}: {meaning}");
    }
}

/// Test programs that a command names, and the words that choose among their tests.
fn tests_of(command: &str) -> (Vec<&str>, Vec<&str>) {
    let mut words = command.split_whitespace().skip_while(|w| *w != "--test");
    let (mut programs, mut filters) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        match word {
            "--test" => programs.extend(words.next()),
            flag if flag.starts_with('-') => {}
            filter => filters.push(filter),
        }
    }
    (programs, filters)
}

#[test]
fn tests_that_documents_name_exist() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut seen = 0;
    for (path, text) in documents() {
        for code in text.split('`').skip(1).step_by(2).filter(|code| code.contains("--test ")) {
            let (programs, filters) = tests_of(code);
            let files = |program: &&str| {
                let folder = tests.join(program);
                let one = tests.join(format!("{program}.rs"));
                assert!(folder.join("main.rs").exists() || one.exists(), "{}: `{code}`: no {program}", path.display());
                fs::read_dir(folder).map_or(vec![], |all| all.map(|e| e.unwrap().path()).collect())
            };
            let files: Vec<PathBuf> = programs.iter().flat_map(files).collect();
            for filter in filters.iter().filter(|_| programs != ["ops"]) {
                let (module, rest) = filter.split_once("::").unwrap_or((filter, ""));
                let fits = |file: &&PathBuf| file.file_stem().unwrap().to_str().unwrap().contains(module);
                let found = files.iter().filter(fits).any(|file| fs::read_to_string(file).unwrap().contains(rest));
                assert!(found, "{}: `{code}`: {filter} is none of their tests", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} commands");
}
