//! A checkpoint as large as a wide ResNet-50-2 in half precision, 138 MB, as an archive and as an old stream: conversion within a
//! bound of memory, and the same features from the checkpoint and from what it was converted to.

use crate::common::hash;
use crate::common::program::{Bench, done, lupe, no_gpu, text};
use crate::common::skip::{UNTOLD, skip, this_test};
use crate::common::torch::{Entry, record, state_dict, stream, zip};
use half::f16;
use lupe::models;
use lupe::weights::raw::{ReadOptions, read};
use std::fs;
use std::path::{Path, PathBuf};

/// Values of torchvision's file: 68,883,240 parameters, mean and variance of 34,112 channels, 53 counters.
const VALUES: u64 = 68_951_517;

/// Most bytes that a conversion may hold: the pages of the mapped file, and next to nothing beside them.
const BOUND: f64 = 250e6;

/// Every tensor of the file: its entry, and its bytes.
fn tensors() -> Vec<(Entry, Vec<u8>)> {
    let mut all = vec![];
    for (name, t) in hash::full(models::find("wide_resnet50_2").unwrap()) {
        let bytes = t.data.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let key = all.len().to_string();
        if let Some(norm) = name.strip_suffix("running_var") {
            let counter = Entry::new(&format!("{norm}num_batches_tracked"), &[], "LongStorage", &format!("c{key}"));
            all.push((counter, 40_000i64.to_le_bytes().to_vec()));
        }
        all.push((Entry::new(&name, t.shape.dims(), "HalfStorage", &key), bytes));
    }
    all
}

/// The checkpoint as an archive and as a stream.
fn checkpoints(b: &Bench) -> [PathBuf; 2] {
    let (entries, bytes): (Vec<Entry>, Vec<Vec<u8>>) = tensors().into_iter().unzip();
    assert_eq!(entries.iter().map(|e| e.numel).sum::<u64>(), VALUES);
    let object = state_dict(&entries);
    let storages = entries.iter().zip(&bytes).map(|(e, bytes)| (e.key.as_str(), e.numel, &bytes[..]));
    let old = b.write("stream.pth", &stream(&object, &storages.collect::<Vec<_>>()));
    let mut records = vec![record("wide/data.pkl", &object), record("wide/byteorder", b"little")];
    for (e, bytes) in entries.iter().zip(bytes) {
        records.push(record(&format!("wide/data/{}", e.key), &bytes));
    }
    [b.write("archive.pth", &zip(&records)), old]
}

/// Converts, and holds the peak memory that the command tells to the bound.
fn convert(from: &Path, to: &Path, dtype: &str) {
    let mut command = lupe();
    command.args(["weights", "convert", "-v", "--dtype", dtype]).arg(from).arg(to);
    let run = command.output().unwrap();
    let said = text(&run.stderr);
    assert!(run.status.success(), "{said}");
    let peak = said.split("peak memory ").nth(1).and_then(|p| p.split(' ').next()?.parse::<f64>().ok());
    let Some(peak) = peak else { return skip(&this_test(), UNTOLD) };
    println!("{} as {dtype}: peak memory {peak} MB", from.file_name().unwrap().display());
    assert!(peak > 10.0 && peak * 1e6 < BOUND, "{peak} MB");
}

fn same_tensors(a: &Path, b: &Path) {
    let [a, b] = [a, b].map(|path| fs::read(path).unwrap());
    let [a, b] = [&a, &b].map(|bytes| read(bytes, "file", &ReadOptions::default()).unwrap());
    assert!(a.len() == 6 * 53 + 2 && a == b, "{} tensors, not the same", a.len());
}

/// Features of a picture, bit for bit.
fn features(b: &Bench, picture: &Path, weights: &Path) -> Vec<u8> {
    let out = b.path("features.npy");
    let mut command = lupe();
    command.arg("embed").arg(picture).args(["--model", "wide_resnet50_2", "--weights"]).arg(weights);
    done(command.arg("-o").arg(&out));
    fs::read(out).unwrap()
}

#[test]
fn converted_within_a_bound_to_the_same_features() {
    let b = Bench::new();
    let [archive, old] = checkpoints(&b);
    let [from_archive, from_old, single] = ["a", "o", "f32"].map(|n| b.path(&format!("{n}.safetensors")));
    convert(&archive, &from_archive, "keep");
    convert(&old, &from_old, "keep");
    same_tensors(&archive, &from_archive);
    assert!(fs::read(&from_archive).unwrap() == fs::read(&from_old).unwrap(), "both forms hold the same tensors");
    convert(&archive, &single, "f32");
    assert!((275_800_000..276_000_000).contains(&fs::metadata(&single).unwrap().len()));
    fs::remove_file(&from_old).unwrap();
    if no_gpu() {
        return;
    }
    let picture = b.picture("a.png");
    let want = features(&b, &picture, &from_archive);
    assert!(want.len() > 4 * 2048 && features(&b, &picture, &archive) == want, "other bits from the checkpoint itself");
    if std::env::var_os("LUPE_FULL").is_some() {
        assert!(features(&b, &picture, &old) == want, "other bits from the stream");
        assert!(features(&b, &picture, &single) == want, "other bits from single precision");
    }
}
