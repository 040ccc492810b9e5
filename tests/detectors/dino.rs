//! `lupe fit anomalydino` and `lupe fit subspacead` as a user meets them, with a network of drawn weights: every command that takes a
//! model, pictures of several sizes, limits, what is left out, and what is refused.

use crate::common::parts::{data_set, part};
use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use crate::common::results::{json, lines};
use crate::common::vit::{DRAWN, drawn_weights, write_drawn};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

fn fit(method: &str, data: &Path, model: &Path, more: &[&str]) -> Command {
    let mut command = lupe();
    command.args(["fit", method, "--backbone", DRAWN, "--no-embed-backbone", "--weights"]).arg(drawn_weights());
    command.arg(data).arg("-o").arg(model).args(["--size", "64"]).args(more);
    command
}

/// A command on a model whose weights are in the file of drawn ones.
fn on(command: &str, model: &Path, more: &[&Path]) -> Command {
    let mut run = lupe();
    run.arg(command).arg(model).args(more).arg("--weights").arg(drawn_weights());
    run
}

#[test]
fn anomalydino_through_every_command() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    data_set(&data, 4, 96, 70);
    let said = done(&mut fit("anomalydino", &data, &model, &["--mask", "grid"]));
    // 87x64 pixels become 84x56: 4 x 6 patches in 8 directions, of 4 pictures.
    assert!(said.contains("bank      768 tokens of 384 values, of 4 pictures, each in 8 directions"), "{said}");
    assert!(said.contains("the largest of 4 training scores"), "{said}");
    let again = b.path("again.lupe");
    done(&mut fit("anomalydino", &data, &again, &["--mask", "grid"]));
    assert!(fs::read(&model).unwrap() == fs::read(&again).unwrap(), "the same fit gives the same bytes");

    let out = b.path("out");
    done(on("predict", &model, &[&data.join("test"), Path::new("-o"), &out]).args([
        "--maps=npy",
        "--masks",
        "--dump-features",
    ]));
    let found = lines(&out);
    assert_eq!(found.len(), 5);
    for line in &found {
        // What was looked at: 84 of 87 columns and 56 of 64 rows, in the picture's pixels.
        let crop: Vec<f64> = line["crop"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert!(crop[..2] == [0.0, 0.0] && (crop[2] - 96.0 * 84.0 / 87.0).abs() < 1e-9, "{crop:?}");
        assert!((crop[3] - 70.0 * 56.0 / 64.0).abs() < 1e-9 && line["method"] == "anomalydino", "{line}");
        assert!(line["above"].is_boolean() && line["peak"].is_array(), "{line}");
    }
    let map = fs::read(out.join("maps/good/000.npy")).unwrap();
    assert!(text(&map[..128]).contains("(70, 96"), "the map is of the picture's size: {}", text(&map[..128]));
    let features = fs::read(out.join("features/good/000.npy")).unwrap();
    assert!(text(&features[..128]).contains("(24, 384"), "{}", text(&features[..128]));
    assert!(out.join("heatmaps/spot/000.png").exists() && out.join("masks/spot/000.png").exists());

    done(on("eval", &model, &[&data, Path::new("-o"), &b.path("eval")]).arg("--no-heatmaps"));
    let metrics = json(&b.path("eval/metrics.json"));
    assert_eq!(metrics["pixel"], metrics["pixel_full"], "maps are of the pictures' size");
    assert!(metrics["model"]["method"] == "anomalydino" && metrics["counts"]["train"] == 4, "{metrics}");
    for command in ["verify", "plan", "profile"] {
        done(&mut on(command, &model, &[]));
    }
    let inspected = done(lupe().args(["weights", "inspect"]).arg(&model));
    for part in ["an AnomalyDINO model", "positions offset", "4x6 patches", "the foreground, grown on the grid"] {
        assert!(inspected.contains(part), "{inspected}");
    }
    let limited = b.path("limited.lupe");
    done(on("limit", &model, &[]).args(["--rule", "fixed=0.25,0.5", "-o"]).arg(&limited));
    assert!(done(lupe().args(["weights", "inspect"]).arg(&limited)).contains("0.25, stated by hand"));
}

#[test]
fn subspacead_through_every_command() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    data_set(&data, 3, 96, 70);
    let said = done(&mut fit("subspacead", &data, &model, &["--augment", "2", "--tau", "0.9"]));
    assert!(said.contains(" of 384 dimensions, of 3 pictures, each and 2 views of it"), "{said}");
    assert!(said.contains("the largest of 3 training scores"), "{said}");
    let out = b.path("out");
    done(on("predict", &model, &[&data.join("test"), Path::new("-o"), &out]).arg("--maps=npy"));
    let found = lines(&out);
    assert!(found.len() == 5 && found.iter().all(|l| l["score"].as_f64().unwrap() > 0.0), "{found:?}");
    done(on("eval", &model, &[&data, Path::new("-o"), &b.path("eval")]).arg("--no-heatmaps"));
    let metrics = json(&b.path("eval/metrics.json"));
    assert!(metrics["pixel"]["auroc"].is_number() && metrics["pixel"] != metrics["pixel_full"], "{metrics}");
    done(&mut on("verify", &model, &[]));
    let inspected = done(lupe().args(["weights", "inspect"]).arg(&model));
    for part in ["a SubspaceAD model", "block7, block8", "positions size", "0.9 of the variance"] {
        assert!(inspected.contains(part), "{inspected}");
    }
    // Other angles, another subspace.
    let other = b.path("other.lupe");
    done(&mut fit("subspacead", &data, &other, &["--augment", "2", "--tau", "0.9", "--shots", "1", "--seed", "1"]));
    let one = done(lupe().args(["weights", "inspect", "--json"]).arg(&other));
    let one: Value = serde_json::from_str(&one).unwrap();
    assert!(text(one.to_string().as_bytes()).contains("\"seed\":1"), "{one}");
}

/// Pictures of other shapes than the references have other grids; a batch never changes a bit.
#[test]
fn pictures_of_several_shapes() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    data_set(&data, 1, 96, 70);
    let said = done(&mut fit("anomalydino", &data, &model, &["--rotations", "off"]));
    assert!(said.contains("limit     none: it takes 3 good pictures"), "{said}");
    let mixed = b.path("mixed");
    fs::create_dir_all(&mixed).unwrap();
    let sizes = [
        (96, 70),
        (96, 70),
        (70, 96),
        (64, 64),
        (96, 70),
        (130, 64),
        (64, 100),
        (64, 140),
        (70, 96),
        (96, 70),
        (64, 64),
    ];
    for (i, (w, h)) in sizes.into_iter().enumerate() {
        part(i as u64, w, h).save(mixed.join(format!("{i:02}.png"))).unwrap();
    }
    let of = |batch: &str| {
        let out = b.path(batch);
        done(on("predict", &model, &[&mixed, Path::new("-o"), &out]).args([
            "--no-heatmaps",
            "--maps=npy",
            "--batch",
            batch,
        ]));
        let maps =
            (0..sizes.len()).map(|i| fs::read(out.join(format!("maps/{i:02}.npy"))).unwrap()).collect::<Vec<_>>();
        (fs::read(out.join("results.ndjson")).unwrap(), maps)
    };
    let (one, four) = (of("1"), of("4"));
    assert!(one == four, "a batch changed a bit");
    for ((w, h), map) in sizes.into_iter().zip(&one.1) {
        assert!(text(&map[..128]).contains(&format!("({h}, {w}")), "{w}x{h}: {}", text(&map[..128]));
    }
    // The reference itself is the first picture.
    let first: Value = serde_json::from_str(text(&one.0).lines().next().unwrap()).unwrap();
    assert!(first["score"].as_f64().unwrap() < 1e-6 && first["above"].is_null(), "{first}");
}

#[test]
fn copies_and_broken_pictures() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    data_set(&data, 3, 70, 70);
    fs::copy(data.join("train/good/000.png"), data.join("train/good/copy.png")).unwrap();
    b.write("data/train/good/broken.png", b"no picture");
    refused(&mut fit("anomalydino", &data, &model, &[]), 3, &["broken.png"]);
    assert!(!model.exists());
    let quick = ["--keep-going", "--rotations", "off"];
    refused(
        &mut fit("anomalydino", &data, &model, &quick),
        9,
        &["1 of 5 pictures could not be read", "broken.png", "copy.png"],
    );
    let facts = done(lupe().args(["weights", "inspect", "--json"]).arg(&model));
    assert!(facts.contains("copy.png"), "{facts}");
    // Two are too few for a limit, and a rule that needs scores is refused before anything is computed.
    let said = done(&mut fit("anomalydino", &data, &model, &["--shots", "2", "--rotations", "off"]));
    assert!(said.contains("limit     none"), "{said}");
    refused(&mut fit("anomalydino", &data, &model, &["--shots", "2", "--limit", "second"]), 2, &["too few"]);
    done(&mut fit("anomalydino", &data, &model, &["--shots", "1", "--limit", "fixed=0.3", "--rotations", "off"]));
    // What a model without its backbone needs.
    let out = b.path("out");
    refused(lupe().arg("predict").arg(&model).arg(data.join("test")).arg("-o").arg(&out), 2, &[DRAWN, "--weights"]);
}

#[test]
fn what_is_refused() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    data_set(&data, 3, 70, 70);
    let pull = ["--weights is required", "`lupe weights pull dinov2_vits14.facebook`", "dinov2_vits14_pretrain.pth"];
    refused(lupe().args(["fit", "anomalydino"]).arg(&data).arg("-o").arg(&model), 2, &pull);
    let none = ["efficientnet_lite0 has no patch tokens", "dinov2_vits14"];
    let convolutions = ["fit", "anomalydino", "--backbone", "efficientnet_lite0"];
    refused(lupe().args(convolutions).arg(&data).arg("-o").arg(&model), 2, &none);
    for (method, more, said) in [
        ("anomalydino", &["--size", "32"][..], "between 64 and 4096"),
        ("anomalydino", &["--size", "4000"], "81225 patches of 14x14, but at most 16384"),
        ("anomalydino", &["--preset", "anomalib", "--size", "250"], "must be a multiple of 14"),
        ("anomalydino", &["--neighbors", "0"], "between 1 and 100"),
        ("anomalydino", &["--mask-references"], "only with --mask grid"),
        ("anomalydino", &["--shots", "0"], "--shots 0"),
        ("anomalydino", &["--shots", "2", "--seed", "1"], "there are 3"),
        ("anomalydino", &["--limit-ram", "1K"], "the bank of 3 good pictures takes"),
        ("subspacead", &["--tau", "0"], "above 0 and at most 1"),
        ("subspacead", &["--augment", "1001"], "at most 1000"),
        ("subspacead", &["--layers", "block12"], "unknown place `block12`"),
        ("subspacead", &["--layers", "cls"], "not a map of patch tokens"),
    ] {
        let mut words: Vec<&str> = more.to_vec();
        if !more.contains(&"--size") {
            words.extend(["--size", "64"]);
        }
        let mut command = lupe();
        command.args(["fit", method, "--backbone", DRAWN, "--weights"]).arg(drawn_weights());
        refused(command.arg(&data).arg("-o").arg(&model).args(words), 2, &[said]);
    }
    assert!(!model.exists());
    // A strip that becomes more patches than there may be.
    let strip = b.path("strip");
    fs::create_dir_all(&strip).unwrap();
    part(0, 20_000, 8).save(strip.join("a.png")).unwrap();
    refused(&mut fit("anomalydino", &strip, &model, &[]), 3, &["a.png", "at most 16384", "cut it into pieces"]);
    // Weights that give no numbers.
    let spoiled = b.path("spoiled.safetensors");
    write_drawn(&spoiled, true);
    let mut command = lupe();
    command.args(["fit", "anomalydino", "--backbone", DRAWN, "--size", "64", "--weights"]).arg(&spoiled);
    refused(command.arg(&data).arg("-o").arg(&model), 7, &["000.png", "its tokens are not finite"]);
    // Other weights than those of the fit.
    done(&mut fit("subspacead", &data, &model, &["--augment", "0"]));
    let out = b.path("out");
    let mut command = lupe();
    command.arg("predict").arg(&model).arg(data.join("test")).arg("-o").arg(&out).arg("--weights").arg(&spoiled);
    refused(&mut command, 4, &["other weights of vit_s14_focus"]);
}
