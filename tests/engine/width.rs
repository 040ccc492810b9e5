//! The software driver's width: the same bits at every one, chosen once and only where that is known to be right.

use crate::common::parts::{SMALL, data_set, verb};
use crate::common::program::{Bench, done, lupe, no_gpu, reexecuting, refused, text};
use crate::common::results::lasting;
use crate::common::skip::{skip, this_test};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const WIDTH: &str = "LP_NATIVE_VECTOR_WIDTH";

/// The first adapter's width and why it has it, as `lupe devices` with these changes says.
fn device(command: &mut Command) -> (Option<u64>, String, String) {
    let output = command.args(["devices", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let why = all[0]["width_why"].as_str().unwrap_or_default().to_string();
    (all[0]["width"].as_u64(), why, text(&output.stderr))
}

/// The widths at which the driver here computes rightly; none where it has no such thing.
fn widths() -> Vec<&'static str> {
    if device(&mut lupe()).0.is_none() {
        skip(&this_test(), "the device here has no vectors of a width");
        return vec![];
    }
    let mut wide = lupe();
    let wide = wide.env(WIDTH, "512").args(["devices", "--self-test", "--device", "0"]).output().unwrap();
    match wide.status.code() {
        Some(0) => vec!["128", "256", "512"],
        Some(7) => {
            let why = format!("the driver computes wrongly there: {}", text(&wide.stderr).trim());
            skip(&format!("{} at 512 bits", this_test()), &why.replace('\n', " "));
            vec!["128", "256"]
        }
        _ => panic!("{}", text(&wide.stderr)),
    }
}

#[test]
fn networks_and_scores_are_the_same_bits_at_every_width() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, picture) = (b.path("data"), b.picture("a.png"));
    data_set(&data, 6, 72, 72);
    let mut seen = vec![];
    for width in widths() {
        let at = |command: &mut Command| done(command.env(WIDTH, width));
        let (npy, maps) = (b.path("features.npy"), b.path("maps.npy"));
        at(lupe().arg("embed").arg(&picture).arg("-o").arg(&npy));
        at(lupe().arg("embed").arg(&picture).args(["--tap", "block2", "-o"]).arg(&maps));
        let mut results = vec![fs::read(&npy).unwrap(), fs::read(&maps).unwrap()];
        for (preset, words) in [("official", &SMALL[..]), ("anomalib", &["--preset", "anomalib", "--size", "64"])] {
            let (model, out) = (b.path("m.lupe"), b.path(&format!("{preset}-{width}")));
            at(verb(&["fit", "patchcore"]).arg(&data).arg("-o").arg(&model).args(words));
            results.push(fs::read(&model).unwrap());
            let words = ["--maps=npy", "--masks", "--dump-features"];
            at(verb(&["predict"]).arg(&model).arg(data.join("test")).arg("-o").arg(&out).args(words));
            let files = lasting(&out);
            assert!(files.len() > 10 && files.iter().any(|f| f.0.ends_with("results.ndjson")), "too few results");
            results.extend(files.into_iter().flat_map(|(name, bytes)| [name.into_bytes(), bytes]));
        }
        seen.push((width, results));
    }
    for (width, results) in &seen {
        let first = &seen[0];
        let other = results.iter().zip(&first.1).position(|(a, b)| a != b);
        assert!(results.len() == first.1.len() && other.is_none(), "{width} and {} bits: {other:?}", first.0);
    }
}

/// A program that may start itself again, with a cache folder of its own.
fn free(cache: &Path) -> Command {
    let mut command = reexecuting();
    command.env("XDG_CACHE_HOME", cache).env_remove(WIDTH).env_remove("LUPE_REEXECUTED").env_remove("LUPE_NO_REEXEC");
    command
}

/// A cache folder with a verdict, where the device here gets one.
fn with_verdict(b: &Bench) -> Option<PathBuf> {
    let cache = b.path("cache");
    let (width, why, said) = device(&mut free(&cache));
    if width != Some(512) {
        skip(&this_test(), &format!("nothing to start again here, {width:?} bits: {why}"));
        assert!(!cache.join("lupe").exists() || lasting(&cache).iter().all(|f| !f.0.contains("width")));
        return None;
    }
    assert!(said.contains("testing the driver's 512-bit mode") && why.contains("self-test passed"), "{said} {why}");
    Some(cache)
}

#[test]
fn the_width_is_tested_once_and_may_be_refused() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let Some(cache) = with_verdict(&b) else { return };
    let again = device(&mut free(&cache));
    assert_eq!((again.0, again.2.as_str()), (Some(512), ""), "tested twice");
    let narrow = |command: &mut Command, width: u64, because: &str| {
        let (found, why, said) = device(command);
        assert!(found == Some(width) && why.contains(because) && !said.contains("testing"), "{found:?} {why} {said}");
    };
    narrow(free(&cache).arg("--no-reexec"), 256, "--no-reexec");
    narrow(free(&cache).env("LUPE_NO_REEXEC", "1"), 256, "LUPE_NO_REEXEC");
    narrow(free(&cache).env(WIDTH, "128"), 128, "LP_NATIVE_VECTOR_WIDTH");
    narrow(free(&cache).args(["--device", "256 bits"]), 256, "");
    narrow(free(&cache).env("LUPE_REEXECUTED", "1"), 256, "");
    narrow(&mut free(&b.write("no folder", b"")), 256, "not tested");
    let file = lasting(&cache.join("lupe")).into_iter().find(|f| f.0.starts_with("width-")).unwrap();
    let path = cache.join("lupe").join(&file.0);
    let planted = text(&file.1).replace("null", "\"conv: a planted fault\"");
    fs::write(&path, planted).unwrap();
    narrow(&mut free(&cache), 256, "conv: a planted fault");
    fs::write(&path, "{broken").unwrap();
    let (width, _, said) = device(&mut free(&cache));
    assert!(width == Some(512) && said.contains("testing"), "a broken file counts: {said}");
    assert_eq!(fs::read(&path).unwrap(), file.1, "the broken file is not replaced");
}

#[test]
fn arguments_input_and_exit_codes_go_through() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let Some(cache) = with_verdict(&b) else { return };
    let picture = b.picture("it's \"a\" picture.png");
    let summary = done(lupe().arg("embed").arg(&picture));
    let output = free(&cache).arg("embed").arg(&picture).arg("-v").output().unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("512 bits") && said.matches("52 dispatches").count() == 1, "{said}");
    assert_eq!(text(&output.stdout), summary);
    let piped = done(free(&cache).args(["embed", "/dev/stdin"]).stdin(File::open(&picture).unwrap()));
    let numbers = |table: &str| table.lines().last().unwrap().split_whitespace().rev().take(3).collect::<String>();
    assert_eq!(numbers(&piped), numbers(&summary));
    refused(free(&cache).args(["embed", "nothing.png"]), 3, &["nothing.png"]);
    refused(free(&cache).arg("embed").arg(&picture).args(["--limit-memory", "8M"]), 6, &["8.0 MiB"]);
    refused(free(&cache).args(["embed", "--batch", "0", "x"]), 2, &["--batch"]);
}

#[test]
fn compiled_kernels_lie_in_the_cache_folder_unless_the_user_says_where() {
    if no_gpu() || device(&mut lupe()).0.is_none() {
        return;
    }
    let b = Bench::new();
    let kept = |name: &str, value: &Path| {
        let mut command = lupe();
        command.env_remove("MESA_SHADER_CACHE_DIR").env("XDG_CACHE_HOME", b.path("cache")).env(name, value);
        done(command.arg("devices"));
        let there = |folder: PathBuf| folder.join("mesa_shader_cache").exists();
        let found = (there(b.path("cache").join("lupe")), there(b.path("other")));
        fs::remove_dir_all(b.path("cache")).unwrap();
        found
    };
    fs::create_dir(b.path("other")).unwrap();
    assert_eq!(kept("MESA_SHADER_CACHE_DISABLE", Path::new("1")), (false, false));
    assert_eq!(kept("UNRELATED", Path::new("1")), (true, false));
    assert_eq!(kept("MESA_SHADER_CACHE_DIR", &b.path("other")), (false, true));
}
