//! Broken input, wrong models and full disks: what went wrong is said, with its exit code, and nothing is lost.

use crate::common;
use crate::common::hash;
use crate::common::parts::{data_set, fit, fitted, huge_png, part, spoiled, verb};
#[cfg(target_os = "linux")]
use crate::common::program::on_a_small_disk;
use crate::common::program::{Bench, done, no_gpu, refused};
use lupe::methods::patchcore::ModelFile;
use lupe::tensor::Tensor;
use lupe::weights::{Weights, safetensors};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn predict(model: &Path, picture: &Path, out: &Path) -> Command {
    let mut command = verb(&["predict"]);
    command.arg(model).arg(picture).arg("-o").arg(out);
    command
}

fn eval(model: &Path, data: &Path, out: &Path) -> Command {
    let mut command = verb(&["eval"]);
    command.arg(model).arg(data).arg("-o").arg(out);
    command
}

#[test]
fn folders_that_are_no_data_set_are_code_3() {
    let b = Bench::new();
    let model = b.path("m.lupe");
    let folder = |name: &str| {
        fs::create_dir_all(b.path(name)).unwrap();
        b.path(name)
    };
    refused(&mut fit(&b.path("nowhere"), &model), 3, &["nowhere", "does not exist"]);
    refused(&mut fit(&folder("empty"), &model), 3, &["no good pictures", "expected train/good", "found nothing"]);
    folder("wrong/deeper");
    refused(&mut fit(&b.path("wrong"), &model), 3, &["expected train/good", "found deeper"]);
    folder("bad_only/test/cut");
    folder("bad_only/train/good");
    refused(&mut fit(&b.path("bad_only"), &model), 3, &["no good pictures"]);
    folder("one/good");
    part(0, 72, 72).save(b.path("one/good/a.png")).unwrap();
    refused(fit(&b.path("one"), &model).args(["--test-split", "1"]), 3, &["no good picture is left"]);
    // 65 pictures of 512 x 512 places: nothing is decoded before that is known to be too much.
    folder("many");
    for n in 0..65 {
        fs::write(b.path(&format!("many/{n}.png")), b"").unwrap();
    }
    let words = ["--size", "4096", "--test-split", "0"];
    let mut command = verb(&["fit", "patchcore"]);
    refused(
        command.arg(b.path("many")).arg("-o").arg(&model).args(words),
        3,
        &["65 good pictures", "17039360", "fit on 64"],
    );
    assert!(!model.exists() && !b.path("m.lupe.features").exists());
}

#[test]
fn wrong_flags_are_code_2() {
    let b = Bench::new();
    let data = b.path("data");
    data_set(&data, 2, 72, 72);
    for (words, by) in [
        (&["--ratio", "0"][..], "ratio 0"),
        (&["--ratio", "1.5"], "ratio 1.5"),
        (&["--layers", "block10,block4"], "layers block10,block4: expected in the network's order"),
        (&["--layers", "5"], "unknown place `layer5`; available: block0"),
        (&["--neighbors", "0"], "at least 1"),
        (&["--resize", "300", "--preset", "official", "--no-crop"], "--resize applies only with a crop"),
        (&["--resize", "300"], "--resize applies only with a crop"),
        (&["--backbone", "resnet19"], "unknown network `resnet19`"),
        (&["--backbone", "resnet18"], "give --weights"),
        (&["--limit-ram", "much"], "512M"),
        (&["--preset", "mine"], "official"),
    ] {
        refused(verb(&["fit", "patchcore"]).arg(&data).arg("-o").arg(b.path("m.lupe")).args(words), 2, &[by]);
    }
    refused(verb(&["fit", "patchcore"]).arg(&data).args(["-o", "m.lupe", "--size", "16"]), 2, &["size 16"]);
    refused(
        verb(&["fit", "patchcore"]).arg(&data).args(["-o", "m.lupe", "--preset", "official", "--resize", "100"]),
        2,
        &["resize 100"],
    );
}

#[test]
fn masks_that_do_not_fit_are_code_3() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let (out, masks) = (b.path("out"), data.join("ground_truth/spot"));
    fs::copy(masks.join("000_mask.png"), masks.join("009_mask.png")).unwrap();
    refused(&mut eval(&model, &data, &out), 3, &["009_mask.png", "is a mask without a matching picture"]);
    fs::remove_file(masks.join("009_mask.png")).unwrap();
    image::GrayImage::new(70, 72).save(masks.join("001_mask.png")).unwrap();
    refused(&mut eval(&model, &data, &out), 3, &["spot/001.png", "is 72x72", "001_mask.png is 70x72", "same size"]);
    fs::remove_file(masks.join("001_mask.png")).unwrap();
    refused(
        &mut eval(&model, &data, &out),
        3,
        &["1 defective pictures have no mask", "spot/001.png", "--skip-unmasked"],
    );
    assert!(!out.join("metrics.json").exists());
    done(eval(&model, &data, &out).arg("--skip-unmasked"));
    let metrics = fs::read_to_string(out.join("metrics.json")).unwrap();
    assert!(metrics.contains("\"test_defective\": 2"), "{metrics}");
    fs::remove_dir_all(data.join("test")).unwrap();
    fs::remove_dir_all(data.join("ground_truth")).unwrap();
    refused(&mut eval(&model, &data, &out), 3, &["no picture is left to test on", "or give --allow-seen"]);
    fs::create_dir_all(data.join("test/spot")).unwrap();
    fs::copy(data.join("train/good/000.png"), data.join("test/spot/a.png")).unwrap();
    refused(&mut eval(&model, &data, &out), 3, &["no picture is left to test on: the model was fitted on all of them"]);
    assert_eq!(fs::read_to_string(out.join("metrics.json")).unwrap(), metrics, "the old results are gone");
}

#[test]
fn one_unreadable_picture_is_code_3_or_9() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let (out, again) = (b.path("out"), b.path("again.lupe"));
    let good = fs::read(&model).unwrap();
    fs::write(data.join("train/good/0015.png"), b"no picture").unwrap();
    refused(&mut fit(&data, &again), 3, &["0015.png", "not a PNG"]);
    assert!(!again.exists());
    refused(fit(&data, &again).arg("--keep-going"), 9, &["1 of 7 pictures could not be read", "0015.png"]);
    let pictures = |bytes: &[u8]| ModelFile::from_bytes(bytes, "").unwrap().pictures;
    let fitted = fs::read(&again).unwrap();
    assert_eq!(pictures(&fitted), pictures(&good), "the names are those of the pictures that were read");
    fs::write(data.join("test/spot/000.png"), b"no picture").unwrap();
    refused(&mut predict(&model, &data.join("test"), &out), 3, &["spot/000.png"]);
    assert!(!out.join("results.ndjson").exists());
    refused(predict(&model, &data.join("test"), &out).arg("--keep-going"), 9, &["1 of 5 pictures", "spot/000.png"]);
    let lines = fs::read_to_string(out.join("results.ndjson")).unwrap();
    let broken: Vec<&str> = lines.lines().filter(|l| l.contains("\"error\"")).collect();
    assert!(lines.lines().count() == 5 && broken.len() == 1, "{lines}");
    assert!(
        broken[0].contains("\"score\":null") && broken[0].contains("\"above\":null"),
        "never a verdict: {broken:?}"
    );
    refused(eval(&model, &data, &out).arg("--keep-going"), 9, &["spot/000.png"]);
    assert!(
        fs::read_to_string(out.join("metrics.json")).unwrap().contains("\"failed\": 2"),
        "one of them is a good one"
    );
    refused(
        predict(&model, &data.join("test/good"), &out).args(["--max-pixels", "5000"]),
        3,
        &["72x72", "between 1 and 5000"],
    );
    for file in fs::read_dir(data.join("train/good")).unwrap() {
        fs::write(file.unwrap().path(), b"x").unwrap();
    }
    refused(fit(&data, &again).arg("--keep-going"), 3, &["none of its 7 pictures can be read", "not a PNG"]);
    assert!(fs::read(&again).unwrap() == fitted, "the model of before is gone");
}

#[test]
fn deep_pictures_are_scored_and_those_that_cannot_be_read_are_code_3() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let out = b.path("out");
    let score = |path: &Path| -> f64 {
        done(&mut predict(&model, path, &out));
        let line = fs::read_to_string(out.join("results.ndjson")).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()["score"].as_f64().unwrap()
    };
    // The same gray picture with 8 and with 16 bits, and one of 12 bits in 16, which must not become white.
    let gray = image::DynamicImage::ImageRgb8(spoiled(300, 72, 72).0).into_luma8();
    let (shallow, deep, dark) = (b.path("8.png"), b.path("16.png"), b.path("12.tif"));
    gray.save(&shallow).unwrap();
    let sixteen = |factor: u16| {
        image::ImageBuffer::from_fn(72, 72, |x, y| image::Luma([u16::from(gray.get_pixel(x, y).0[0]) * factor]))
    };
    sixteen(257).save(&deep).unwrap();
    image::DynamicImage::ImageLuma16(sixteen(16)).save(&dark).unwrap();
    let (s8, s16, s12) = (score(&shallow), score(&deep), score(&dark));
    println!("8 bits {s8}, 16 bits {s16}, 12 of 16 bits {s12}");
    assert!((s8 - s16).abs() < 0.01 * s8, "{s8} and {s16}: only the rounding of 8 bits lies between them");
    assert!((s12 - s16).abs() > 0.02 * s16, "a sixteenth of the light is another picture");
    let fixture = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures").join(name);
    refused(&mut predict(&model, &fixture("cmyk.jpg"), &out), 3, &["cmyk.jpg", "CMYK"]);
    refused(&mut predict(&model, &b.write("huge.png", &huge_png()), &out), 3, &["huge.png", "60000x60000"]);
    fs::write(data.join("train/good/huge.png"), huge_png()).unwrap();
    refused(&mut fit(&data, &b.path("x.lupe")), 3, &["huge.png", "60000x60000", "200000000"]);
}

#[test]
fn models_that_are_none_are_code_4() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, whole) = fitted(&b);
    let (bare, out, picture) = (b.path("bare.lupe"), b.path("out"), data.join("test/good/000.png"));
    done(fit(&data, &bare).arg("--no-embed-backbone"));
    assert!(fs::metadata(&bare).unwrap().len() * 3 < fs::metadata(&whole).unwrap().len());
    done(&mut predict(&bare, &picture, &out));
    // The same network with one weight changed.
    let mut tensors: Vec<(String, Tensor)> =
        Weights::embedded().unwrap().tensors().iter().map(|(k, t)| (k.clone(), (**t).clone())).collect();
    tensors[0].1.data[0] += 0.5;
    let views: Vec<(String, &Tensor)> = tensors.iter().map(|(k, t)| (k.clone(), t)).collect();
    let other = b.write("other.safetensors", &safetensors::write(&views).unwrap());
    refused(
        predict(&bare, &picture, &out).arg("--weights").arg(&other),
        4,
        &["fitted with other weights of efficientnet_lite0"],
    );
    let bytes = fs::read(&bare).unwrap();
    let newer = String::from_utf8_lossy(&bytes).find("\\\"format_version\\\":1").unwrap() + 19;
    let mut changed = bytes.clone();
    changed[newer] = b'8';
    refused(&mut predict(&b.write("newer.lupe", &changed), &picture, &out), 4, &["newer.lupe", "format 8", "use Lupe"]);
    refused(&mut predict(&b.write("cut.lupe", &bytes[..bytes.len() / 2]), &picture, &out), 4, &["cut.lupe", "damaged"]);
    refused(&mut predict(&b.write("text.lupe", b"text"), &picture, &out), 4, &["text.lupe"]);
    refused(&mut predict(&b.path("none.lupe"), &picture, &out), 4, &["none.lupe"]);
    refused(&mut predict(b.dir.path(), &picture, &out), 4, &["not a regular file"]);
    let want = ModelFile::from_bytes(&bytes, "").unwrap();
    let mut refusals = 0;
    for i in 0..500 {
        let z = hash::z(hash::fnv1a64("cli.flip"), i);
        let mut flipped = bytes.clone();
        flipped[(z >> 8) as usize % bytes.len()] ^= (z as u8).max(1);
        match ModelFile::from_bytes(&flipped, "flipped") {
            Ok(m) => assert!(m.bank == want.bank && m.scores == want.scores && m.pictures == want.pictures, "flip {i}"),
            Err(e) => {
                assert_eq!(e.exit_code(), 4, "{e}");
                refusals += 1;
            }
        }
        if i % 100 == 0 {
            refused(&mut predict(&b.write("flip.lupe", &flipped), &picture, &out), 4, &["flip.lupe", "damaged"]);
        }
    }
    assert!(refusals > 450, "{refusals}");
}

#[test]
fn a_bank_that_is_not_a_number_is_code_7_and_never_a_verdict() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let mut broken = ModelFile::from_bytes(&fs::read(&model).unwrap(), "").unwrap();
    let mut bank = (*broken.bank).clone();
    bank.data[3 * broken.geometry.dim + 5] = f32::NAN;
    broken.bank = Arc::new(bank);
    let (file, out) = (b.write("nan.lupe", &broken.to_bytes().unwrap()), b.path("out"));
    refused(&mut predict(&file, &data.join("test"), &out), 7, &["row 3 of the memory bank", "not finite"]);
    refused(&mut eval(&file, &data, &out), 7, &["row 3"]);
    assert!(!out.join("results.ndjson").exists() && !out.join("metrics.json").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn outputs_that_cannot_be_written_are_code_10() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let file = b.write("file", b"keep me");
    refused(&mut fit(&data, &file.join("m.lupe")), 10, &["file/m.lupe"]);
    refused(&mut fit(&data, Path::new("/dev/full")), 10, &["/dev/full"]);
    refused(&mut predict(&model, &data.join("test"), &file.join("out")), 10, &["file/out", "cannot write there"]);
    assert_eq!(fs::read(&file).unwrap(), b"keep me");
    on_a_small_disk(&b, |mount| {
        let old = mount.join("m.lupe");
        fs::write(&old, b"the old model").unwrap();
        let run = fit(&data, &old).output().unwrap();
        let said = common::program::text(&run.stderr);
        assert!(run.status.code() == Some(10) && said.contains("m.lupe cannot be written"), "{said}");
        assert!(said.contains("cannot be resumed"), "{said}");
        assert_eq!(fs::read(&old).unwrap(), b"the old model");
        let left: Vec<_> = fs::read_dir(mount).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(left, ["m.lupe"], "something half-written is left");
        refused(fit(&data, &old).args(["--limit-ram", "1M"]), 10, &["m.lupe.features cannot be written"]);
        let _ = fs::remove_file(mount.join("m.lupe.features"));
        let large = b.path("large.png");
        part(1, 1500, 1500).save(&large).unwrap();
        refused(&mut predict(&model, &large, &mount.join("out")), 10, &["large.png cannot be written"]);
        assert!(!mount.join("out/results.ndjson").exists());
        let bound = Command::new("mount").args(["-o", "remount,ro"]).arg(mount).status().unwrap();
        assert!(bound.success());
        refused(&mut fit(&data, &old), 10, &["m.lupe cannot be written", "Read-only"]);
        refused(&mut predict(&model, &large, &mount.join("new")), 10, &["new", "Read-only"]);
    });
}
