//! Names, shapes and containers as publishers have them, for every network: none of their files can be had where this is tested.

use crate::common::program::{Bench, done, lupe};
use crate::common::torch::{Entry, record, state_dict, stream, zip};
use crate::common::vectors::zeros;
use lupe::files::sha256;
use lupe::models::{self, Network, Outline, nearest};
use std::collections::BTreeMap;

/// Names and shapes as torchvision and timm have them; nobody publishes `resnet50_thin` so.
fn published(model: &Network, counters: bool, classes: Option<usize>) -> BTreeMap<String, Vec<usize>> {
    let mut named = BTreeMap::new();
    for (key, t) in zeros(model) {
        let shape = t.shape.dims().to_vec();
        match (key.strip_suffix(".weight"), key.strip_prefix("fc.")) {
            (_, Some(_)) => drop(classes.map(|n| named.insert(key, [&[n], &shape[1..]].concat()))),
            (Some(conv), _) => {
                let norm = conv.replace("conv", "bn").replace("downsample.0", "downsample.1");
                for part in ["weight", "bias", "running_mean", "running_var"] {
                    named.insert(format!("{norm}.{part}"), vec![shape[0]]);
                }
                if counters {
                    named.insert(format!("{norm}.num_batches_tracked"), vec![]);
                }
                named.insert(key, shape);
            }
            _ => {} // a folded bias
        }
    }
    named
}

/// Entries of a checkpoint with these names. Three tensors each lie on one storage: a file may become four times as large, no more.
fn entries(named: &BTreeMap<String, Vec<usize>>, class: &'static str) -> Vec<Entry> {
    let (counters, mut rest): (Vec<_>, Vec<_>) = named.iter().partition(|(_, shape)| shape.is_empty());
    let counters = counters.into_iter().map(|(name, shape)| Entry::new(name, shape, "LongStorage", "steps"));
    rest.sort_by_key(|(_, shape)| std::cmp::Reverse(shape.iter().product::<usize>()));
    let mut all: Vec<Entry> = counters.collect();
    for (n, three) in rest.chunks(3).enumerate() {
        let mut three: Vec<Entry> = three.iter().map(|(k, s)| Entry::new(k, s, class, &n.to_string())).collect();
        let numel = three[0].numel;
        three.iter_mut().for_each(|e| e.numel = numel);
        all.extend(three);
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Bytes of each storage.
fn storages(entries: &[Entry]) -> BTreeMap<&str, (u64, Vec<u8>)> {
    let width = |e: &Entry| match e.class {
        "HalfStorage" => 2,
        "LongStorage" => 8,
        _ => 4,
    };
    entries.iter().map(|e| (e.key.as_str(), (e.numel, vec![0; e.numel as usize * width(e)]))).collect()
}

fn archive(named: &BTreeMap<String, Vec<usize>>, class: &'static str) -> Vec<u8> {
    let entries = entries(named, class);
    let mut records = vec![record("archive/data.pkl", &state_dict(&entries)), record("archive/version", b"3\n")];
    records.extend(storages(&entries).iter().map(|(key, (_, data))| record(&format!("archive/data/{key}"), data)));
    zip(&records)
}

fn old_stream(named: &BTreeMap<String, Vec<usize>>, class: &'static str) -> Vec<u8> {
    let entries = entries(named, class);
    let storages = storages(&entries);
    let storages: Vec<(&str, u64, &[u8])> = storages.iter().map(|(key, (n, data))| (*key, *n, &data[..])).collect();
    stream(&state_dict(&entries), &storages)
}

/// Whether a file has all names and shapes of the network, and none but those.
#[track_caller]
fn is(model: &Network, bytes: &[u8], what: &str) {
    let near = nearest(&Outline::of(bytes, what).unwrap()).unwrap_or_else(|| panic!("{what}: like nothing"));
    assert!(near.network.name == model.name && near.problems.is_empty(), "{what}: {near:?}");
    assert!(near.prefix.is_empty() && near.strangers.is_empty(), "{what}: {near:?}");
}

/// SHA-256 of the lines `NAME [SIZES]` of what torchvision 0.29.2 makes of each network, without a look at this program; timm 1.0.31
/// gives the same for all but the last, which it was not asked for.
const NAMES_AND_SHAPES: [(&str, &str); 5] = [
    ("resnet18", "6cb439dd8789c9fec30db85cd20f9566cb04693ea278e4348cdd110fa0388db6"),
    ("resnet34", "306c4e9d557830ce13b79a2bd03e436c69d7fb702e8e488289a1ffeeae3bda3f"),
    ("resnet50", "98fcefba1b06f509a0fbf50757db13659d4fb3dc3b1f43aef4ed2da77b133fbe"),
    ("wide_resnet50_2", "1f3be5b53e4620957bd8120f8c057da75ab27e3ea6b1d61c79b151e6771d601d"),
    ("wide_resnet101_2", "688089947e3db4cc8c09a2b37043e6746c8c2c7607120474e4be30769f30c18e"),
];

#[test]
fn torchvisions_networks() {
    for (name, digest) in NAMES_AND_SHAPES {
        let model = models::find(name).unwrap();
        let named = published(model, true, Some(1000));
        let lines: String = named.iter().map(|(k, shape)| format!("{k} {shape:?}\n")).collect();
        assert_eq!(sha256(lines.as_bytes()), digest, "{name}: other names or shapes than torchvision's");
        is(model, &archive(&named, "FloatStorage"), name);
        // As before version 0.4.1 of PyTorch, whose batch norms did not count: the older files of the same networks.
        is(model, &old_stream(&published(model, false, Some(1000)), "HalfStorage"), name);
    }
}

#[test]
fn without_a_last_layer_and_with_another() {
    let dino = models::find("resnet50").unwrap();
    is(dino, &archive(&published(dino, true, None), "FloatStorage"), "as DINO's backbone");
    let own = models::find("resnet34").unwrap();
    is(own, &archive(&published(own, true, Some(5)), "FloatStorage"), "trained on five classes");
}

#[test]
fn timms_file_of_safetensors() {
    let b = Bench::new();
    let named = published(models::find("resnet18").unwrap(), true, Some(1000));
    let zeros: Vec<u8> = vec![0; 4 * 512 * 512 * 9];
    let views = named.iter().map(|(name, shape)| {
        let dtype = if shape.is_empty() { safetensors::Dtype::I64 } else { safetensors::Dtype::F32 };
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name, safetensors::tensor::TensorView::new(dtype, shape.clone(), &zeros[..bytes]).unwrap())
    });
    let meta = [("format".to_string(), "pt".to_string())].into();
    let path = b.write("model.safetensors", &safetensors::serialize(views, Some(meta)).unwrap());
    let seen = done(lupe().args(["weights", "inspect"]).arg(&path));
    for want in ["122 tensors", "fits resnet18", "fc, 1000 classes", "20, folded into the convolutions when"] {
        assert!(seen.contains(want), "{want}: {seen}");
    }
}
