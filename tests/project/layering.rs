//! Who may import what, and the habits that a reader relies on: by text, over every file.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules of ours that each layer may name; the first prefix that fits a file counts.
const LAYERS: &[(&str, &[&str])] = &[
    ("error.rs", &[]),
    ("tensor.rs", &[]),
    ("lock.rs", &[]),
    ("random.rs", &[]),
    ("memory.rs", &[]),
    ("files.rs", &["error"]),
    ("watch.rs", &["error"]),
    ("outputs.rs", &["error", "files", "lock"]),
    ("report/", &["error", "report"]),
    ("data/demo/", &["error", "data", "random"]),
    ("manifest.rs", &["error", "files", "outputs"]),
    ("data/check/", &["error", "files", "watch", "data"]),
    ("data/", &["error", "tensor", "files", "lock", "manifest", "data"]),
    ("weights/pull.rs", &["error", "files", "watch", "weights"]),
    ("weights/", &["error", "tensor", "files", "weights"]),
    ("engine/", &["error", "tensor", "engine", "shader", "lock"]),
    ("ops/", &["tensor", "engine", "ops", "shader", "random"]),
    ("models/", &["error", "tensor", "engine", "ops", "data", "weights", "random", "models"]),
    ("measure/self_test.rs", &["error", "tensor", "engine", "ops"]),
    ("measure/", &["error", "tensor", "files", "engine", "measure"]),
    ("train/", &["error", "tensor", "files", "watch", "engine", "weights", "train"]),
    (
        "methods/",
        &[
            "error", "tensor", "files", "lock", "memory", "random", "watch", "engine", "ops", "models", "data",
            "weights", "report", "outputs", "manifest", "train", "methods",
        ],
    ),
    (
        "study/",
        &[
            "error", "tensor", "files", "lock", "memory", "random", "watch", "engine", "models", "data", "weights",
            "report", "outputs", "manifest", "train", "methods", "study",
        ],
    ),
];

/// What commands share: a command may name these and its own files, but no other command.
const SHARED_CLI: &[&str] = &["child", "env", "global", "output", "progress", "session", "subject", "width", "working"];

/// The files in which `wgpu::` may be written.
const WGPU: &[&str] = &["engine/gpu/", "engine/plan/", "engine/profile.rs", "engine/probe.rs"];

/// Shared by ops: packing nodes, and what ops/mod.rs has for all.
const SHARED_OPS: &[&str] = &["pack", "Case", "Fill", "Pad"];

fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut found, mut open) = (vec![], vec![root.clone()]);
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == extension) {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{extension} in {folder}");
    found
}

/// Lines of code: comments and what follows `#[cfg(test)]` aside.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|l| !(l.starts_with("#[cfg(test)]") || l.starts_with("#[cfg(all(test")))
        .filter(|l| !l.trim_start().starts_with("//"))
}

/// First names after `crate::`.
fn imports(text: &str) -> Vec<String> {
    let after = |line: &str| -> Vec<String> {
        line.split("crate::")
            .skip(1)
            .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
            .collect()
    };
    code(text).flat_map(after).filter(|name: &String| !name.is_empty()).collect()
}

fn foreign(name: &str, text: &str) -> Vec<String> {
    let Some((_, allowed)) = LAYERS.iter().find(|(prefix, _)| name.starts_with(prefix)) else { return vec![] };
    let bad = imports(text).into_iter().filter(|m| !allowed.contains(&m.as_str()));
    bad.map(|m| format!("{name} may not import {m}")).collect()
}

/// A command never names another command; only the two files that list the commands do.
fn other_commands(name: &str, text: &str) -> Vec<String> {
    let Some(own) = name.strip_prefix("cli/") else { return vec![] };
    let command = own.split(['/', '.']).next().unwrap_or(own);
    if ["mod", "args"].contains(&command) {
        return vec![];
    }
    let inside = own.contains('/') && !own.ends_with("/mod.rs");
    let words = |line: &str, before: &str| -> Vec<String> {
        let after = line.split(before).skip(1);
        let list = |rest: &str| match rest.strip_prefix('{') {
            Some(list) => list.split([',', '}']).map(|w| w.trim().to_string()).collect(),
            None => vec![rest.to_string()],
        };
        let first = |w: String| w.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        after.flat_map(list).map(first).filter(|w| !w.is_empty() && w != "self").collect()
    };
    let named = code(text).flat_map(|line| {
        let mut all = words(line, "crate::cli::");
        // In a folder of its own `super` is the command itself.
        all.extend(if inside { vec![] } else { words(line, "super::") });
        all
    });
    let files = ["cli/fit/mod.rs", "cli/weights/mod.rs", "cli/bench/mod.rs", "cli/width/mod.rs"];
    let folder = files.contains(&name);
    let bad = named.filter(|w| w != command && !SHARED_CLI.contains(&w.as_str()) && !(folder && w == "args"));
    bad.map(|w| format!("{name} names another command, {w}")).collect()
}

/// An op never names another op.
fn other_ops(name: &str, text: &str, ops: &[String]) -> Vec<String> {
    let Some(own) = name.strip_prefix("ops/").and_then(|n| n.split(['/', '.']).next()) else { return vec![] };
    let named = |op: &&String| *op != own && !SHARED_OPS.contains(&op.as_str());
    let bad = ops.iter().filter(named).filter(|op| code(text).any(|l| l.contains(&format!("ops::{op}::"))));
    bad.map(|op| format!("{name} names another op, {op}")).collect()
}

fn habits(name: &str, text: &str) -> Vec<String> {
    let mut bad = vec![];
    let mut rule = |holds: bool, what: &str| {
        if !holds {
            bad.push(format!("{name}: {what}"))
        }
    };
    let any = |word: &str| code(text).any(|l| l.contains(word));
    rule(text.lines().count() <= 400, "more than 400 lines");
    rule(text.starts_with("//"), "it does not begin by saying what it is");
    rule(WGPU.iter().any(|w| name.starts_with(w)) || !any("wgpu::"), "wgpu outside the engine's device files");
    rule(name.starts_with("cli/") || name == "main.rs" || !(any("println!") || any("eprint")), "it prints");
    rule(name == "cli/env.rs" || !(any("env::var") || any("env::set_var")), "it reads the environment");
    let socket = ["ureq", "std::net", "TcpStream", "UdpSocket", "UnixStream"];
    let connects = socket.iter().any(|word| any(word));
    rule(name == "weights/pull.rs" || !connects, "it opens a connection, which only `lupe weights pull` does");
    rule(!any("pollster::") || name.starts_with("cli/"), "pollster outside the command line");
    // Time is taken where work is done that somebody may want to know the time of; threads run where pictures are decoded and drawn or
    // changed for a training, where kernels are compiled, and where a process is waited for.
    let clock = ["cli/", "methods/", "study/run/"].iter().any(|p| name.starts_with(p));
    let clock =
        clock || ["engine/profile.rs", "data/load.rs", "measure/supervised.rs", "train/course.rs"].contains(&name);
    // How long a server is waited for; when a file of a cache was used.
    let clock = clock || ["weights/pull.rs", "files.rs"].contains(&name);
    let thread =
        ["engine/gpu/compile.rs", "data/ahead.rs", "methods/background.rs", "measure/supervised.rs", "train/ahead.rs"];
    let thread = thread.contains(&name);
    rule(clock || !any("std::time"), "a clock where none is needed");
    rule(thread || name.starts_with("cli/") || !any("std::thread"), "threads where none are needed");
    rule(!any("clap::") || name.starts_with("cli/"), "arguments are parsed outside the command line");
    let writes = ["fs::write", "File::create", "OpenOptions", "fs::create_dir"];
    // A journal grows line by line, each with its hash; what is cut off at its end is done again.
    let writer = ["files.rs", "methods/patchcore/bag.rs", "study/run/journal.rs", "cli/output.rs"].contains(&name);
    rule(
        writer || !writes.iter().any(|w| any(w)),
        "it writes files by itself: crate::files writes them whole or not at all",
    );
    rule(!(text.contains("TODO") || text.contains("FIXME") || any("todo!(") || any("unimplemented!(")), "unfinished");
    bad
}

#[test]
fn imports_go_downwards() {
    let sources = files("src", "rs");
    let ops: Vec<String> = lupe::ops::cases().iter().map(|c| c.0.to_string()).collect();
    let all = |(n, t): &(String, String)| [foreign(n, t), other_ops(n, t, &ops), other_commands(n, t)].concat();
    let bad: Vec<String> = sources.iter().flat_map(all).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// A command parses, prints and names files; what is more lies below, so that all of them stay short.
#[test]
fn the_command_line_is_thin() {
    let lines: usize = files("src/cli", "rs").iter().map(|(_, text)| text.lines().count()).sum();
    // 7200 before `fit classifier`, whose arguments and report are 190 lines; `data check` has 120,
    // `experiment` and its demo 490.
    assert!(lines <= 7980, "src/cli has {lines} lines");
}

/// Networks have named places; what a ResNet is made of is its own business.
#[test]
fn only_resnet_knows_of_stages() {
    for (name, text) in files("src", "rs").iter().filter(|(n, _)| n != "models/resnet.rs") {
        let known = code(text).find(|l| l.contains("resnet::") && !l.contains("resnet::NETWORKS"));
        assert!(known.is_none(), "{name} names a part of ResNet: {}", known.unwrap_or_default());
    }
}

#[test]
fn every_file_keeps_the_habits() {
    let bad: Vec<String> = files("src", "rs").iter().flat_map(|(n, t)| habits(n, t)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    for folder in ["tests", "benches", "shaders"] {
        let extension = if folder == "shaders" { "wgsl" } else { "rs" };
        for (name, text) in files(folder, extension) {
            assert!(text.lines().count() <= 400, "{folder}/{name} has more than 400 lines");
            assert!(text.starts_with("//"), "{folder}/{name} does not begin by saying what it is");
        }
    }
}

/// Files of test programs, by their paths in `tests`, that no `main.rs` beside them names: they would not run, and nobody would see it.
fn left_out(tests: &[(String, String)]) -> Vec<&str> {
    let unnamed = |name: &str| {
        let (folder, file) = name.rsplit_once('/')?;
        let main = &tests.iter().find(|t| t.0 == format!("{folder}/main.rs"))?.1;
        let module = file.trim_end_matches(".rs");
        (module != "main" && !main.lines().any(|l| l == format!("mod {module};"))).then_some(())
    };
    tests.iter().map(|t| t.0.as_str()).filter(|name| unnamed(name).is_some()).collect()
}

#[test]
fn every_test_file_is_part_of_a_program() {
    assert_eq!(left_out(&files("tests", "rs")), [""; 0]);
    let planted = [("a/main.rs", "mod b;\n"), ("a/b.rs", ""), ("a/c.rs", ""), ("d.rs", ""), ("common/e.rs", "")];
    assert_eq!(left_out(&planted.map(|(name, text)| (name.into(), text.into()))), ["a/c.rs"]);
}

#[test]
fn unsafe_stands_only_where_architecture_lists_it() {
    let listed = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let (_, list) = listed.split_once("## Where unsafe is allowed").expect("a section that lists it");
    for (name, text) in files("src", "rs") {
        if code(&text).any(|l| l.contains("unsafe {") || l.contains("unsafe fn") || l.contains("unsafe impl")) {
            assert!(list.contains(&format!("`src/{name}`")), "unsafe in {name}, which ARCHITECTURE.md does not list");
            assert!(text.contains("// SAFETY:"), "unsafe in {name} without its reason");
        }
    }
}

#[test]
fn every_shader_is_used() {
    let rust: String = files("src", "rs").into_iter().map(|f| f.1).collect();
    let wgsl = files("shaders", "wgsl");
    for (name, _) in &wgsl {
        let bare = name.trim_end_matches(".wgsl");
        let used = match bare.strip_prefix("lib/") {
            Some(snippet) => {
                rust.matches(&format!("\"{snippet}\"")).count() > 1
                    || wgsl.iter().any(|(_, t)| t.lines().any(|l| l == format!("#import {snippet}")))
            }
            None => rust.contains(&format!("shader!(\"{bare}\")")),
        };
        assert!(used, "nothing uses shaders/{name}");
    }
}

#[test]
fn the_rules_catch_what_they_forbid() {
    assert_eq!(foreign("data/x.rs", "use crate::engine::Graph;").len(), 1);
    assert_eq!(foreign("engine/graph.rs", "let x = crate::models::ALL;").len(), 1);
    assert!(foreign("engine/graph.rs", "use crate::tensor::Tensor;\n// crate::models").is_empty());
    let ops = ["conv".to_string(), "pool".to_string()];
    assert_eq!(other_ops("ops/pool.rs", "use crate::ops::conv::Conv2d;", &ops).len(), 1);
    assert!(other_ops("ops/conv/gemm.rs", "use crate::ops::conv::x;", &ops).is_empty());
    assert_eq!(other_commands("cli/fit/patchcore.rs", "use crate::cli::predict::run;").len(), 1);
    assert_eq!(other_commands("cli/eval.rs", "use super::{predict, session::Session};").len(), 1);
    assert!(other_commands("cli/bench/mod.rs", "use super::session::Session;\nuse super::{env, output};").is_empty());
    assert!(other_commands("cli/args.rs", "use super::{fit, predict};").is_empty());
    for bad in [
        "fn f() { wgpu::x(); }",
        "fn f() { println!(); }",
        "std::env::var(1)",
        "todo!()",
        "use std::time::Instant;",
        "use std::net::TcpStream;",
        "ureq::get(address)",
        "use clap::Args;",
        "std::fs::write(a, b)",
    ] {
        assert_eq!(habits("ops/x.rs", &format!("//! x\n{bad}")).len(), 1, "{bad}");
    }
    assert_eq!(habits("ops/x.rs", &"// line\n".repeat(401)).len(), 1);
}
