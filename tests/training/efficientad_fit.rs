//! EfficientAD from good pictures to verdicts, with a narrow teacher and networks that were not trained: every command that takes a model,
//! presets and borders, what is drawn, what is left out, and what `lupe fit efficientad` refuses.

use crate::common;
use crate::common::parts::{data_set, part};
use crate::common::pdn::{pth, teacher};
use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use crate::common::results::{json, lines};
use crate::common::sweep::gpu;
use lupe::data::dataset::{Dataset, pictures};
use lupe::data::{Limits, Prepared};
use lupe::methods::efficientad::{
    Begun, Border, Config, EfficientAd, Example, Examples, FitOptions, Good, ModelFile, Penalty, Preset, Split,
    Teacher, begin,
};
use lupe::methods::{Fitted, Known, LimitRule, Why};
use lupe::models::pdn::Size;
use lupe::watch::Unwatched;
use lupe::weights::WeightsFile;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NARROW: usize = 16;

/// A file of a narrow teacher.
fn teacher_file(b: &Bench) -> PathBuf {
    b.write("teacher.pth", &pth(&teacher(Size::Small, NARROW)))
}

fn opened(path: &Path) -> Teacher {
    Teacher::open(&WeightsFile::from(path), None).unwrap()
}

/// A model of networks that were not trained.
fn untrained(data: &Path, teacher: &Teacher, config: &Config, options: &FitOptions) -> EfficientAd {
    let set = Dataset::open_validated(data).unwrap().to_fit(false).unwrap();
    let good = Good { set: &set, teacher, penalty: &[] };
    let begun: Begun = pollster::block_on(begin(gpu(), good, config, options, &Unwatched)).unwrap();
    let trained = config.networks().initial(config.seed);
    let (fitted, missed) = pollster::block_on(begun.finish(gpu(), (&trained, None), options, &Unwatched)).unwrap();
    assert!(missed.failed.is_empty());
    fitted
}

fn fit(data: &Path, teacher: &Path, more: &[&str]) -> Command {
    let mut command = lupe();
    command.args(["fit", "efficientad"]).arg(data).arg("--teacher").arg(teacher).args(more);
    command.arg("-o").arg(data.parent().unwrap().join("m.lupe"));
    command
}

#[test]
fn a_model_through_every_command() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model, file) = (b.path("data"), b.path("m.lupe"), teacher_file(&b));
    data_set(&data, 6, 300, 280);
    let teacher = opened(&file);
    let config = Config::new(Size::Small, NARROW, Preset::Nelson);
    let fitted = untrained(&data, &teacher, &config, &FitOptions::default());
    fitted.save(&model).unwrap();
    let again = untrained(&data, &teacher, &config, &FitOptions::default());
    assert!(fitted.file.to_bytes().unwrap() == again.file.to_bytes().unwrap(), "the same fit gives the same bytes");
    assert_eq!((fitted.file.pictures.len(), fitted.file.validation, fitted.training().len()), (6, 1, 1));

    let out = b.path("out");
    let mut predict = lupe();
    predict.arg("predict").arg(&model).arg(data.join("test")).args(["--maps=npy", "--masks", "--dump-features", "-o"]);
    done(predict.arg(&out));
    let found = lines(&out);
    assert_eq!(found.len(), 5);
    for line in &found {
        assert_eq!(line["crop"], serde_json::json!([0.0, 0.0, 300.0, 280.0]));
        assert!(line["method"] == "efficientad" && line["above"].is_boolean() && line["peak"].is_array(), "{line}");
    }
    let map = fs::read(out.join("maps/good/000.npy")).unwrap();
    assert!(text(&map[..128]).contains("(280, 300"), "the map is of the picture's size: {}", text(&map[..128]));
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&map[map.len() - 4 * 280 * 300..]);
    let largest = values.iter().copied().fold(f32::MIN, f32::max);
    let line = found.iter().find(|l| l["path"].as_str().unwrap().ends_with("good/000.png")).unwrap();
    assert_eq!(line["score"].as_f64().unwrap(), f64::from(largest), "the score is the largest value at that size");
    assert_eq!(values[0], 0.0, "the border is zero");
    let features = fs::read(out.join("features/good/000.npy")).unwrap();
    assert!(text(&features[..128]).contains("(3136, 24"), "{}", text(&features[..128]));

    done(lupe().arg("eval").arg(&model).arg(&data).arg("-o").arg(b.path("eval")).arg("--no-heatmaps"));
    let metrics = json(&b.path("eval/metrics.json"));
    assert_eq!(metrics["pixel"], metrics["pixel_full"], "maps are of the pictures' size");
    assert!(metrics["model"]["method"] == "efficientad" && metrics["counts"]["train"] == 6, "{metrics}");
    assert_eq!(metrics["model"]["config"]["preset"], "nelson");
    for command in ["verify", "plan", "profile", "limit"] {
        done(lupe().arg(command).arg(&model));
    }
    let said = done(lupe().arg("verify").arg(&model).arg("--training"));
    assert!(said.contains("dispatches match their references"), "a step of its training: {said}");
    done(lupe().arg("limit").arg(&model).args(["--rule", "fixed=0.25,0.5"]));
    let said = done(lupe().args(["weights", "inspect"]).arg(&model));
    for part in [
        "an EfficientAD model",
        "nelson (nelson1425/EfficientAD); zeros around maps",
        "pdn_s at 1/16 of its width",
        "70000 steps of 1 picture; no other pictures; seed 0",
        "5 pictures, and 1 kept",
        "0.25, stated by hand",
    ] {
        assert!(said.contains(part), "\"{part}\" is not in: {said}");
    }
}

/// Batches change no bit; presets and borders do.
#[test]
fn presets_borders_and_batches() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, file) = (b.path("data"), teacher_file(&b));
    data_set(&data, 4, 300, 280);
    let teacher = opened(&file);
    let mut scores = vec![];
    for (preset, border) in [
        (Preset::Nelson, Border::Zero),
        (Preset::Nelson, Border::Replicate),
        (Preset::Anomalib, Border::Zero),
        (Preset::Anomalib, Border::Replicate),
        (Preset::Paper, Border::None),
    ] {
        let config = Config { border, ..Config::new(Size::Small, NARROW, preset) };
        let options = FitOptions { no_embed_teacher: true, ..FitOptions::default() };
        let mut one = options.clone();
        one.run.batch = 1;
        let fitted = untrained(&data, &teacher, &config, &options);
        assert!(fitted.file.to_bytes().unwrap() == untrained(&data, &teacher, &config, &one).file.to_bytes().unwrap());
        let model = b.path(&format!("{preset:?}{border:?}.lupe"));
        fitted.save(&model).unwrap();
        let out = b.path(&format!("{preset:?}{border:?}"));
        let mut predict = lupe();
        predict.arg("predict").arg(&model).arg(data.join("test")).arg("--weights").arg(&file).arg("-o").arg(&out);
        done(&mut predict);
        scores.push(lines(&out).iter().map(|l| l["score"].as_f64().unwrap()).collect::<Vec<_>>());
        // A model without its teacher wants it, and no other.
        refused(lupe().arg("verify").arg(&model), 2, &["pdn_s has no built-in weights"]);
        let other = b.write("other.pth", &pth(&common::pdn::weights("other.", Size::Small.pdn().narrow(NARROW))));
        refused(
            lupe().arg("verify").arg(&model).arg("--weights").arg(other),
            4,
            &["was fitted with other weights of pdn_s"],
        );
    }
    for (i, one) in scores.iter().enumerate() {
        assert!(scores.iter().skip(i + 1).all(|other| other != one || i == 0), "{scores:?}");
    }
}

#[test]
fn a_model_file_is_whole_or_refused() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = b.path("data");
    data_set(&data, 3, 260, 260);
    let teacher = opened(&teacher_file(&b));
    let config = Config::new(Size::Small, NARROW, Preset::Anomalib);
    let file = untrained(&data, &teacher, &config, &FitOptions::default()).file;
    let back = ModelFile::from_bytes(&file.to_bytes().unwrap(), "m").unwrap();
    assert_eq!((&back.config, &back.trained, &back.statistics), (&file.config, &file.trained, &file.statistics));
    assert_eq!((back.scales, back.scores.clone(), &back.pictures), (file.scales, file.scores.clone(), &file.pictures));
    let refuses = |change: &dyn Fn(&mut ModelFile), want: &str| {
        let mut other = file.clone();
        change(&mut other);
        let error = ModelFile::from_bytes(&other.to_bytes().unwrap(), "m").and_then(|f| EfficientAd::new(f, "m", None));
        let said = error.map(|_| ()).unwrap_err().to_string();
        assert!(said.contains(want), "\"{want}\" is not in: {said}");
    };
    refuses(&|f| f.validation = 3, "of its 3 pictures 3 were kept");
    refuses(&|f| f.scores.clear(), "0 scores for 1 pictures");
    refuses(&|f| f.statistics.mean.truncate(3), "statistics of 3 outputs");
    refuses(&|f| f.config.image_size = 255, "must be at least 256");
    refuses(&|f| f.config.narrow = 8, "statistics of 24 outputs, its teacher has 48");
    refuses(&|f| drop(f.trained.remove("ae.enconv1.bias")), "ae.enconv1.bias [2] is missing");
    refuses(&|f| f.config.size = Size::Medium, "its teacher is pdn_s, but its choices are not");
    refuses(&|f| f.backbone.sha256 = "00".into(), "its teacher is not the one it names");
}

#[test]
fn copies_are_left_out_and_what_is_kept_counts_as_seen() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = b.path("data");
    fs::create_dir(&data).unwrap();
    for n in 0..12 {
        part(n, 256, 256).save(data.join(format!("{n:02}.png"))).unwrap();
    }
    fs::copy(data.join("03.png"), data.join("99.png")).unwrap();
    let teacher = opened(&teacher_file(&b));
    let config = Config { seed: 4, ..Config::new(Size::Small, NARROW, Preset::Nelson) };
    let options = FitOptions { limit_rule: LimitRule::Second, ..FitOptions::default() };
    let fitted = untrained(&data, &teacher, &config, &options);
    let Known::Fitted { on, left_out, held_out } = fitted.known() else { panic!("nothing is known") };
    assert_eq!((on.len(), fitted.file.validation, held_out.len()), (12, 2, 0));
    assert_eq!((left_out[0].picture.name.as_str(), &left_out[0].why), ("99.png", &Why::SameAs("03.png".into())));
    let scores: Vec<f64> = fitted.training().iter().map(|t| t.score).collect();
    assert_eq!(fitted.limit(), scores.iter().copied().reduce(f64::min), "the second of two");
    let kept: Vec<&str> = fitted.training().iter().map(|t| t.name).collect();
    assert!(kept.is_sorted() && !on[..10].iter().any(|s| kept.contains(&s.name.as_str())), "{kept:?}");
}

/// LOCO's layout: what validates is the set's own, and all of the training split is trained on; other methods leave it out.
#[test]
fn a_validation_split_of_the_sets_own() {
    let b = Bench::new();
    let data = b.path("data");
    data_set(&data, 4, 256, 256);
    fs::create_dir_all(data.join("validation/good")).unwrap();
    for n in 0..3 {
        part(300 + n, 256, 256).save(data.join(format!("validation/good/{n}.png"))).unwrap();
    }
    fs::copy(data.join("train/good/002.png"), data.join("validation/good/9.png")).unwrap();
    let left = |set: &Dataset| set.census.left_out().get("validation split").copied();
    let [usual, set] = [Dataset::open(&data).unwrap(), Dataset::open_validated(&data).unwrap()];
    assert_eq!((usual.validation.len(), left(&usual), usual.notes.len()), (0, Some(4), 0));
    assert_eq!((set.train.len(), set.validation.len(), left(&set)), (4, 4, None));
    assert!(set.notes[0].contains("4 good pictures of the set's own validation split are kept"), "{:?}", set.notes);
    let left_out: usize = set.census.left_out().values().sum();
    assert_eq!(set.census.found, set.train.len() + set.test.len() + set.validation.len() + left_out);
    let split = Split::of([&set.train, &set.validation], 5, "data").unwrap();
    let names =
        |kept: &[lupe::methods::efficientad::Kept]| kept.iter().map(|k| k.seen.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&split.train), ["000", "001", "002", "003"].map(|n| format!("train/good/{n}.png")));
    assert_eq!(names(&split.validation), ["0", "1", "2"].map(|n| format!("validation/good/{n}.png")));
    assert_eq!(split.left_out[0].picture.name, "validation/good/9.png", "a copy validates nothing");
    for n in 0..3 {
        fs::remove_file(data.join(format!("validation/good/{n}.png"))).unwrap();
    }
    let set = Dataset::open_validated(&data).unwrap();
    let said = Split::of([&set.train, &set.validation], 5, "data").map(|_| ()).unwrap_err().to_string();
    assert!(
        said.contains("every picture of its validation split is the same file as one of its training split"),
        "{said}"
    );
    if no_gpu() {
        return;
    }
    fs::rename(data.join("validation/good/9.png"), b.path("copy.png")).unwrap();
    for n in 0..3 {
        part(300 + n, 256, 256).save(data.join(format!("validation/good/{n}.png"))).unwrap();
    }
    let config = Config::new(Size::Small, NARROW, Preset::Nelson);
    let fitted = untrained(&data, &opened(&teacher_file(&b)), &config, &FitOptions::default());
    assert_eq!((fitted.file.pictures.len(), fitted.file.validation, fitted.training().len()), (7, 3, 3));
}

fn examples(b: &Bench, preset: Preset, penalty: usize) -> Examples {
    let (data, others) = (b.path("data"), b.path("others"));
    if !data.exists() {
        fs::create_dir_all(&others).unwrap();
        fs::create_dir(&data).unwrap();
        for n in 0..5 {
            part(n, 280, 300).save(data.join(format!("{n}.png"))).unwrap();
            part(50 + n, 400, 90).save(others.join(format!("{n}.png"))).unwrap();
        }
    }
    let config = Config { seed: 11, ..Config::new(Size::Small, 1, preset) };
    let train = pictures(&[data], true).unwrap().samples;
    let mut others = pictures(&[others], true).unwrap().samples;
    others.truncate(penalty);
    Examples::new(&config, train, others, Limits::default())
}

fn numbers(prepared: &Prepared) -> Vec<f32> {
    match prepared {
        Prepared::Bytes { rgb, .. } => rgb.iter().map(|v| f32::from(*v)).collect(),
        Prepared::Numbers(t) => t.data.clone(),
    }
}

#[test]
fn what_is_drawn_follows_from_seed_and_number() {
    let b = Bench::new();
    for preset in [Preset::Nelson, Preset::Anomalib] {
        let all = examples(&b, preset, 5);
        let seen: Vec<Example> = (0..15).map(|k| all.at(k).unwrap()).collect();
        let later = examples(&b, preset, 5).at(13).unwrap();
        assert_eq!((later.number, &later.plain, &later.changed), (seen[13].number, &seen[13].plain, &seen[13].changed));
        assert_eq!(later.penalty, seen[13].penalty);
        for epoch in seen.chunks(5) {
            let mut numbers: Vec<usize> = epoch.iter().map(|e| e.number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, [0, 1, 2, 3, 4], "each once before any twice");
        }
        for example in &seen {
            assert!(example.plain != example.changed && example.plain.size() == [256; 2]);
            let bytes = matches!(example.plain, Prepared::Bytes { .. });
            assert_eq!(bytes, preset == Preset::Nelson);
            assert!(matches!(example.penalty, Some(Prepared::Bytes { size: [256, 256], .. })), "8 bits, the centre");
        }
        let gray = |p: &Prepared| numbers(p).chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]);
        let without = (0..60).filter(|k| gray(all.at(*k).unwrap().penalty.as_ref().unwrap())).count();
        assert!((8..30).contains(&without), "{without} of 60 without colours, expected 18");
        assert!(examples(&b, preset, 0).at(0).unwrap().penalty.is_none());
    }
}

/// The centre of the picture at twice the size, by Pillow's arithmetic.
#[test]
fn pictures_of_anything_else_are_cut_from_their_middle() {
    let b = Bench::new();
    let all = examples(&b, Preset::Nelson, 1);
    let colour = (0..20).map(|k| all.at(k).unwrap().penalty.unwrap()).find(|p| {
        let v = numbers(p);
        v.chunks(3).any(|p| p[0] != p[1])
    });
    let picture = lupe::data::Picture::open(&b.path("others/0.png"), Limits::default()).unwrap();
    let large = lupe::data::resize(&picture, 512, 512, lupe::data::Filter::Bilinear);
    let rgb = large.rgb8();
    let row = |y: usize| rgb[(y * 512 + 128) * 3..(y * 512 + 384) * 3].iter().map(|v| f32::from(*v));
    let want: Vec<f32> = (128..384).flat_map(row).collect();
    assert_eq!(numbers(&colour.unwrap()), want);
}

#[test]
fn a_split_needs_two_different_pictures() {
    let b = Bench::new();
    let data = b.path("data");
    fs::create_dir(&data).unwrap();
    part(0, 256, 256).save(data.join("a.png")).unwrap();
    let file = teacher_file(&b);
    let none = ["--penalty", "none"];
    let one = "has one good picture, but at least 2 are needed";
    refused(&mut fit(&data, &file, &none), if std::env::var_os("LUPE_NO_GPU").is_some() { 5 } else { 3 }, &[one]);
    fs::copy(data.join("a.png"), data.join("b.png")).unwrap();
    let samples = pictures(std::slice::from_ref(&data), true).unwrap().samples;
    let said = Split::of([&samples, &[]], 0, "data").map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("has one good picture, 2 times"), "{said}");
}

#[test]
fn what_a_fit_refuses() {
    let b = Bench::new();
    let (data, file) = (b.path("data"), teacher_file(&b));
    data_set(&data, 3, 256, 256);
    let none = ["--penalty", "none"];
    let with = |more: &[&str]| fit(&data, &file, &[&none, more].concat());
    refused(&mut fit(&data, &file, &[]), 2, &["--penalty is required: a folder of pictures", "or none"]);
    refused(&mut with(&["--image-size", "255"]), 2, &["--image-size 255: must be at least 256"]);
    refused(&mut with(&["--image-size", "5000"]), 2, &["must be at most 2048"]);
    refused(&mut with(&["--preset", "paper", "--border", "zero"]), 2, &["no border to fill"]);
    refused(&mut with(&["--size", "m"]), 2, &["--size m: the teacher in", "give --size s"]);
    refused(&mut with(&["--quick", "--steps", "5"]), 2, &["cannot be used with"]);
    refused(&mut with(&["--steps", "0"]), 2, &["0 is not in 1..=100000000"]);
    refused(&mut with(&["--batch", "65"]), 2, &["65 is not in 1..=64"]);
    let empty = b.path("empty");
    fs::create_dir(&empty).unwrap();
    refused(&mut fit(&data, &file, &["--penalty", empty.to_str().unwrap()]), 3, &["empty: has no pictures"]);
    refused(&mut fit(&empty, &file, &none), 3, &["empty"]);
    let other = b.write("other.safetensors", lupe::weights::EMBEDDED);
    refused(&mut fit(&data, &other, &none), 4, &["holds no teacher of EfficientAD"]);
    let missing = "get it with `lupe weights pull pdn_s.nelson`";
    let mut pull = fit(&data, Path::new("pdn_s.nelson"), &none);
    refused(pull.env("XDG_CACHE_HOME", b.path("cache")), 4, &[missing]);
    if no_gpu() {
        return;
    }
    refused(&mut with(&["--limit", "second"]), 2, &["rule second: there are 1 training scores"]);
    assert!(!b.path("m.lupe").exists());
}

#[test]
fn a_penalty_that_was_named_is_remembered() {
    let config = Config {
        penalty: Some(Penalty { folder: "imagenette2".into(), pictures: 13394 }),
        ..Config::new(Size::Medium, 1, Preset::Paper)
    };
    let text = serde_json::to_string(&config).unwrap();
    assert!(text.contains(r#""size":"m","narrow":1,"preset":"paper","border":"none""#), "{text}");
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    let without = serde_json::to_string(&Config { penalty: None, ..config }).unwrap();
    assert!(without.contains(r#""penalty":null"#), "{without}");
}
