//! The binary as a user meets it: results, messages, exit codes, files that appear whole or not at all.

use crate::common::parts::huge_png;
use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use crate::common::skip::{skip, this_test};
use crate::common::thin;
use lupe::tensor::Tensor;
use lupe::weights::{Weights, safetensors};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn help_has_examples_and_the_exit_codes() {
    for topic in [
        vec!["--help"],
        vec!["help", "embed"],
        vec!["help", "classify"],
        vec!["devices", "--help"],
        vec!["weights", "inspect", "--help"],
        vec!["import", "--help"],
        vec!["demo", "-h"],
    ] {
        assert!(done(lupe().args(&topic)).contains("Example"), "{topic:?}");
    }
    let codes = done(lupe().args(["help", "exit-codes"]));
    for (code, what) in lupe::error::EXIT_CODES {
        assert!(codes.lines().any(|l| l.trim().starts_with(&code.to_string()) && l.contains(what)), "{code}");
    }
    assert!(done(lupe().arg("--version")).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_is_code_2() {
    let b = Bench::new();
    let picture = b.picture("a.png");
    refused(lupe().arg("--wrong"), 2, &["--wrong"]);
    refused(lupe().arg("embed"), 2, &["PICTURE"]);
    refused(lupe().args(["help", "nothing"]), 2, &["nothing"]);
    refused(lupe().arg("embed").arg(&picture).args(["--batch", "0"]), 2, &["--batch"]);
    refused(lupe().arg("embed").arg(&picture).args(["--tap", "block99"]), 2, &["block99", "block10"]);
    refused(
        lupe().arg("embed").arg(&picture).args(["--model", "resnet18"]),
        2,
        &["resnet18 has no built-in weights", "--weights"],
    );
    refused(lupe().arg("embed").arg(&picture).args(["--model", "resnet19"]), 2, &["resnet19", "resnet18"]);
    refused(lupe().arg("embed").arg(&picture).args(["-o", "x.txt"]), 2, &["x.txt", ".safetensors"]);
    refused(lupe().arg("devices").args(["--limit-memory", "8Q"]), 2, &["512M"]);
}

#[test]
fn broken_pictures_are_code_3() {
    let b = Bench::new();
    let mut jpeg = std::io::Cursor::new(vec![]);
    image::RgbImage::new(64, 64).write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let jpeg = jpeg.into_inner();
    let cases = [
        (b.write("text.png", b"this is a text"), "not a PNG, JPEG"),
        (b.write("cut.jpg", &jpeg[..jpeg.len() / 2]), "truncated JPEG"),
        (b.write("huge.png", &huge_png()), "60000x60000"),
        (b.path(""), "folder"),
        (b.path("missing.png"), "cannot be read"),
    ];
    for (path, want) in cases {
        refused(lupe().arg("embed").arg(&path), 3, &[want, &path.display().to_string()]);
    }
}

#[test]
fn broken_weights_are_code_4_with_all_problems() {
    let b = Bench::new();
    let picture = b.picture("a.png");
    let whole = thin::weights();
    let mut tensors: Vec<(String, &Tensor)> = whole.tensors().iter().map(|(k, t)| (k.clone(), &**t)).collect();
    let small = Tensor::zeros([3]);
    tensors.retain(|(k, _)| k != "layer1.0.conv1.weight");
    for (k, t) in &mut tensors {
        if k == "layer2.0.conv1.bias" {
            *t = &small;
        }
    }
    let bytes = safetensors::write(&tensors).unwrap();
    let embed = |file: &Path, model: &str| {
        let mut c = lupe();
        c.arg("embed").arg(&picture).args(["--model", model, "--weights"]).arg(file);
        c
    };
    let both = ["layer1.0.conv1.weight [32,64,1,1] is missing", "layer2.0.conv1.bias has shape [3]", "2 problems"];
    refused(&mut embed(&b.write("part.safetensors", &bytes), thin::NAME), 4, &both);
    refused(
        &mut embed(&b.write("cut.safetensors", &bytes[..1000]), thin::NAME),
        4,
        &["not a valid safetensors", "cut.safetensors"],
    );
    refused(&mut embed(&b.write("x.pth", b"PK\x03\x04rest"), thin::NAME), 4, &["PyTorch", "central directory"]);
    let thin = Path::new(thin::FILE);
    refused(&mut embed(thin, "resnet18"), 4, &["as resnet18", "conv3.weight is not part of this network"]);
    refused(lupe().args(["weights", "inspect"]).arg(b.write("t.safetensors", b"text")), 4, &["t.safetensors"]);
    let seen = done(lupe().args(["weights", "inspect"]).arg(thin));
    assert!(seen.contains("106 tensors") && seen.contains("fits resnet50_thin"), "{seen}");
    let json: serde_json::Value =
        serde_json::from_str(&done(lupe().args(["weights", "inspect", "--json"]).arg(thin))).unwrap();
    assert_eq!(json["tensors"].as_array().unwrap().len(), 106);
}

#[test]
fn no_driver_is_code_5() {
    let b = Bench::new();
    let picture = b.picture("a.png");
    let hidden = |c: &mut Command| {
        c.env("WGPU_BACKEND", "vulkan")
            .env("VK_ICD_FILENAMES", "/nowhere.json")
            .env("VK_DRIVER_FILES", "/nowhere.json");
    };
    let mut c = lupe();
    hidden(&mut c);
    refused(c.arg("devices"), 5, &["no GPU adapter", "mesa-vulkan-drivers"]);
    let mut c = lupe();
    hidden(&mut c);
    refused(c.arg("embed").arg(&picture), 5, &["mesa-vulkan-drivers"]);
    b.write("libvulkan.so.1", b"");
    let mut c = lupe();
    c.env("WGPU_BACKEND", "vulkan").env("LD_LIBRARY_PATH", b.dir.path());
    refused(c.arg("devices"), 5, &["no GPU adapter"]);
    if !no_gpu() {
        refused(lupe().arg("embed").arg(&picture).args(["-d", "no such card"]), 5, &["no such card", "there are"]);
    }
}

#[test]
fn too_little_memory_is_code_6() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    refused(lupe().arg("embed").arg(b.picture("a.png")).args(["--limit-memory", "8M"]), 6, &["8.0 MiB", "needs"]);
}

#[test]
fn devices_and_demo_speak_json_and_keep_stderr_clean() {
    if no_gpu() {
        return;
    }
    let out = lupe().args(["devices", "--json"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(json[0]["name"].as_str().unwrap().contains(':') && json[0]["kernels"].is_string(), "{json}");
    assert_eq!(text(&out.stderr), "");
    let b = Bench::new();
    let demo = || {
        let mut c = lupe();
        c.args(["demo", "--json", "-q", "-o"]).arg(b.path("demo"));
        c
    };
    let out = demo().output().unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(text(&out.stderr), "");
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(json["metrics"]["pixel"]["auroc"].as_f64().unwrap() >= 0.9, "{json}");
    assert_eq!((&json["kinds"]["good"]["pictures"], &json["kinds"]["scratch"]["pictures"]), (&8.into(), &4.into()));
    let sheet = image::open(b.path("demo/contact_sheet.png")).unwrap();
    assert!(sheet.width() > 1000 && sheet.height() > 1000);
    let foreign = b.picture("demo/parts/test/good/mine.png");
    refused(&mut demo(), 2, &["not the demo's", "-o"]);
    assert!(foreign.exists());
}

#[test]
fn features_in_every_format_agree_and_repeat_in_a_second_process() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let pictures = [b.picture("a.png"), b.picture("b.png"), b.picture("c.png")];
    let embed = |batch: &str, out: &str, taps: &[&str]| {
        let mut c = lupe();
        c.arg("embed").args(&pictures).args(["--batch", batch, "-o"]).arg(b.path(out));
        for tap in taps {
            c.args(["--tap", tap]);
        }
        done(&mut c);
        fs::read(b.path(out)).unwrap()
    };
    let first = embed("3", "a.safetensors", &["pool", "block10"]);
    assert!(first == embed("1", "b.safetensors", &["pool", "block10"]), "another process and batch give other bits");
    let named = Weights::from_bytes(&first, "features").unwrap();
    assert_eq!(named.tensors()["pool"].shape.dims(), [3, 1280]);
    assert_eq!(named.tensors()["block10"].shape.dims(), [3, 112, 14, 14]);
    let npy = embed("2", "a.npy", &["pool"]);
    let values: Vec<f32> = npyz::NpyFile::new(&npy[..]).unwrap().into_vec().unwrap();
    assert_eq!(values, named.tensors()["pool"].data);
    let json: serde_json::Value = serde_json::from_slice(&embed("2", "a.json", &["pool"])).unwrap();
    assert_eq!(json["taps"]["pool"]["shape"], serde_json::json!([3, 1280]));
    let table = done(lupe().arg("embed").arg(&pictures[0]));
    assert!(table.contains("pool") && table.contains("1280"), "{table}");
}

#[test]
#[cfg(target_os = "linux")]
fn outputs_that_cannot_be_written_are_code_10_and_leave_nothing() {
    use std::os::unix::fs::FileTypeExt;
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let picture = b.picture("a.png");
    let embed = |out: &Path| {
        let mut c = lupe();
        c.arg("embed").arg(&picture).args(["--tap", "block0", "-o"]).arg(out);
        c
    };
    let file = b.write("file", b"keep me");
    refused(&mut embed(&file.join("x.npy")), 10, &["x.npy", "cannot be written"]);
    refused(&mut embed(Path::new("/dev/full")), 10, &["/dev/full"]);
    assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    let old = b.write("old.npy", b"the old contents");
    let before = b.files();
    let limited = format!(
        "ulimit -f 64; exec {} embed {} --tap block0 -o {}",
        env!("CARGO_BIN_EXE_lupe"),
        picture.display(),
        old.display()
    );
    let caches = Bench::new();
    refused(
        Command::new("bash")
            .args(["-c", &limited])
            .env("MESA_SHADER_CACHE_DISABLE", "1")
            .env("LUPE_NO_REEXEC", "1")
            .env("XDG_CACHE_HOME", caches.path("cache")),
        10,
        &["old.npy", "cannot be written"],
    );
    assert_eq!((fs::read(&old).unwrap(), b.files()), (b"the old contents".to_vec(), before));
    let mount = b.path("mount");
    fs::create_dir(&mount).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(&mount).status();
    if mounted.is_ok_and(|s| s.success()) {
        refused(&mut embed(&mount.join("x.npy")), 10, &["x.npy"]);
        let left = fs::read_dir(&mount).unwrap().count();
        Command::new("umount").arg(&mount).status().unwrap();
        assert_eq!(left, 0, "something half-written is left");
    } else {
        skip(&format!("{}, the full disk", this_test()), "a tmpfs may not be mounted here");
    }
    let link = b.path("link.npy");
    std::os::unix::fs::symlink(&old, &link).unwrap();
    done(&mut embed(&link));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && fs::metadata(&old).unwrap().len() > 1000);
}

/// Not a test by itself: `a_panic_ends_with_70_and_says_what_to_report` runs it in a process of its own.
#[test]
#[ignore = "run by a_panic_ends_with_70_and_says_what_to_report"]
fn child_that_panics() {
    lupe::cli::install_panic_hook();
    std::thread::spawn(|| panic!("planted")).join().unwrap();
}

#[test]
fn a_panic_ends_with_70_and_says_what_to_report() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "cli::child_that_panics", "--ignored", "--nocapture"]);
    refused(&mut child, 70, &["bug in Lupe", "planted", "tests/commands/cli.rs", "version"]);
}

#[test]
#[cfg(target_os = "linux")]
fn hunt_help_that_cannot_be_printed_is_code_10() {
    for words in [["--version"].as_slice(), &["--help"], &["fit", "--help"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        refused(lupe().args(words).stdout(full), 10, &["cannot write to stdout"]);
    }
}

#[test]
fn hunt_messages_name_what_is_wrong_with_a_value() {
    let b = Bench::new();
    let (file, binary) = (b.write("file", b"mine"), b.write("m.json", b"\xff\xfe\x00"));
    let picture = b.picture("p.png");
    let line = |words: &[&str]| {
        let mut command = lupe();
        command.args(words);
        command
    };
    refused(line(&["predict", "m.lupe"]).arg(&picture).arg("-o").arg(&file), 10, &["it is a file; expected a folder"]);
    refused(line(&["bench", "compare"]).args([&binary, &binary]), 3, &["m.json: not results of `lupe bench`"]);
    let maps = ["predict", "m.lupe", "p.png", "-o", "r", "--maps", "--maps-outside"];
    for (value, said) in [("1e400", "must be between"), ("-1e39", "must be between"), ("x", "expected a number")] {
        refused(line(&maps).arg(value), 2, &[said]);
    }
    if cfg!(unix) {
        let rule = ["limit", "m.lupe", "--rule", "max", "-o", "/dev/null"];
        refused(&mut line(&rule), 10, &["/dev/null: not a regular file"]);
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}
