//! `lupe fit prototype`: from a few pictures of each class to a file, more pictures added to it, and everything that is refused.

use crate::common::parts::{classes as folder, verb};
use crate::common::program::{Bench, done, no_gpu, refused};
use crate::common::sweep::gpu;
use crate::common::vectors::close;
use lupe::data::dataset::Classes;
use lupe::data::load::Loading;
use lupe::methods::RunOptions;
use lupe::methods::embed::Embedder;
use lupe::methods::prototype::{ModelFile, Prototype};
use lupe::methods::vector::{Source, Vectors, preprocess};
use lupe::methods::{Fitted, Why};
use lupe::models::{EMBEDDED, open};
use lupe::tensor::Tensor;
use lupe::watch::Unwatched;
use std::fs;
use std::path::Path;
use std::process::Command;

/// `lupe fit prototype` of a small input.
fn fit(data: &Path, model: &Path, more: &[&str]) -> Command {
    let mut command = verb(&["fit", "prototype"]);
    command.arg(data).arg("-o").arg(model).args(["--size", "64"]).args(more);
    command
}

fn file(model: &Path) -> ModelFile {
    ModelFile::from_bytes(&fs::read(model).unwrap(), "m").unwrap()
}

/// Vectors of a folder's pictures in its order, from a place.
fn vectors(data: &Path, place: &str) -> Vec<Vec<f32>> {
    let (network, weights) = open(EMBEDDED.name, None).unwrap();
    let source = Source { network, weights: &weights, place, preprocess: preprocess(network, 64, false) };
    let mut found = vec![];
    let mut planned = pollster::block_on(Vectors::new(gpu(), source, &RunOptions::default())).unwrap();
    let samples = Classes::open(data, false).unwrap().samples;
    let mut take = |_, vector| {
        found.push(vector);
        Ok(())
    };
    pollster::block_on(planned.each(&samples, &Loading::default(), &Unwatched, &mut take)).unwrap();
    found
}

#[test]
fn a_few_pictures_become_the_means_of_their_vectors() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = folder(b.path("data"), &[("good", 3), ("red", 2), ("spot", 1)]);
    let said = done(&mut fit(&data, &b.path("m.lupe"), &[]));
    assert!(said.contains("classes   good 3, red 2, spot 1") && said.contains("distance  squared, scale 1"), "{said}");
    let (file, found) = (file(&b.path("m.lupe")), vectors(&data, "pool"));
    assert_eq!(
        file.pictures.iter().map(|s| s.name.as_str()).collect::<Vec<_>>()[2..4],
        ["good/402.png", "red/300.png"]
    );
    let mut rows = found.iter();
    for (name, sums) in &file.classes {
        let own: Vec<&Vec<f32>> = rows.by_ref().take(sums.count).collect();
        let mean: Vec<f64> =
            (0..file.dim).map(|i| own.iter().map(|v| f64::from(v[i])).sum::<f64>() / own.len() as f64).collect();
        assert_eq!(sums.mean(), mean, "{name}");
        let around = |v: &&Vec<f32>| v.iter().zip(&mean).map(|(v, m)| (f64::from(*v) - m).powi(2)).sum::<f64>();
        let scatter: f64 = own.iter().map(around).sum();
        assert!((sums.scatter() - scatter).abs() <= 1e-9 * sums.squares, "{name}: {} for {scatter}", sums.scatter());
    }
    // The same bytes again, whatever the batch; another place is another file.
    for more in [&["--batch", "1"][..], &["--batch", "3", "--place", "pool"]] {
        done(&mut fit(&data, &b.path("again.lupe"), more));
        assert!(fs::read(b.path("again.lupe")).unwrap() == fs::read(b.path("m.lupe")).unwrap(), "{more:?}");
    }
}

/// A map's vector is its mean over all places, as the features of `lupe embed` have them.
#[test]
fn every_place_has_a_vector() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = folder(b.path("data"), &[("good", 1), ("spot", 1)]);
    let (network, weights) = open(EMBEDDED.name, None).unwrap();
    let places = network.places(&weights);
    let options = RunOptions::default();
    let planned = Embedder::new(gpu(), (network, &weights), &places, [64; 2], &options);
    let mut embedder = pollster::block_on(planned).unwrap();
    let samples = Classes::open(&data, false).unwrap().samples;
    let prepared: Vec<_> = samples
        .iter()
        .map(|s| lupe::data::Picture::open(&s.path, lupe::data::Limits::default()).unwrap())
        .map(|p| preprocess(network, 64, false).prepare(&p).unwrap())
        .collect();
    let all = pollster::block_on(embedder.run(&prepared)).unwrap();
    for (i, place) in places.iter().enumerate().filter(|(i, _)| i % 6 == 0 || *i > 15) {
        for (vector, maps) in vectors(&data, place).iter().zip(&all) {
            let (map, c): (&Tensor, usize) = (&maps[i], vector.len());
            let n = map.data.len() / c;
            let mean = |k: usize| map.data.iter().skip(k).step_by(c).map(|v| f64::from(*v)).sum::<f64>() / n as f64;
            close(place, vector, &(0..c).map(|k| mean(k) as f32).collect::<Vec<_>>(), 1e-5);
        }
    }
}

fn logits(model: &Path, queries: &[Vec<f32>]) -> Vec<f64> {
    let prototypes = file(model).prototypes().unwrap();
    queries.iter().flat_map(|q| prototypes.logits(q)).collect()
}

/// Added later is as if given at once: more pictures of a class, a class that is new, and a copy, which does not count.
#[test]
fn pictures_that_are_added_count_as_if_they_had_been_given_at_once() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let all = folder(b.path("all"), &[("good", 4), ("red", 3), ("spot", 2)]);
    let (first, second) = (folder(b.path("first"), &[("good", 4), ("red", 1)]), b.path("second"));
    for name in ["red/301.png", "red/302.png", "spot/400.png", "spot/401.png"] {
        fs::create_dir_all(second.join(name).parent().unwrap()).unwrap();
        fs::copy(all.join(name), second.join(name)).unwrap();
    }
    fs::copy(all.join("red/300.png"), second.join("red/copy.png")).unwrap();
    let queries = vectors(&folder(b.path("queries"), &[("good", 6), ("spot", 5)]), "pool");
    for more in [
        &["--shot-correction"][..],
        &["--distance", "cosine", "--scale", "7"],
        &["--center"],
        &["--distance", "euclidean"],
    ] {
        let [one, whole, two] = ["one.lupe", "whole.lupe", "two.lupe"].map(|name| b.path(name));
        done(&mut fit(&all, &whole, more));
        done(&mut fit(&first, &one, more));
        let before = fs::read(&one).unwrap();
        done(&mut fit(&second, &two, &[more, &["--add", one.to_str().unwrap()]].concat()));
        assert!(fs::read(&one).unwrap() == before, "the earlier file stays");
        let (got, want) = (file(&two), file(&whole));
        assert_eq!(got.left_out[0].why, Why::SameAs("red/300.png".into()));
        assert_eq!((got.left_out.len(), got.pictures.len(), &got.pictures), (1, 9, &want.pictures));
        let (got, want) = (logits(&two, &queries), logits(&whole, &queries));
        for (g, w) in got.iter().zip(&want) {
            assert!((g - w).abs() <= 1e-6 * w.abs().max(1.0), "{more:?}: {g} for {w}");
        }
        // In place, without -o.
        let (mut command, add) = (verb(&["fit", "prototype"]), one.to_str().unwrap());
        done(command.arg(&second).args(["--add", add]));
        assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "in place");
    }
}

#[test]
fn other_choices_than_those_of_the_file_are_refused() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = folder(b.path("data"), &[("good", 1), ("red", 1)]);
    let (model, out, new) = (b.path("m.lupe"), b.path("out.lupe"), folder(b.path("new"), &[("spot", 1)]));
    done(&mut fit(&data, &model, &["--no-embed-backbone"]));
    let add = |more: &[&str], code: i32, want: &[&str]| {
        let mut command = verb(&["fit", "prototype"]);
        command.arg(&new).args(["--add", model.to_str().unwrap(), "-o", out.to_str().unwrap()]).args(more);
        refused(&mut command, code, want);
        assert!(!out.exists());
    };
    for (more, want) in [
        (&["--distance", "cosine"][..], "--distance cosine: "),
        (&["--place", "head"], "--place head: "),
        (&["--size", "96"], "--size 96: "),
        (&["--scale", "2"], "--scale 2: "),
        (&["--backbone", "resnet18"], "--backbone resnet18: "),
        (&["--center"], "--center: "),
        (&["--crop"], "--crop: "),
        (&["--shot-correction"], "--shot-correction: "),
    ] {
        add(more, 2, &[want, "was fitted with", "leave the flag out, or fit anew"]);
    }
    // Other weights of the same network.
    let (_, weights) = open(EMBEDDED.name, None).unwrap();
    let tensors: Vec<(String, Tensor)> = weights
        .tensors()
        .iter()
        .map(|(name, t)| (name.clone(), Tensor { shape: t.shape, data: t.data.iter().map(|v| v * 1.01).collect() }))
        .collect();
    let named: Vec<(String, &Tensor)> = tensors.iter().map(|(name, t)| (name.clone(), t)).collect();
    let other = b.write("other.safetensors", &lupe::weights::safetensors::write(&named).unwrap());
    add(&["--weights", other.to_str().unwrap()], 4, &["was fitted with other weights of efficientnet_lite0"]);
    let mut pmf = verb(&["fit", "pmf"]);
    pmf.arg(&new).args(["--add", model.to_str().unwrap()]);
    refused(&mut pmf, 2, &["lupe fit pmf: ", "was fitted with lupe fit prototype"]);
    // The file itself, named twice, and a file of another kind.
    let mut same = verb(&["fit", "prototype"]);
    same.arg(&new).args(["--add", model.to_str().unwrap(), "-o", model.to_str().unwrap()]);
    refused(&mut same, 2, &["is an input of this command"]);
    let mut none = verb(&["fit", "prototype"]);
    none.arg(&new).args(["--add", data.join("good/400.png").to_str().unwrap(), "-o", out.to_str().unwrap()]);
    refused(&mut none, 4, &["not a fitted model but a picture"]);
}

/// The choices and the prototypes are all that a file holds without the backbone.
#[test]
fn without_the_backbone_a_file_is_small() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = folder(b.path("data"), &[("good", 5), ("spot", 5)]);
    let [with, without] = ["with.lupe", "without.lupe"].map(|name| b.path(name));
    done(&mut fit(&data, &with, &["--center"]));
    done(&mut fit(&data, &without, &["--center", "--no-embed-backbone"]));
    let [large, small] = [&with, &without].map(|path| fs::metadata(path).unwrap().len());
    println!("{large} bytes with the backbone, {small} without");
    assert!(small < 1_000_000 && small < large / 4, "{small} of {large} bytes");
    let results = |model: &Path| {
        let out = b.path("results");
        done(verb(&["predict"]).arg(model).arg(&data).arg("-o").arg(&out));
        fs::read(out.join("results.ndjson")).unwrap()
    };
    assert!(results(&with) == results(&without));
    let inspected = done(verb(&["weights", "inspect"]).arg(&without));
    assert!(inspected.contains("good 5, spot 5") && inspected.contains("are not in the file"), "{inspected}");
}

#[test]
fn what_cannot_be_fitted_is_told() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let model = b.path("m.lupe");
    let told = |data: &Path, more: &[&str], code: i32, want: &[&str]| {
        refused(&mut fit(data, &model, more), code, want);
        assert_eq!(model.exists(), code == 9, "{want:?}");
    };
    let one = folder(b.path("one"), &[("good", 2)]);
    told(&one, &[], 3, &["has one class, good; expected two or more"]);
    fs::create_dir(one.join("spot")).unwrap();
    told(&one, &[], 3, &["one/spot: is a class without pictures"]);
    let single = folder(b.path("single"), &[("good", 1), ("spot", 1)]);
    told(&single, &["--shot-correction"], 2, &["--shot-correction: the spread within classes cannot be estimated"]);
    told(&single, &["--shot-correction", "--distance", "cosine"], 2, &["with --distance cosine leave"]);
    told(&single, &["--scale", "0"], 2, &["scale 0: must be a number above 0"]);
    let mut tiny = verb(&["fit", "prototype", "--size", "16"]);
    refused(tiny.arg(&single).arg("-o").arg(&model), 2, &["size 16: must be between 32 and 4096"]);
    told(&single, &["--place", "layer9"], 2, &["unknown place `layer9`; available: block0, "]);
    told(&single, &["--backbone", "resnet18"], 2, &["resnet18 has no built-in weights"]);
    let twice = folder(b.path("twice"), &[("good", 2), ("spot", 1)]);
    fs::copy(twice.join("good/400.png"), twice.join("spot/other.png")).unwrap();
    told(&twice, &[], 3, &["spot/other.png and good/400.png are the same file, one in the class spot and one in good"]);
    let broken = folder(b.path("broken"), &[("good", 2), ("spot", 1), ("red", 1)]);
    fs::write(broken.join("good/broken.png"), "no picture").unwrap();
    told(&broken, &[], 3, &["broken.png"]);
    told(&broken, &["--keep-going"], 9, &["1 of 5 pictures could not be read", "1 unreadable"]);
    assert_eq!(file(&model).pictures.len(), 4);
    fs::remove_file(&model).unwrap();
    fs::write(broken.join("red/300.png"), "no picture").unwrap();
    told(&broken, &["--keep-going"], 3, &["no picture of the class red can be read:", "300.png"]);
}

/// A vector that is no number is an error, never a prototype.
#[test]
fn a_vector_that_is_not_finite_is_refused() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = folder(b.path("data"), &[("good", 1), ("spot", 1)]);
    let (_, weights) = open(EMBEDDED.name, None).unwrap();
    let large = |name: &String, t: &Tensor| {
        let data = t.data.iter().map(|v| if name == "_fc.weight" { v.abs() * 3e38 } else { *v }).collect();
        Tensor { shape: t.shape, data }
    };
    let tensors: Vec<_> = weights.tensors().iter().map(|(name, t)| (name.clone(), large(name, t))).collect();
    let named: Vec<(String, &Tensor)> = tensors.iter().map(|(name, t)| (name.clone(), t)).collect();
    let file = b.write("large.safetensors", &lupe::weights::safetensors::write(&named).unwrap());
    let more = ["--weights", file.to_str().unwrap(), "--place", "logits"];
    let want = ["good/400.png: its vector, from logits, contains a number that is not finite"];
    refused(&mut fit(&data, &b.path("m.lupe"), &more), 7, &want);
    assert!(!b.path("m.lupe").exists());
}

/// Any changed byte is found or changes nothing.
#[test]
fn a_damaged_file_is_refused() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = folder(b.path("data"), &[("good", 1), ("spot", 1)]);
    let model = b.path("m.lupe");
    done(&mut fit(&data, &model, &["--no-embed-backbone", "--center"]));
    let bytes = fs::read(&model).unwrap();
    let whole = file(&model).to_bytes().unwrap();
    assert!(whole == bytes, "read and written again");
    for at in (0..bytes.len()).step_by(41) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        let read = ModelFile::from_bytes(&damaged, "m");
        assert!(read.is_err() || read.is_ok_and(|m| m.to_bytes().unwrap() == whole), "byte {at}");
    }
    let opened = Prototype::new(file(&model), "m", None).unwrap();
    assert_eq!((opened.classes(), opened.limit()), (&["good".to_string(), "spot".into()][..], None));
    for command in [&["verify"][..], &["plan"], &["profile", "--repeats", "2"]] {
        done(verb(command).arg(&model));
    }
}
