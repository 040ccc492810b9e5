//! `lupe import`: a bank that was fitted here scores the same after a way through the others' files, and files of the real
//! packages give what those packages give.

use crate::common;
use crate::common::foreign::{V, checkpoint, fixture, folder, index, layers, params, pickled};
use crate::common::hash;
use crate::common::parts::{data_set, spoiled, verb};
use crate::common::program::{Bench, done, no_gpu, refused, text};
use crate::common::results::json;
use crate::common::thin::{self, BACKBONE};
use crate::common::vectors::close;
use lupe::methods::patchcore::ModelFile;
use lupe::models;
use lupe::tensor::Tensor;
use lupe::weights::{faiss, safetensors};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn import(source: &Path, model: &Path) -> Command {
    let mut command = verb(&["import"]);
    command.arg(source).arg("-o").arg(model);
    command
}

fn read(model: &Path) -> ModelFile {
    ModelFile::from_bytes(&fs::read(model).unwrap(), "").unwrap()
}

/// Results of a run, and what it says on stderr.
fn run(command: &str, model: &Path, data: &Path, out: &Path, more: &[&str]) -> (Vec<Value>, String) {
    let mut run = verb(&[command]);
    let run = run.arg(model).arg(data).arg("-o").arg(out).arg("--maps=npy").args(more).output().unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    let lines = fs::read_to_string(out.join("results.ndjson")).unwrap();
    (lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect(), text(&run.stderr))
}

/// The weights of resnet18 by the hash rule, as a file.
fn hashed_resnet18(b: &Bench) -> PathBuf {
    let named = hash::full(models::find("resnet18").unwrap());
    let tensors: Vec<(String, &Tensor)> = named.iter().map(|(k, t)| (k.clone(), &**t)).collect();
    b.write("resnet18.safetensors", &safetensors::write(&tensors).unwrap())
}

/// Scores, places and maps of both models are the same bits; the imported one has no limit and gives no verdict.
fn agree(b: &Bench, fitted: &Path, imported: &Path, data: &Path) {
    let (own, theirs) = (read(fitted), read(imported));
    assert!(own.bank == theirs.bank && own.geometry == theirs.geometry);
    assert!(theirs.pictures.is_empty() && theirs.sources.is_empty() && theirs.limit().is_none());
    for command in ["predict", "eval"] {
        let data = if command == "predict" { data.join("test") } else { data.to_path_buf() };
        let (first, second) = (b.path("first"), b.path("second"));
        let (one, _) = run(command, fitted, &data, &first, &[]);
        let (two, said) = run(command, imported, &data, &second, &["--masks"]);
        assert_eq!(one.len(), 5);
        for (a, b) in one.iter().zip(&two) {
            assert!(a["score"].is_f64() && a["above"].is_boolean(), "{a}");
            assert!(["path", "score", "peak", "crop"].iter().all(|k| a[k] == b[k]), "{a} and {b}");
            assert!(b["limit"].is_null() && b["above"].is_null(), "{b}");
            let map = format!("maps/{}.npy", a["path"].as_str().unwrap().trim_end_matches(".png"));
            assert!(fs::read(first.join(&map)).unwrap() == fs::read(second.join(&map)).unwrap(), "{map}");
        }
        assert!(
            said.contains("no limit for pixels, so no masks are written") && !second.join("masks").exists(),
            "{said}"
        );
        assert!(said.contains("so none are left out") == (command == "eval"), "{said}");
    }
    let metrics = ["first", "second"].map(|f| json(&b.path(f).join("metrics.json")));
    for part in ["image", "pixel", "pixel_full", "by_defect"] {
        assert!(metrics[0][part] == metrics[1][part] && !metrics[0][part].is_null(), "{part}");
    }
    assert!(metrics[0]["model"].get("origin").is_none() && metrics[1]["model"]["limit"].is_null());
    assert_eq!(metrics[1]["model"]["origin"].as_str(), theirs.origin.as_deref());
    assert_eq!(metrics[1]["counts"]["train"], 0);
}

#[test]
fn an_official_model_scores_as_the_fit_it_was_taken_from() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, fitted, source, imported) = (b.path("data"), b.path("m.lupe"), b.path("saved"), b.path("i.lupe"));
    data_set(&data, 6, 72, 72);
    let words = ["fit", "patchcore", "--preset", "official", "--size", "64", "--resize", "72", "--neighbors", "2"];
    done(verb(&words).args(BACKBONE).arg(&data).arg("-o").arg(&fitted));
    let bank = read(&fitted).bank;
    let params = common::foreign::with(params(64), "anomaly_scorer_num_nn", V::Int(2));
    folder(&source, "", &pickled(&params), &index(&bank.data, 1024));
    let words = [&BACKBONE[..], &["--resize", "72"]].concat();
    let said = done(import(&source, &imported).args(&words));
    for want in ["official implementation's nnscorer", "shorter edge 72, centre crop 64", "limit     none"] {
        assert!(said.contains(want), "{want}: {said}");
    }
    agree(&b, &fitted, &imported, &data);
    // Twice the same bytes, no path of this machine in them, and without the backbone a third of them.
    let (again, bare) = (b.path("again.lupe"), b.path("bare.lupe"));
    let facts = done(import(&source, &again).args(&words).arg("--json"));
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(
        (&facts["bank"], &facts["limit"], &facts["config"]["neighbors"]),
        (&bank.shape.dim(0).into(), &Value::Null, &2.into())
    );
    let bytes = fs::read(&imported).unwrap();
    assert!(fs::read(&again).unwrap() == bytes);
    assert!(!String::from_utf8_lossy(&bytes).contains(b.dir.path().to_str().unwrap()), "an absolute path in the model");
    done(import(&source, &bare).args(&words).arg("--no-embed-backbone"));
    assert!(fs::metadata(&bare).unwrap().len() * 3 < bytes.len() as u64);
    run("predict", &bare, &data.join("test/good"), &b.path("out"), &["--weights", thin::FILE]);
    // No limit: nothing can be rejected, and that is said before the work.
    let mut strict = verb(&["predict", "--exit-code"]);
    refused(
        strict.arg(&imported).arg(data.join("test")).arg("-o").arg(b.path("out")),
        2,
        &["has no limit", "--exit-code"],
    );
    let words = ["--format", "csv", "--no-heatmaps"];
    let said = done(verb(&["predict"]).arg(&imported).arg(data.join("test")).arg("-o").arg(b.path("csv")).args(words));
    assert!(
        said.contains("scored    5 pictures; none is accepted or rejected, since the model has no limit"),
        "{said}"
    );
    let mut table = csv::Reader::from_path(b.path("csv/results.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert!(rows.len() == 5 && rows.iter().all(|r| !r[2].is_empty() && r[3].is_empty() && r[4].is_empty()), "{rows:?}");
}

#[test]
fn an_anomalib_bank_scores_as_the_fit_it_was_taken_from() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, fitted, imported) = (b.path("data"), b.path("m.lupe"), b.path("i.lupe"));
    data_set(&data, 6, 72, 72);
    let words = ["fit", "patchcore", "--preset", "anomalib", "--size", "64", "--layers", "1,3", "--reweight", "4"];
    done(verb(&words).args(BACKBONE).arg(&data).arg("-o").arg(&fitted));
    let bank = read(&fitted).bank;
    let stated = [("backbone", V::Text("wide_resnet50_2")), ("layers", layers(&[1, 3])), ("num_neighbors", V::Int(4))];
    let source = b.write("model.ckpt", &checkpoint(&bank.data, bank.shape.dim(1), &stated));
    let said = done(import(&source, &imported).args(BACKBONE).args(["--no-crop", "--size", "64"]));
    assert!(said.contains("anomalib's model.ckpt") && said.contains("whole, resized to 64x64"), "{said}");
    agree(&b, &fitted, &imported, &data);
    // What the checkpoint does not state is asked for.
    let source = b.write("bare.ckpt", &checkpoint(&bank.data, bank.shape.dim(1), &[]));
    let words = ["--no-crop", "--size", "64", "--layers", "1,3", "--reweight", "4"];
    done(import(&source, &b.path("j.lupe")).args(BACKBONE).args(words));
    assert_eq!(read(&b.path("j.lupe")).config, read(&imported).config);
}

#[test]
fn files_that_faiss_and_pickle_wrote() {
    let b = Bench::new();
    let rows = hash::tensor("import.bank", [24, 16], 1.0, 0.0);
    let written = fs::read(fixture("official/nnscorer_search_index.faiss")).unwrap();
    assert_eq!(written, index(&rows.data, 16), "the layout that is written here is FAISS's");
    assert_eq!(faiss::read(&written, "").unwrap(), rows);
    let model = b.path("m.lupe");
    let facts: Value =
        serde_json::from_str(&done(import(&fixture("official"), &model).args(BACKBONE).arg("--json"))).unwrap();
    let imported = read(&model);
    assert_eq!(*imported.bank, rows);
    let mut want = json!(imported.config);
    for (key, value) in [("resize", 256), ("size", 224), ("pretrain_dim", 32), ("target_dim", 16), ("neighbors", 1)] {
        want[key] = json!(value);
    }
    assert_eq!((&facts["config"], &facts["config"]["layers"], &facts["bank"]), (&want, &json!([2, 3]), &json!(24)));
    if no_gpu() {
        return;
    }
    spoiled(1, 300, 260).0.save(b.path("x.png")).unwrap();
    let (lines, _) = run("predict", &model, &b.path("x.png"), &b.path("out"), &[]);
    assert!(lines[0]["score"].as_f64().is_some_and(|s| s.is_finite() && s > 0.0), "{lines:?}");
}

/// The network's weights go by the hash rule on both sides; the bank is what anomalib's own fit chose.
#[test]
fn a_checkpoint_of_anomalib_scores_as_anomalib_does() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (weights, model, out) = (hashed_resnet18(&b), b.path("m.lupe"), b.path("out"));
    let said = done(import(&fixture("anomalib.ckpt"), &model).arg("--weights").arg(&weights));
    for want in [
        "38 rows of 320 values, layers layer1, layer3 of resnet18",
        "resized to 64x64",
        "thresholds 47.4",
        "not imported",
    ] {
        assert!(said.contains(want), "{want}: {said}");
    }
    assert_eq!(read(&model).config.reweight, 5);
    for (n, h, w) in [("e", 72, 80), ("f", 64, 64)] {
        let chw = hash::image(&format!("import.{n}"), h, w).data;
        let pixel = |x: u32, y: u32| image::Rgb([0, 1, 2].map(|c| chw[(c * h + y as usize) * w + x as usize] as u8));
        image::RgbImage::from_fn(w as u32, h as u32, pixel).save(b.path(&format!("{n}.png"))).unwrap();
        let (lines, _) = run("predict", &model, &b.path(&format!("{n}.png")), &out, &[]);
        let got = lines[0]["score"].as_f64().unwrap() as f32;
        close(&format!("score of {n}"), &[got], &expected(&format!("score_{n}")), 1e-4);
    }
    let file = fs::read(out.join("maps/f.npy")).unwrap();
    let map: Vec<f32> = npyz::NpyFile::new(&file[..]).unwrap().into_vec().unwrap();
    close("map of f", &map, &expected("map_f"), 1e-4);
}

fn expected(name: &str) -> Vec<f32> {
    let file = fs::read(fixture("anomalib.expected.safetensors")).unwrap();
    let file = ::safetensors::SafeTensors::deserialize(&file).unwrap();
    bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data())
}

/// Versions before 2.7 put objects among the hyper-parameters, with tensors in them.
#[test]
fn objects_beside_the_bank_have_no_meaning_and_do_no_harm() {
    let b = Bench::new();
    let (weights, model, source) = (hashed_resnet18(&b), b.path("m.lupe"), fixture("anomalib_objects.ckpt"));
    let given = |more: &[&str]| {
        let mut command = import(&source, &model);
        command.arg("--weights").arg(&weights).args(more);
        command
    };
    // The pre-processor is such an object, and says what it does.
    refused(&mut given(&["--size", "64"]), 2, &["--size 64: the bank was fitted with 256"]);
    refused(&mut given(&["--crop"]), 2, &["--crop: the bank was fitted on whole pictures; leave the flag out"]);
    done(&mut given(&[]));
    let imported = read(&model);
    assert_eq!(*imported.bank, hash::tensor("import.objects", [8, 64], 1.0, 0.0));
    assert_eq!(
        (imported.config.layers.as_slice(), imported.config.reweight, imported.config.size),
        (&["layer1".to_string()][..], 9, 256)
    );
}

/// anomalib 1.x and 2.0 crop by default: torchvision's own objects say so, beside the bank or in the pre-processor.
#[test]
fn fault_04_a_centre_crop_is_read_and_applied() {
    let (b, picture) = (Bench::new(), spoiled(1, 300, 200).0);
    let (weights, model) = (hashed_resnet18(&b), b.path("m.lupe"));
    for name in ["anomalib_1.ckpt", "anomalib_2_0.ckpt"] {
        let given = |more: &[&str]| {
            let mut command = import(&fixture(name), &model);
            command.arg("--weights").arg(&weights).args(more);
            command
        };
        for (flags, want) in [
            (&["--no-crop"][..], "--no-crop: the bank was fitted on the centre 224x224 of pictures resized to 256x256"),
            (&["--size", "256"], "--size 256: the bank was fitted with 224"),
            (&["--resize", "300"], "--resize 300: the bank was fitted with 256"),
        ] {
            refused(&mut given(flags), 2, &[want]);
            assert!(!model.exists());
        }
        let said = done(&mut given(&["--crop", "--size", "224", "--resize", "256"]));
        assert!(said.contains("whole, resized to 256x256, centre crop 224"), "{said}");
        let said = done(verb(&["weights", "inspect"]).arg(&model));
        assert!(said.contains("whole, resized to 256x256; centre crop 224x224"), "{said}");
        let config = read(&model).config;
        assert_eq!((config.resize, config.size, config.crop), (256, 224, true));
        // The same pixels as the middle of the whole picture, whatever its aspect.
        let network = models::find("resnet18").unwrap();
        let rgb = lupe::data::Picture::new(300, 200, picture.as_raw().clone());
        let cut = config.preprocess(network).apply(&rgb).unwrap();
        let whole = lupe::methods::patchcore::Config { crop: false, size: 256, ..config };
        let whole = whole.preprocess(network).apply(&rgb).unwrap();
        assert_eq!(cut.shape.dims(), [1, 224, 224, 3]);
        for (y, row) in cut.data.chunks(224 * 3).enumerate() {
            let from = ((y + 16) * 256 + 16) * 3;
            assert_eq!(row, &whole.data[from..from + 224 * 3], "row {y}");
        }
        fs::remove_file(&model).unwrap();
    }
}

/// The pre-processors of 2.0 to 2.6 that are the default are not stored: then the user has to know the version.
#[test]
fn fault_04_what_a_checkpoint_does_not_state_is_asked_for() {
    let b = Bench::new();
    let rows = hash::tensor("rows", [2, 768], 1.0, 0.0).data;
    let raw = |bytes: &[u8]| V::Raw(common::torch::Pickle(bytes.to_vec()));
    let import_of = |pre_processor: V, more: &[&str]| {
        let stated = [("layers", layers(&[2, 3])), ("num_neighbors", V::Int(9)), ("pre_processor", pre_processor)];
        let source = b.write("m.ckpt", &checkpoint(&rows, 768, &stated));
        let mut command = import(&source, &b.path("m.lupe"));
        command.args(BACKBONE).args(more);
        command
    };
    let yes = || raw(b"\x88");
    let want = ["does not state how pictures were prepared", "give --crop if it is of anomalib 2.0", "--no-crop if"];
    refused(&mut import_of(yes(), &[]), 2, &want);
    refused(&mut import_of(yes(), &["--size", "256"]), 2, &want);
    refused(&mut import_of(yes(), &["--crop", "--no-crop"]), 2, &["cannot be used with"]);
    // As it advises.
    for (flags, want) in [
        (&["--crop"][..], (256, 224, true)),
        (&["--crop", "--resize", "128"], (128, 112, true)),
        (&["--no-crop"], (256, 256, false)),
        (&["--no-crop", "--size", "64"], (256, 64, false)),
    ] {
        done(&mut import_of(yes(), flags));
        let config = read(&b.path("m.lupe")).config;
        assert_eq!((config.resize, config.size, config.crop), want, "{flags:?}");
        fs::remove_file(b.path("m.lupe")).unwrap();
    }
    refused(&mut import_of(yes(), &["--no-crop", "--resize", "300"]), 2, &["--resize does not apply"]);
    refused(&mut import_of(raw(b"\x89"), &["--no-crop"]), 4, &["was fitted without a pre-processor"]);
    let own = || V::Raw(common::torch::Pickle::new().global("my.own", "Net").op(b")\x81}b"));
    refused(&mut import_of(own(), &["--no-crop"]), 2, &["a pre-processor that it does not describe", "--size"]);
    done(&mut import_of(own(), &["--no-crop", "--size", "64"]));
    let official = fixture("official");
    refused(import(&official, &b.path("o.lupe")).arg("--crop"), 2, &["the official implementation always crops"]);
    assert!(!b.path("o.lupe").exists());
}
