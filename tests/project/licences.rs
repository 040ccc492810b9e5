//! Every dependency may be shipped under a licence that asks for no more than its notice.

use std::process::Command;

/// Licences that ask for a notice at most.
const FREE: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "Unlicense",
    "0BSD",
    "BSL-1.0",
    "MIT-0",
    "CDLA-Permissive-2.0",
    "Apache-2.0 WITH LLVM-exception",
];

/// Whether an SPDX expression of AND, OR and parentheses can be met by free licences.
fn free(expression: &str) -> bool {
    let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "~");
    let words: Vec<String> = text.split_whitespace().map(|w| w.replace('~', " WITH ")).collect();
    let mut rest = &words[..];
    any(&mut rest) && rest.is_empty()
}

fn any(rest: &mut &[String]) -> bool {
    let mut met = all(rest);
    while eat(rest, "OR") {
        met |= all(rest);
    }
    met
}

fn all(rest: &mut &[String]) -> bool {
    let mut met = one(rest);
    while eat(rest, "AND") {
        met &= one(rest);
    }
    met
}

fn one(rest: &mut &[String]) -> bool {
    if eat(rest, "(") {
        let met = any(rest);
        return eat(rest, ")") && met;
    }
    let Some((first, after)) = rest.split_first() else { return false };
    *rest = after;
    FREE.contains(&first.as_str())
}

fn eat(rest: &mut &[String], word: &str) -> bool {
    let hit = rest.first().is_some_and(|w| w == word);
    if hit {
        *rest = &rest[1..];
    }
    hit
}

#[test]
fn expressions_are_understood() {
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-2.0/MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(free(good), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "", "(MIT", "MIT MIT", "LGPL-2.1 OR MPL-2.0"] {
        assert!(!free(bad), "{bad}");
    }
}

#[test]
fn every_dependency_is_free() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = json["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "only {} packages", packages.len());
    let licence = |p: &serde_json::Value| p["license"].as_str().unwrap_or("").to_string();
    let bad: Vec<String> =
        packages.iter().filter(|p| !free(&licence(p))).map(|p| format!("{} {}", p["name"], licence(p))).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
