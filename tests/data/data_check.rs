//! `lupe data check`: clean sets of every layout, one spoiled set for every finding, hostile files, exit codes.

use crate::common::layouts::{ALL, put};
use crate::common::program::{done, lupe, refused, text};
use crate::common::spoiled::{SPOILED, copy};
use lupe::Error;
use lupe::data::Limits;
use lupe::data::check::{Finding, Report, Severity, check};
use lupe::watch::{Unwatched, Watch};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

fn checked(path: &Path) -> Report {
    let report = check(path, Limits::default(), &Unwatched).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let counts = report.counted.json();
    let n = |name: &str| counts[name].as_u64().unwrap();
    let left: u64 = counts["left_out"].as_object().unwrap().values().map(|v| v.as_u64().unwrap()).sum();
    assert_eq!(n("found"), left + n("looked_at") + n("unreadable"), "{counts}");
    report
}

fn kinds(report: &Report) -> Vec<(Severity, &'static str)> {
    report.findings.iter().map(|f| (f.severity, f.kind)).collect()
}

/// A clean set in MVTec AD's layout.
fn mvtec() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    ALL[0].write(dir.path());
    dir
}

#[test]
fn clean_sets_of_every_layout_have_notes_at_most() {
    for set in ALL {
        let dir = tempfile::tempdir().unwrap();
        let report = checked(&set.write(dir.path()));
        let bad: Vec<&Finding> = report.findings.iter().filter(|f| f.severity != Severity::Note).collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", set.name);
        assert!(report.layout.is_some() && report.verdict(true).is_ok(), "{}", set.name);
        let of = |split: &str| -> (usize, usize) {
            let rows = report.classes.iter().filter(|c| c.split == split);
            rows.fold((0, 0), |(n, m), c| (n + c.pictures, m + c.masks))
        };
        let (n, m) = set.found.test.iter().fold((0, 0), |(n, m), t| (n + t.1, m + t.2));
        assert_eq!((of("train").0, of("validation").0), (set.found.train, set.found.validation), "{}", set.name);
        assert_eq!(of("test"), (n, m), "{}", set.name);
        let private = set.found.left.iter().find(|l| l.0 == "without a label").map_or(0, |l| l.1);
        assert_eq!(of("unused").0, private, "{}: pictures without a label are read, too", set.name);
        assert!(report.classes.iter().all(|c| c.sizes == [("24x20".into(), c.pictures)]), "{:?}", report.classes);
    }
    // Classes of which none is good.
    let dir = tempfile::tempdir().unwrap();
    ["brick/0.png", "brick/1.png", "grass/0.png"].iter().for_each(|name| drop(put(dir.path(), name)));
    let report = checked(dir.path());
    assert_eq!(
        report.classes.iter().map(|c| (c.split, c.pictures)).collect::<Vec<_>>(),
        [("classes", 2), ("classes", 1)]
    );
    assert_eq!(kinds(&report), [(Severity::Note, "class-small")]);
}

#[test]
fn every_finding_is_found_where_it_is() {
    for (spoil, kind, severity, place, n) in SPOILED {
        let dir = mvtec();
        spoil(dir.path());
        let report = checked(dir.path());
        let found = report.findings.iter().find(|f| f.kind == *kind && f.severity == *severity);
        let found = found.unwrap_or_else(|| panic!("{kind}: {:#?}", report.findings));
        let places: Vec<String> = found.places.iter().map(ToString::to_string).collect();
        assert!(place.is_empty() || places.iter().any(|p| p.contains(place)), "{kind}: {places:#?}");
        assert_eq!(found.places.len(), *n, "{kind}: {places:#?}");
        assert_eq!(report.verdict(false).is_err(), report.count(Severity::Error) > 0, "{kind}");
        assert!(*severity != Severity::Error || report.verdict(false).is_err(), "{kind}");
        assert!(*severity != Severity::Warning || report.verdict(true).is_err(), "{kind}");
    }
    let clean = checked(mvtec().path());
    assert_eq!(kinds(&clean), [(Severity::Note, "class-small")]);
    // Every kind is documented, and every documented kind is found here or below.
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/data.md")).unwrap();
    let rows = page.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next());
    let mut documented: Vec<&str> = rows.collect();
    let below = ["table-row", "table-train", "twice-unused"];
    let mut known: Vec<&str> = SPOILED.iter().map(|s| s.1).chain(below).collect();
    known.sort_unstable();
    known.dedup();
    documented.sort_unstable();
    documented.dedup();
    assert_eq!(documented, known);
}

#[test]
fn every_wrong_row_of_a_table_is_told() {
    let dir = tempfile::tempdir().unwrap();
    ["a/0.png", "a/1.png", "b/2.png"].iter().for_each(|name| drop(put(dir.path(), name)));
    let table = dir.path().join("set.csv");
    let rows = "a/0.png,good,train\nno.png,good,train\na/1.png,good,dev\na/0.png,good,test\nb/2.png,dent,train\n";
    fs::write(&table, format!("image_path,label,split\n{rows}")).unwrap();
    for path in [&table, &dir.path().into()] {
        let report = checked(path);
        let of = |kind: &str| {
            let found = report.findings.iter().find(|f| f.kind == kind).unwrap_or_else(|| panic!("{kind}"));
            found.places.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let rows = of("table-row");
        for told in ["line 3: no.png does not exist", "line 4: split is \"dev\"", "line 5: a/0.png occurs twice"] {
            assert!(rows.contains(told), "{told}: {rows}");
        }
        assert!(of("table-train").contains("line 6: b/2.png is not good"));
        assert_eq!(report.classes.iter().filter(|c| c.split == "train").count(), 2, "what can be read is looked at");
    }
    // Very many wrong rows end the reading, and it is said; what the folder holds is looked at nevertheless.
    let many: String = (0..500).map(|n| format!("no{n}.png,good,train\n")).collect();
    fs::write(&table, format!("image_path,label,split\n{many}")).unwrap();
    let report = checked(dir.path());
    assert!(report.count(Severity::Error) >= 1 && report.classes.iter().all(|c| c.split == "unused"));
    assert!(check(&table, Limits::default(), &Unwatched).is_err_and(|e| e.exit_code() == 3));
}

#[test]
fn a_folder_in_no_layout_is_read_nevertheless() {
    let dir = tempfile::tempdir().unwrap();
    for set in ["one", "two"] {
        ["train/good/0.png", "test/bad/1.png"].iter().for_each(|name| drop(put(dir.path(), &format!("{set}/{name}"))));
    }
    copy(dir.path(), "one/train/good/0.png", "two/train/good/0.png");
    let report = checked(dir.path());
    let kinds = kinds(&report);
    assert_eq!(kinds, [(Severity::Error, "layout"), (Severity::Note, "twice-unused")]);
    assert!(report.findings[0].places[0].what.contains("is a data set (2 of them below): give its folder"));
}

#[test]
fn the_program_says_it_and_ends_with_the_code() {
    let dir = mvtec();
    let check = |words: &[&str]| {
        let mut command = lupe();
        command.args(["data", "check"]).arg(dir.path()).args(words);
        command
    };
    let said = done(&mut check(&[]));
    for part in [
        "layout    splits",
        "train  good   4",
        "test   crack  2         2      24x20",
        "found     0 errors, 0 warnings",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    done(&mut check(&["--strict"]));
    // A warning counts if it is asked for, an error always.
    copy(dir.path(), "train/good/000.png", "train/good/007.png");
    assert!(done(&mut check(&[])).contains("0 errors, 1 warning"));
    refused(&mut check(&["--strict"]), 8, &["0 errors, 1 warning, 1 note"]);
    copy(dir.path(), "train/good/001.png", "test/crack/000.png");
    refused(&mut check(&[]), 8, &["1 error, 1 warning"]);
    refused(&mut check(&["--max-pixels", "100"]), 8, &["error"]);
    refused(lupe().args(["data", "check", "nowhere"]), 3, &["nowhere: does not exist"]);
    refused(lupe().args(["data", "check"]), 2, &["DIR"]);
    let empty = tempfile::tempdir().unwrap();
    refused(lupe().args(["data", "check"]).arg(empty.path()), 8, &["1 error"]);
    // For programs: the same twice, and every file of a finding.
    let json = |command: &mut std::process::Command| command.output().unwrap().stdout;
    let [one, two] = [(); 2].map(|()| json(&mut check(&["--json"])));
    assert_eq!(one, two);
    let value: serde_json::Value = serde_json::from_slice(&one).unwrap();
    assert_eq!((&value["ok"], &value["errors"], &value["warnings"]), (&false.into(), &1.into(), &1.into()));
    assert_eq!(
        value["findings"][0]["places"][0]["files"],
        serde_json::json!(["train/good/001.png", "test/crack/000.png"])
    );
    assert_eq!(value["classes"][0]["sizes"]["24x20"], 5);
}

#[test]
#[cfg(unix)]
fn names_cannot_steer_a_terminal_and_pipes_are_not_waited_for() {
    use std::os::unix::ffi::OsStrExt;
    let dir = mvtec();
    let root = dir.path();
    fs::write(root.join("train/good/a\u{1b}[2J\n\u{202e}.png"), "x").unwrap();
    fs::write(root.join("train/good").join(std::ffi::OsStr::from_bytes(b"\xff.png")), "x").unwrap();
    assert!(std::process::Command::new("mkfifo").arg(root.join("test/good/pipe.png")).status().unwrap().success());
    std::os::unix::fs::symlink("nowhere", root.join("test/good/gone.png")).unwrap();
    std::os::unix::fs::symlink("..", root.join("test/good/up")).unwrap();
    let output = lupe().args(["data", "check"]).arg(root).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{said}");
    assert!(
        !said.contains(['\u{1b}', '\u{202e}']) && said.contains("a\\u{1b}[2J\\n\\u{202e}.png: not a PNG"),
        "{said}"
    );
    assert!(said.contains("dangling link: 1"), "{said}");
}

/// Stops after a few steps.
struct Impatient(AtomicUsize);

impl Watch for Impatient {
    fn say(&self, _: &str) {}

    fn progress(&self, stage: &'static str, done: usize, of: usize) {
        assert_eq!((stage, of), ("checking", 12), "nine pictures and three masks");
        assert_eq!(self.0.swap(done, Ordering::Relaxed) + 1, done);
    }

    fn go_on(&self) -> lupe::error::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            5 => Err(Error::Interrupted("nothing was written".into())),
            _ => Ok(()),
        }
    }

    fn left_by_interrupt(&self, _: &str) {}
}

#[test]
fn a_check_can_be_interrupted() {
    let dir = mvtec();
    let watch = Impatient(AtomicUsize::new(0));
    let error = check(dir.path(), Limits::default(), &watch).unwrap_err();
    assert_eq!((error.exit_code(), watch.0.load(Ordering::Relaxed)), (130, 5));
}
