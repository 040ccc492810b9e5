//! `lupe weights inspect`: which network a file is, how far it is from one, what keeps it from being used, and what it can be used for.

use crate::common::hash;
use crate::common::program::{Bench, done, lupe, refused};
use crate::common::thin;
use crate::common::torch::{Entry, Pickle, put, record, zip};
use lupe::methods::Seen;
use lupe::methods::patchcore::{Backbone, ModelFile};
use lupe::methods::patchcore::{Config, Grid, Preset};
use lupe::tensor::Tensor;
use lupe::weights::Weights;
use lupe::weights::safetensors::{write, write_f16};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

type Tensors = BTreeMap<String, Arc<Tensor>>;

/// The weights of `resnet50_thin`.
fn thin() -> Tensors {
    thin::weights().tensors().clone()
}

fn file(tensors: &Tensors) -> Vec<u8> {
    write_f16(&tensors.iter().map(|(k, t)| (k.clone(), &**t)).collect::<Vec<_>>()).unwrap()
}

fn put_zeros(tensors: &mut Tensors, name: &str, shape: &[usize]) {
    tensors.insert(name.into(), Arc::new(Tensor::zeros(shape)));
}

fn text(path: &Path) -> String {
    done(lupe().args(["weights", "inspect"]).arg(path))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&done(lupe().args(["weights", "inspect", "--json"]).arg(path))).unwrap()
}

/// What is said for people and for programs of a file of these tensors.
fn of(b: &Bench, tensors: &Tensors) -> (String, Value) {
    let path = b.write("w.safetensors", &file(tensors));
    (text(&path), json(&path))
}

#[track_caller]
fn says(said: &str, want: &[&str]) {
    for part in want {
        assert!(said.contains(part), "\"{part}\" is not in: {said}");
    }
}

#[test]
fn a_whole_network_and_the_commands_that_take_it() {
    let b = Bench::new();
    let path = b.write("my thin.safetensors", &file(&thin()));
    let (said, json) = (text(&path), json(&path));
    says(&said, &["106 tensors, 11778432 bytes; fits resnet50_thin", "106 F16 (11778432 bytes)", "as in the file"]);
    says(
        &said,
        &[
            "folded into the convolutions\n",
            "no fc; features do not need it",
            "unverified: this file is not in the catalog",
        ],
    );
    says(&said, &["shorter edge to 256, bilinear; centre crop 224x224 (the default of resnet50_thin)"]);
    says(&said, &["BGR, divided by 1, mean 104 117 123, deviation 1 1 1"]);
    let quoted = format!("'{}'", path.display());
    let commands = [
        format!("lupe embed PICTURE --model resnet50_thin --weights {quoted}"),
        format!("lupe fit patchcore GOOD_PICTURES -o part.lupe --backbone resnet50_thin --weights {quoted}"),
    ];
    says(&said, &commands.each_ref().map(String::as_str));
    assert_eq!(json["commands"], json!(commands));
    assert_eq!((&json["networks"], &json["kind"]), (&json!(["resnet50_thin"]), &json!("weights")));
    assert_eq!(json["dtypes"], json!({"F16": {"tensors": 106, "bytes": 11778432}}));
    assert!(json["nearest"].is_null() && json["unusable"] == json!([]) && json["classes"].is_null(), "{json}");
    assert_eq!(json["batch_norms"], json!({"separate": 0, "folded": true}));
    let pictures = &json["preprocessing"];
    assert!(pictures["from"] == "network" && pictures["channels"] == "BGR" && pictures["resize"] == 256, "{pictures}");
    assert!(json["catalog"]["sha256"].as_str().unwrap().len() == 64 && json["catalog"]["published"].is_null());
}

#[test]
fn the_nearest_network_and_every_difference() {
    let (b, mut tensors) = (Bench::new(), thin());
    tensors.remove("layer1.0.conv1.weight");
    put_zeros(&mut tensors, "layer2.0.conv1.bias", &[3]);
    for i in 10..22 {
        put_zeros(&mut tensors, &format!("extra{i}"), &[2]);
    }
    put_zeros(&mut tensors, "fc.weight", &[7, 1024]);
    let (said, json) = of(&b, &tensors);
    says(&said, &["118 tensors", "fits no network as it is; the nearest is resnet50_thin"]);
    says(
        &said,
        &[
            "resnet50_thin: 104 of its 106 tensors are present, 1 missing, 1 of the wrong shape; 12 tensors are not part of it",
        ],
    );
    says(&said, &["missing      layer1.0.conv1.weight [32,64,1,1] is missing"]);
    says(&said, &["misshapen    layer2.0.conv1.bias has shape [3], this network wants [64]"]);
    says(&said, &["extra10 is not part", "extra19 is not part", "and 2 more", "fc, 7 classes"]);
    assert!(!said.contains("extra20 is not part") && !said.contains("lupe embed"), "{said}");
    let near = &json["nearest"];
    assert_eq!(near["missing"], json!([{"name": "layer1.0.conv1.weight", "wanted": [32, 64, 1, 1]}]));
    assert_eq!(near["misshapen"], json!([{"name": "layer2.0.conv1.bias", "shape": [3], "wanted": [64]}]));
    assert_eq!(near["extra"].as_array().unwrap().len(), 12);
    assert_eq!(
        (&near["right"], &near["wanted"], &near["extra"][11]["name"]),
        (&json!(104), &json!(106), &json!("extra21"))
    );
    assert!(json["networks"] == json!([]) && json["commands"] == json!([]) && json["classes"] == 7, "{json}");
}

#[test]
fn what_is_far_from_every_network_has_no_nearest() {
    let b = Bench::new();
    let none = "fits no network that Lupe knows";
    let mut transformer = Tensors::new();
    for i in 0..12 {
        put_zeros(&mut transformer, &format!("blocks.{i}.attn.qkv.weight"), &[24, 8]);
        put_zeros(&mut transformer, &format!("blocks.{i}.norm1.bias"), &[8]);
    }
    let (said, json) = of(&b, &transformer);
    says(&said, &[none, "24 tensors"]);
    assert!(json["nearest"].is_null() && json["preprocessing"].is_null() && !said.contains("missing"), "{said}");
    // Half of a network is near it, less is not; how much else is in the file does not count.
    let part = |n: usize| thin().into_iter().take(n).collect::<Tensors>();
    says(&of(&b, &part(53)).0, &["the nearest is resnet50_thin", "53 missing", "and 43 more"]);
    says(&of(&b, &part(52)).0, &[none]);
    let mut crowded = thin();
    for i in 0..106 {
        put_zeros(&mut crowded, &format!("head.{i:03}"), &[1]);
    }
    // As strangers they are left out, not in the way.
    let (said, json) = of(&b, &crowded);
    says(
        &said,
        &["fits resnet50_thin", "106 tensors are not part of resnet50_thin and are left out: head.000, head.001"],
    );
    assert!(json["left_out"].as_array().unwrap().len() == 106 && json["commands"][0].is_string(), "{json}");
    for i in 106..300 {
        put_zeros(&mut crowded, &format!("head.{i:03}"), &[1]);
    }
    crowded.remove("conv1.bias");
    says(&of(&b, &crowded).0, &["the nearest is resnet50_thin", "300 tensors are not part of it"]);
}

#[test]
fn wrappers_are_named_and_taken_off() {
    let b = Bench::new();
    let thin = thin();
    let (mut entries, mut records) = (vec![], vec![]);
    for (n, (name, t)) in thin.iter().enumerate() {
        entries.push(Entry::new(&format!("module.backbone.{name}"), t.shape.dims(), "FloatStorage", &n.to_string()));
        records.push(record(&format!("a/data/{n}"), bytemuck::cast_slice(&t.data)));
    }
    let pickle = put(Pickle::new().op(b"}").text("epoch").op(b"K\x07s").text("state_dict").op(b"}"), &entries);
    records.push(record("a/data.pkl", &pickle.op(b"s").done()));
    let path = b.write("last.ckpt", &zip(&records));
    says(
        &text(&path),
        &["fits resnet50_thin", "state_dict.module.backbone. is removed", " module.backbone.conv1.bias "],
    );
    let json = json(&path);
    assert!(
        json["taken_off"] == "state_dict.module.backbone." && json["networks"] == json!(["resnet50_thin"]),
        "{json}"
    );
}

#[test]
fn batch_norms_and_the_last_layer_are_told() {
    let b = Bench::new();
    let mut tensors = hash::full(thin::network());
    // A convolution may have a bias of its own beside its batch norm: folding takes it in.
    put_zeros(&mut tensors, "conv1.bias", &[64]);
    let (said, json) = of(&b, &tensors);
    says(&said, &["fits resnet50_thin", "53, folded into the convolutions when they are loaded", "fc, 1000 classes"]);
    assert_eq!((&json["batch_norms"]["separate"], &json["classes"]), (&json!(53), &json!(1000)));
    tensors.remove("layer4.2.bn3.weight");
    let (said, json) = of(&b, &tensors);
    says(&said, &["264 of its 265 tensors", "layer4.2.bn3.weight [1024] is missing", "unusable"]);
    assert_eq!(json["nearest"]["extra"], json!([]));
    assert!(json["unusable"].as_array().unwrap().len() == 1, "{json}");
}

#[test]
fn what_keeps_weights_from_being_used_is_told_after_the_table() {
    let b = Bench::new();
    let mut tensors = thin();
    let broken = Arc::make_mut(tensors.get_mut("layer3.0.conv2.bias").unwrap());
    broken.data[5] = f32::NAN;
    let (said, seen) = of(&b, &tensors);
    says(&said, &["106 tensors", "has the names and shapes of resnet50_thin, but cannot be used as it is"]);
    says(&said, &["layer3.0.conv2.bias contains a number that is not finite at element 5"]);
    assert!(seen["networks"] == json!([]) && seen["nearest"]["network"] == "resnet50_thin", "{seen}");
    assert!(!said.contains("lupe embed") && seen["unusable"].as_array().unwrap().len() == 1, "{said}");
    // No variance, in a batch norm whose convolution is there.
    let mut tensors = hash::full(thin::network());
    Arc::make_mut(tensors.get_mut("bn1.running_var").unwrap()).data[3] = -1.0;
    says(
        &of(&b, &tensors).0,
        &["has the names and shapes of resnet50_thin", "bn1.running_var contains -1, which cannot be a variance"],
    );
    // Types and axes that are not read.
    let header = r#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b\u001b[2J":{"dtype":"F32","shape":[1,1,1,1,2],"data_offsets":[8,16]}}"#;
    let odd = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 16]].concat();
    let path = b.write("odd.safetensors", &odd);
    let said = text(&path);
    says(&said, &["a has type F64", "has 5 axes", "fits no network", "1 F32 (8 bytes), 1 F64 (8 bytes)"]);
    assert!(!said.contains('\u{1b}'), "what a file says moves no cursor: {said}");
    assert_eq!(json(&path)["unusable"].as_array().unwrap().len(), 2);
}

#[test]
fn the_catalog_is_asked_by_hash_and_name() {
    let b = Bench::new();
    let bytes = file(&thin());
    let dino = b.write("dino_resnet50_pretrain.pth", &bytes);
    says(
        &text(&dino),
        &["unverified: named like resnet50.dino, for which no hash is published", "the default of resnet50_thin"],
    );
    assert_eq!(json(&dino)["catalog"]["published"]["name"], "resnet50.dino");
    let other = b.write("resnet50-11ad3fa6.pth", &bytes);
    says(&text(&other), &["mismatch: named like resnet50.tv_v2, but it is a different file", "lupe weights verify"]);
    assert_eq!(json(&other)["catalog"]["verdict"], "mismatch");
}

fn model(weights: bool) -> ModelFile {
    let conv = hash::tensor("conv", [2, 3, 1, 1], 1.0, 0.0);
    let inside = Weights::from_tensors([("conv1.weight".into(), conv)]);
    let seen = |i: usize| Seen { name: format!("good/{i:02}.png"), sha256: format!("{i:064x}") };
    ModelFile {
        config: Config::new(Preset::Anomalib),
        geometry: Grid { grid: [32, 32], dim: 6 },
        backbone: Backbone { name: "resnet18".into(), sha256: inside.sha256(), weights: weights.then_some(inside) },
        bank: Arc::new(hash::tensor("bank", [5, 6], 1.0, 0.0)),
        sources: vec![[0, 3], [0, 700], [1, 0], [3, 1], [3, 783]],
        pictures: (0..4).map(seen).collect(),
        scores: vec![1.5, 2.25, 0.75, 1.0],
        peaks: vec![1.25, 2.0, 0.5, 0.5],
        left_out: vec![],
        held_out: vec![seen(9)],
        limit_rule: Default::default(),
        origin: None,
    }
}

#[test]
fn a_fitted_model_says_what_it_is() {
    let b = Bench::new();
    let bytes = model(true).to_bytes().unwrap();
    let path = b.write("part.lupe", &bytes);
    let (said, seen) = (text(&path), json(&path));
    says(
        &said,
        &["5 tensors", "a PatchCore model", "anomalib", "resnet18, layer2, layer3; its weights are in the file"],
    );
    says(&said, &["5 rows of 6, ratio 0.1, seed 0", "4 pictures; 1 kept aside", "limit        2.25", "whole, 256x256"]);
    says(&said, &["vectors      the mean of every channel over the 3x3 places around each; 6 values"]);
    let pooled = ModelFile { config: Config::new(Preset::Official), ..model(true) };
    let pooled = text(&b.write("pooled.lupe", &pooled.to_bytes().unwrap()));
    says(
        &pooled,
        &[
            "vectors      the 3x3 places around each, every layer pooled to 1024 values, all layers together to 1024; 6 values",
        ],
    );
    let predict = format!("lupe predict {} NEW_PICTURES -o results", path.display());
    says(&said, &[&predict, "lupe eval "]);
    let m = &seen["model"];
    assert_eq!((&seen["kind"], &seen["commands"][0]), (&json!("model"), &json!(predict)));
    assert_eq!(
        (&m["method"], &m["config"]["preset"], &m["backbone"]),
        (&json!("patchcore"), &json!("anomalib"), &json!("resnet18"))
    );
    assert_eq!((&m["bank_rows"], &m["pictures"], &m["backbone_embedded"]), (&json!(5), &json!(4), &json!(true)));
    let path = b.write("bare.lupe", &model(false).to_bytes().unwrap());
    says(&text(&path), &["its weights are not in the file", "-o results --weights WEIGHTS_OF_RESNET18"]);
    let (sources, pictures, scores, peaks, held_out) = Default::default();
    let import =
        ModelFile { sources, pictures, scores, peaks, held_out, origin: Some("elsewhere".into()), ..model(true) };
    let path = b.write("import.lupe", &import.to_bytes().unwrap());
    says(&text(&path), &["imported     from elsewhere", "5 rows of 6", "none: its source has none"]);
    assert_eq!((&json(&path)["model"]["origin"], &json(&path)["model"]["bank_rows"]), (&json!("elsewhere"), &json!(5)));
    // One byte of the bank: the table is there all the same.
    let mut damaged = bytes;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let path = b.write("damaged.lupe", &damaged);
    says(&text(&path), &["bank.source", "a Lupe model file that cannot be used", "is damaged"]);
    assert!(json(&path)["model"].is_null() && json(&path)["unusable"].as_array().unwrap().len() == 1);
}

#[test]
fn what_is_no_file_of_weights_is_named() {
    let b = Bench::new();
    let inside = |name: &str| zip(&[record(name, b"")]);
    let (keras, numbers, script, other) = (
        inside("model.weights.h5"),
        inside("w.npy"),
        zip(&[record("a/model.json", b""), record("a/tensors/0", b"")]),
        inside("x"),
    );
    let of_others: Vec<u8> = [&b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n)R."[..]].concat();
    let torch = "torch.save";
    let cases: [(&str, &[u8], &[&str]); 20] = [
        // As torch.onnx.export begins: the version, then the producer.
        ("net.onnx", b"\x08\x0a\x12\x07pytorch\x1a\x062.15.0", &["not weights but an ONNX model", torch]),
        ("bare.onnx", b"\x08\x08\x3a\x90\x01\x0a\x10", &["an ONNX model", "state_dict()"]),
        ("net.gguf", b"GGUF\x03\0\0\0\x23\x01\0\0\0\0\0\0", &["a GGUF file", "take the safetensors or PyTorch file"]),
        ("saved_model.pb", b"\x08\x01\x12\xaa\x05\x0a", &["a TensorFlow SavedModel"]),
        ("net.tflite", b"\x1c\0\0\0TFL3\0\0", &["a TensorFlow Lite model"]),
        ("net.h5", b"\x89HDF\r\n\x1a\n\0\0", &["an HDF5 file, as Keras", "save the same network from PyTorch"]),
        ("net.keras", &keras, &["is a Keras model"]),
        ("a.npz", &numbers, &["is an archive of NumPy arrays"]),
        ("old.pt", &script, &["an old TorchScript", "torch.jit.load"]),
        ("a.zip", &other, &["a zip archive, but not a checkpoint", "data.pkl"]),
        ("text.pkl", b"(dp0\nS'a'\n", &["a pickle of protocol 0", torch]),
        (
            "rows.pkl",
            &of_others,
            &["is a pickle of numpy.core.multiarray._reconstruct, but not one written by torch.save"],
        ),
        ("x.gz", b"\x1f\x8b\x08\0\0\0\0\0\0", &["a gzip file; unpack it first"]),
        ("search.faiss", b"IxF2\0\x04\0\0rest", &["not weights but a FAISS index"]),
        ("lfs.safetensors", b"version https://git-lfs.github.com/spec/v1\noid", &["a Git LFS pointer", "git lfs pull"]),
        ("page.pth", b"<!DOCTYPE html><html>", &["a web page"]),
        ("a.npy", b"\x93NUMPY\x01\0", &["a NumPy array"]),
        ("text.pth", b"these are no weights", &["not a valid safetensors file (20 bytes), nor a PyTorch file"]),
        ("empty", b"", &["not a valid safetensors file (0 bytes)"]),
        ("list.pkl", b"\x80\x04]\x94.", &["is a pickle, but not one written by torch.save"]),
    ];
    for (name, bytes, want) in cases {
        refused(lupe().args(["weights", "inspect"]).arg(b.write(name, bytes)), 4, &[want, &[name]].concat());
    }
    // A model is another thing again.
    refused(
        lupe().args(["predict"]).arg(b.path("net.onnx")).args(["x.png", "-o", "o"]),
        4,
        &["not a fitted model but an ONNX"],
    );
    // Bytes of any kind in the place of a header, or behind one.
    let whole = write(&[("a".into(), &Tensor::zeros([4]))]).unwrap();
    for cut in [1, 8, 9, whole.len() - 1] {
        refused(lupe().args(["weights", "inspect"]).arg(b.write("cut", &whole[..cut])), 4, &["cut: "]);
    }
    refused(lupe().args(["weights", "inspect"]).arg(b.dir.path()), 4, &["not a regular file"]);
}

/// Readers differ in which of two entries they take.
#[test]
fn fault_18_a_key_that_stands_twice_in_a_header_is_refused() {
    let b = Bench::new();
    let one = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let two = r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#;
    for (header, key) in [
        (format!(r#"{{"a":{one},"b":{two},"a":{one}}}"#), "\"a\" twice"),
        (format!(r#"{{"a":{one},"\u0061":{two}}}"#), "\"a\" twice"),
        (r#"{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}"#.into(), "\"dtype\" twice"),
        (format!(r#"{{"__metadata__":{{"x":"1","x":"2"}},"a":{one},"b":{two}}}"#), "\"x\" twice"),
    ] {
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat();
        let file = b.write("twice.safetensors", &file);
        refused(lupe().args(["weights", "inspect"]).arg(&file), 4, &["twice.safetensors", key]);
        refused(lupe().args(["weights", "convert"]).arg(&file).arg(b.path("o.safetensors")), 4, &[key]);
        assert_eq!(b.files(), ["twice.safetensors"]);
    }
    // Nor in a model's own.
    let whole = model(true).to_bytes().unwrap();
    let n = u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let header = String::from_utf8(whole[8..8 + n].to_vec()).unwrap();
    let bank = header.split("\"bank\":").nth(1).unwrap().split_inclusive('}').next().unwrap();
    let header = format!("{{\"bank\":{bank},{}", &header.trim_end()[1..]);
    let twice = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &whole[8 + n..]].concat();
    let file = b.write("twice.lupe", &twice);
    refused(lupe().args(["predict"]).arg(&file).args(["x.png", "-o"]).arg(b.path("o")), 4, &["\"bank\" twice"]);
}
