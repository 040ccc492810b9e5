//! The workflows of .github, held to actionlint, and what they call is there: nothing here runs them. What .ci says at a run's end.

use crate::common::skip;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn workflows() -> Vec<(PathBuf, String)> {
    let folder = fs::read_dir(root().join(".github/workflows")).unwrap();
    let all: Vec<_> = folder.map(|f| f.unwrap().path()).map(|p| (p.clone(), fs::read_to_string(p).unwrap())).collect();
    assert!(all.len() > 1, "only {} workflows", all.len());
    all
}

/// actionlint from the PATH or from where `.ci/fetch` puts it. Where it is missing, says so past the test harness; under `CI` it must be there.
fn actionlint() -> Option<Command> {
    let fetched = Path::new(env!("CARGO_TARGET_TMPDIR")).join("actionlint/actionlint");
    for program in [Path::new("actionlint"), &fetched] {
        let probe = Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if probe.is_ok_and(|s| s.success()) {
            let mut command = Command::new(program);
            // Without the programs that it calls where they are installed: it says the same on every machine.
            command.args(["-no-color", "-oneline", "-shellcheck=", "-pyflakes="]).current_dir(root());
            return Some(command);
        }
    }
    let why = format!("no actionlint on the PATH, nor {}; .ci/fetch brings it", fetched.display());
    assert!(std::env::var_os("CI").is_none(), "{why}");
    skip::skip(&skip::this_test(), &why);
    None
}

/// What actionlint has against a text.
fn said(mut actionlint: Command, text: &str) -> String {
    let mut child =
        actionlint.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

#[test]
fn actionlint_accepts_the_workflows() {
    for (path, text) in workflows() {
        let Some(actionlint) = actionlint() else { return };
        let said = said(actionlint, &text);
        assert!(said.is_empty(), "{}:\n{said}", path.display());
    }
}

#[test]
fn actionlint_tells_planted_faults() {
    for (path, text) in workflows() {
        for (right, wrong) in [("runs-on:", "run-on:"), ("github.ref", "github.reef"), ("permissions:", "permission:")]
        {
            let Some(actionlint) = actionlint() else { return };
            assert!(text.contains(right), "{}: no {right}", path.display());
            let said = said(actionlint, &text.replacen(right, wrong, 1));
            let word = wrong.trim_start_matches("github.").trim_end_matches(':');
            assert!(said.contains(word), "{}: {wrong} is not told: {said}", path.display());
        }
    }
}

/// Words of `text` that begin with `start`, without it and what cannot be part of a name.
fn after<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let name = |rest: &'a str| rest.split(|c: char| c.is_whitespace() || "\"')&|;".contains(c)).next();
    text.split(start).skip(1).filter_map(name).collect()
}

#[test]
fn what_workflows_call_is_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let text: String = workflows().into_iter().map(|w| w.1).collect();
    let scripts = after(&text, ".ci/");
    assert!(scripts.contains(&"run") && scripts.contains(&"archive"), "{scripts:?}");
    for script in scripts {
        assert!(root().join(".ci").join(script).is_file(), "there is no .ci/{script}");
    }
    for target in after(&text, "make ") {
        assert!(makefile.contains(&format!("\n{target}:")), "there is no make {target}");
    }
    for words in text.split("target/release/lupe ").skip(1) {
        let words = words.lines().next().unwrap().split_whitespace();
        let run = Command::new(env!("CARGO_BIN_EXE_lupe")).args(words).arg("--help").output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
}

#[test]
fn actions_are_pinned_and_rights_are_few() {
    for (path, text) in workflows() {
        let path = path.display();
        for action in after(&text, "uses: ") {
            let version = action.split_once('@').unwrap_or_else(|| panic!("{path}: {action} has no version")).1;
            let major = version.strip_prefix('v').is_some_and(|v| v.parse::<u32>().is_ok());
            let commit = version.len() == 40 && version.chars().all(|c| c.is_ascii_hexdigit());
            assert!(major || commit, "{path}: {action} is neither a major version nor a commit");
        }
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{path}: the token may do more than read");
    }
}

/// What a script of `.ci` prints, and how it ends, with this on its stdin.
#[cfg(unix)]
fn script(command: &mut Command, text: &str) -> (String, Option<i32>) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

/// As cargo prints: coloured, a program that ends without a result, one whose output looks like another's beginning.
#[test]
#[cfg(unix)]
fn times_are_told_longest_first() {
    let result = |seconds: &str| format!("test result: ok. 1 passed; 0 failed; 0 ignored; finished in {seconds}s\n");
    let log = [
        "     Running unittests src/lib.rs (target/debug/deps/lupe-1)\n".to_string(),
        result("2.50"),
        "\x1b[1m\x1b[92m     Running\x1b[0m tests/ops.rs (target/debug/deps/ops-1)\nRunning late\n".into(),
        result("10.00").replace("ok", "\x1b[32mok\x1b[0m"),
        "     Running tests/killed.rs (target/debug/deps/killed-1)\n   Doc-tests lupe\n".into(),
        result("0.12"),
    ]
    .concat();
    let (said, code) = script(&mut Command::new(root().join(".ci/times")), &log);
    let lines: Vec<&str> = said.lines().skip(1).map(str::trim).collect();
    let times =
        ["10.0 s  tests/ops.rs", "2.5 s  unittests src/lib.rs", "0.1 s  documentation of lupe", "12.6 s  together"];
    assert_eq!(code, Some(0));
    assert_eq!(lines[0], "-   tests/killed.rs: ended without a result");
    assert_eq!(lines[1..], times);
    assert_eq!(script(&mut Command::new(root().join(".ci/times")), ""), (String::new(), Some(0)));
}

/// A cargo that skips tests or does not, and fails or does not.
#[test]
#[cfg(unix)]
fn skipped_tests_are_told_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    let told = |cargo: &str| {
        let mut command = Command::new(root().join(".ci/test"));
        script(command.env("CARGO_TARGET_DIR", folder.path()).env("CARGO", cargo), "")
    };
    assert_eq!(told("true"), ("\nno test was skipped\n".into(), Some(0)));
    assert_eq!(told("false"), ("\nno test was skipped among those that ran\n".into(), Some(1)));
    let cargo = folder.path().join("cargo");
    let lines = "printf 'b: two: why\\na: one: why\\nb: two: why\\n' >>\"$CARGO_TARGET_DIR/tmp/skipped\"";
    fs::write(&cargo, format!("{lines}; exit 101\n")).unwrap();
    let list = "\n2 tests skipped, or parts of them:\n    a: one: why\n    b: two: why\n";
    for _ in 0..2 {
        assert_eq!(told(&format!("sh {}", cargo.display())), (list.into(), Some(101)));
    }
}
