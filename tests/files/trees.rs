//! Where a network is in a file: under whatever wrapped it, with strangers beside it, once or several times; and what is told of it.

use crate::common;
use crate::common::foreign::fixture;
use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use crate::common::thin::{BACKBONE, NAME, network as thin};
use crate::common::torch::{Entry, Pickle, put, record, zip};
use crate::common::vectors::zeros;
use lupe::Error;
use lupe::models::{self, Network};
use lupe::weights::names::{parts, prefix, tree};
use lupe::weights::{Weights, WeightsFile, safetensors};
use std::path::{Path, PathBuf};

/// A float of 16 bits, as all elements of a tree.
type Half = [u8; 2];

const ZERO: Half = [0, 0];
const ONE: Half = [0, 0x3c];

/// A network's tensors with a prefix, all on one storage.
fn entries(network: &Network, prefix: &str, key: &str) -> Vec<Entry> {
    let all = zeros(network);
    let most = all.values().map(|t| t.data.len()).max().unwrap() as u64;
    let features = all.iter().filter(|(k, _)| !k.starts_with("fc."));
    let entry = |name: &String, dims: &[usize]| Entry {
        numel: most,
        ..Entry::new(&format!("{prefix}{name}"), dims, "HalfStorage", key)
    };
    features.map(|(k, t)| entry(k, t.shape.dims())).collect()
}

/// An archive of a pickle and storages of halves, large enough for any tensor of the network.
fn archive(network: &Network, pickle: Pickle, values: &[Half]) -> Vec<u8> {
    let most = zeros(network).values().map(|t| t.data.len()).max().unwrap();
    let storages = values.iter().enumerate().map(|(n, v)| record(&format!("a/data/{n}"), &v.repeat(most)));
    zip(&[record("a/data.pkl", &pickle.done())].into_iter().chain(storages).collect::<Vec<_>>())
}

/// A map below the keys of `path`, filled by `fill`.
fn below(pickle: Pickle, path: &[&str], fill: &dyn Fn(Pickle) -> Pickle) -> Pickle {
    match path.split_first() {
        None => fill(pickle),
        Some((key, rest)) => below(pickle.text(key).op(b"}"), rest, fill).op(b"s"),
    }
}

fn map() -> Pickle {
    Pickle::new().op(b"}")
}

fn read(path: &Path, strict: bool, tree: Option<&str>) -> Result<Weights, Error> {
    models::read(thin(), &WeightsFile { path: path.into(), strict, tree: tree.map(str::to_string) })
}

fn fails(result: Result<Weights, Error>, code: u8, want: &[&str]) {
    let error = result.expect_err("it was taken");
    let said = error.to_string();
    assert!(error.exit_code() == code && want.iter().all(|w| said.contains(w)), "{code}, {want:?}: {said}");
}

#[test]
fn fault_11_a_network_is_found_under_whatever_wraps_it() {
    let b = Bench::new();
    let plain = b.write("plain.pth", &archive(thin(), put(map(), &entries(thin(), "", "0")), &[ONE]));
    let want = read(&plain, true, None).unwrap();
    assert!(want.notes().is_empty() && want.tensors().len() == 106, "{:?}", want.notes());
    for (path, prefix) in [
        (&["state_dict"][..], "_orig_mod."),
        (&["model"], "module."),
        (&["model_ema"], "module.encoder_q."),
        (&["state_dict_ema"], "backbone."),
        (&["params"], "model.feature_extractor."),
        (&["params_ema"], "net."),
        (&["teacher"], "encoder."),
        (&["checkpoint", "student"], "model.feature_extractor.feature_extractor."),
        (&["anything"], "of.any.name."),
        (&[], "module."),
    ] {
        let fill = |p: Pickle| put(p, &entries(thin(), prefix, "0"));
        let file = b.write("w.pth", &archive(thin(), below(map(), path, &fill), &[ONE]));
        let found = read(&file, true, None).unwrap();
        assert!(found.tensors() == want.tensors() && found.sha256() == want.sha256(), "{path:?} {prefix}");
        let place = path.iter().chain([&prefix.trim_end_matches('.')]).copied().collect::<Vec<_>>().join(".");
        assert_eq!(found.notes(), [format!("{}: the weights of resnet50_thin are under {place}", file.display())]);
        assert_eq!(read(&file, false, Some(&place)).unwrap().sha256(), want.sha256());
    }
}

#[test]
fn fault_11_strangers_are_told_and_left_out_or_refused() {
    let b = Bench::new();
    let plain = b.write("plain.pth", &archive(thin(), put(map(), &entries(thin(), "", "0")), &[ONE]));
    let most = zeros(thin()).values().map(|t| t.data.len()).max().unwrap();
    let pickle = record("a/data.pkl", &with_strangers().done());
    let file = zip(&[pickle, record("a/data/0", &ONE.repeat(most)), record("a/data/s", &[0; 16])]);
    let file = b.write("strangers.pth", &file);
    let (found, want) = (read(&file, false, None).unwrap(), read(&plain, false, None).unwrap());
    assert!(found.tensors() == want.tensors() && found.sha256() == want.sha256());
    let notes = found.notes().join("\n");
    assert!(
        notes.contains("7 tensors are not part of resnet50_thin and are left out: classifier.1.weight, "),
        "{notes}"
    );
    let all = ["head.fc.weight is not part of resnet50_thin (--strict)", "queue is not", "7 problems"];
    fails(read(&file, true, None), 4, &all);
    // Every command says so, and has the flag.
    let embed = |more: &[&str]| {
        let mut c = lupe();
        c.arg("embed").arg(b.path("none.png")).args(["--model", NAME, "--weights"]).arg(&file).args(more);
        c
    };
    let said = text(&embed(&[]).output().unwrap().stderr);
    assert!(said.contains("note: ") && said.contains("are left out: classifier.1.weight"), "{said}");
    refused(&mut embed(&["--strict"]), 4, &["head.fc.weight is not part of resnet50_thin"]);
    refused(lupe().args(["embed", "x.png", "--strict"]), 2, &["--weights"]);
    let seen = done(lupe().args(["weights", "inspect"]).arg(&file));
    for want in ["fits resnet50_thin", "left out", "spectrum", "unreadable", "lupe embed PICTURE"] {
        assert!(seen.contains(want), "{want}: {seen}");
    }
}

/// The network with strangers of many kinds beside it, all on 16 bytes.
fn with_strangers() -> Pickle {
    let named = [
        ("head.fc.weight", "FloatStorage", 4),
        ("classifier.1.weight", "FloatStorage", 4),
        ("layer1.mask", "BoolStorage", 16),
        ("queue", "DoubleStorage", 2),
        ("steps", "LongStorage", 2),
        ("spectrum", "ComplexDoubleStorage", 1),
        ("small", "QInt8Storage", 16),
    ];
    let strangers = named.map(|(name, class, numel)| Entry { numel, ..Entry::new(name, &[1], class, "s") });
    put(put(map(), &entries(thin(), "", "0")), &strangers)
}

#[test]
fn fault_11_nothing_else_is_taken_for_a_network() {
    let b = Bench::new();
    // One tensor too few, one of another shape, one inside a part of the network that the network does not have.
    let file = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut all = entries(thin(), "net.", "0");
        change(&mut all);
        b.write("w.pth", &archive(thin(), put(map(), &all), &[ONE]))
    };
    let less = file(&|all| all.retain(|e| e.name != "net.conv1.bias"));
    fails(read(&less, false, None), 4, &["w.pth, under net, as resnet50_thin: conv1.bias [64] is missing"]);
    let shape = file(&|all| all[3].sizes.truncate(3));
    fails(read(&shape, false, None), 4, &["has shape", "this network wants"]);
    let axes = file(&|all| all[3].sizes.push(1));
    fails(read(&axes, false, None), 4, &["has 5 axes; at most four are supported"]);
    let more = file(&|all| {
        let numel = all[0].numel;
        all.push(Entry { numel, ..Entry::new("net.layer1.0.se.fc1.weight", &[2], "HalfStorage", "0") });
    });
    fails(read(&more, false, None), 4, &["layer1.0.se.fc1.weight is not part of this network"]);
    let (small, large) = (models::find("resnet18").unwrap(), models::find("resnet34").unwrap());
    let path = b.write("large.pth", &archive(large, put(map(), &entries(large, "", "0")), &[ONE]));
    let error = models::read(small, &WeightsFile::from(path.as_path())).unwrap_err().to_string();
    for want in ["layer1.2.conv1.weight is not part of this network", "its names and shapes are those of resnet34"] {
        assert!(error.contains(want), "{want}: {error}");
    }
}

fn two(b: &Bench, values: &[Half]) -> PathBuf {
    let tree = |p: Pickle, path: &[&str], key: &str| below(p, path, &|p| put(p, &entries(thin(), "", key)));
    let pickle = tree(tree(map(), &["model"], "0"), &["ema", "module"], &(values.len() - 1).to_string());
    b.write("two.pth", &archive(thin(), pickle, values))
}

#[test]
fn fault_11_of_two_trees_the_user_chooses() {
    let b = Bench::new();
    let file = two(&b, &[ZERO, ONE]);
    fails(
        read(&file, false, None),
        4,
        &["2 weights of resnet50_thin that differ, under model, ema.module", "--tree model"],
    );
    for (tree, value) in [("model", 0.0), ("ema.module", 1.0), ("ema", 1.0), ("ema.", 1.0)] {
        let found = read(&file, true, Some(tree)).unwrap();
        assert!(found.tensors().values().all(|t| t.data.iter().all(|v| *v == value)), "{tree}");
        let notes = found.notes().join("\n");
        assert!(
            notes.contains("other weights of resnet50_thin are also under") && !notes.contains("not part"),
            "{notes}"
        );
    }
    fails(read(&file, false, Some("teacher")), 2, &["unknown tree `teacher`; available: model, ema.module"]);
    fails(read(&file, false, Some(".")), 4, &["conv1.weight [64,3,7,7] is missing"]);
    // As inspect says it, and as its commands have it.
    let seen = done(lupe().args(["weights", "inspect"]).arg(&file));
    assert!(seen.contains("fits resnet50_thin") && seen.contains("model, ema.module hold different weights"), "{seen}");
    assert!(!seen.contains("left out"), "{seen}");
    assert!(seen.contains(&format!("--weights {} --tree model", file.display())), "{seen}");
    let embed = ["embed", "none.png", "--model", NAME, "--weights"];
    refused(lupe().args(embed).arg(&file).args(["--tree", "model"]), 3, &["none.png"]);
    refused(lupe().args(embed).arg(&file), 4, &["choose with --tree"]);
    // The same twice is no choice.
    let found = read(&two(&b, &[ONE]), true, None).unwrap();
    assert!(
        found
            .notes()
            .iter()
            .any(|n| n.ends_with("the same weights of resnet50_thin are also under ema.module, and left out")),
        "{:?}",
        found.notes()
    );
}

#[test]
fn fault_11_a_whole_module_says_how_to_save_its_tensors() {
    let b = Bench::new();
    let attribute = |p: Pickle, key: &str, fill: &dyn Fn(Pickle) -> Pickle| fill(p.text(key).op(b"}")).op(b"s");
    let weight = |p: Pickle| p.text("weight").tensor("0", 1, &[1], &[1]).op(b"s").text("bias").op(b"Ns");
    let empty = |p: Pickle| p;
    let module = |p: Pickle, class: (&str, &str), modules: &dyn Fn(Pickle) -> Pickle, own: bool| {
        let p = p.global(class.0, class.1).op(b")\x81}");
        let p = if own { attribute(p, "_parameters", &weight) } else { attribute(p, "_parameters", &empty) };
        attribute(attribute(p, "_buffers", &empty), "_modules", modules).op(b"b")
    };
    let inner = |p: Pickle| module(p.text("conv1"), ("torch.nn.modules.conv", "Conv2d"), &empty, true).op(b"s");
    let net = |p: Pickle| module(p, ("torchvision.models.resnet", "ResNet"), &inner, false);
    for (pickle, place) in [
        (net(Pickle::new()), "a whole module was saved ("),
        (net(map().text("model")).op(b"s"), "a whole module was saved at model ("),
    ] {
        let file = b.write("whole.pth", &common::torch::archive(&pickle.done(), &[0; 4]));
        let want = [
            place,
            "torchvision.models.resnet.ResNet, with 1 tensor, conv1.weight",
            ".state_dict(), \"state_dict.pth\")",
        ];
        fails(read(&file, false, None), 4, &want);
        refused(lupe().args(["weights", "inspect"]).arg(&file), 4, &want);
        let mut convert = lupe();
        convert.args(["weights", "convert", "--skip-unknown"]).arg(&file).arg(b.path("o.safetensors"));
        refused(&mut convert, 4, &want);
        assert_eq!(b.files(), ["whole.pth"]);
    }
}

#[test]
fn fault_24_convert_says_what_it_leaves_out() {
    let b = Bench::new();
    let state = |p: Pickle| (0..32u8).fold(p, |p, n| p.op(&[b'K', n]).tensor("0", 1, &[1], &[1]).op(b"s"));
    let pickle = below(map().text("epoch").op(b"K\x01s"), &["optimizer_state"], &state);
    let net = |p: Pickle| p.text("w").tensor("0", 1, &[1], &[1]).op(b"s");
    let pickle = below(below(pickle, &["model"], &net), &["ema"], &net).done();
    let file = b.write("c.pth", &common::torch::archive(&pickle, &[0; 4]));
    let convert = |more: &[&str]| {
        let mut c = lupe();
        c.args(["weights", "convert"]).arg(&file).arg(b.path("o.safetensors")).args(more);
        c
    };
    let said = done(&mut convert(&[]));
    assert!(said.contains("2 tensors, ") && said.contains("left out: epoch, optimizer_state (32 tensors)"), "{said}");
    let said = done(&mut convert(&["--unwrap"]));
    assert!(
        said.contains("1 tensors") && said.contains("epoch, optimizer_state (32 tensors), ema (1 tensor)"),
        "{said}"
    );
    let json: serde_json::Value = serde_json::from_str(&done(&mut convert(&["--tree", "ema", "--json"]))).unwrap();
    assert!(json["tensors"] == 1 && json["left_out"].as_array().unwrap().len() == 3, "{json}");
    let written = safetensors::inspect(&std::fs::read(b.path("o.safetensors")).unwrap(), "").unwrap();
    assert_eq!(written.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["w"]);
    refused(&mut convert(&["--tree", "teacher"]), 2, &["unknown tree `teacher`; available: ema, model"]);
    let seen = done(lupe().args(["weights", "inspect"]).arg(&file));
    assert!(seen.contains("besides      epoch, optimizer_state (32 tensors)"), "{seen}");
}

#[test]
fn fault_24_inspect_says_nothing_of_what_is_not_there() {
    let b = Bench::new();
    let inspect = |named: &[(&str, &[usize])]| {
        let tensors: Vec<_> = named.iter().map(|(n, s)| (*n, lupe::tensor::Tensor::zeros(*s))).collect();
        let tensors: Vec<_> = tensors.iter().map(|(n, t)| (n.to_string(), t)).collect();
        done(lupe().args(["weights", "inspect"]).arg(b.write("w.safetensors", &safetensors::write(&tensors).unwrap())))
    };
    let said = inspect(&[("conv1.bias", &[4]), ("conv1.weight", &[4, 3, 3, 3]), ("linear.weight", &[9, 4])]);
    for word in ["folded", "last layer", "fc", "features"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
    // Not folded, of half the width: the names are the file's own.
    let net = common::hash::full(models::find("resnet18").unwrap());
    let half = |s: &[usize]| s.iter().map(|n| n.div_ceil(2)).collect::<Vec<_>>();
    let shapes: Vec<(String, Vec<usize>)> = net.iter().map(|(k, t)| (k.clone(), half(t.shape.dims()))).collect();
    let named: Vec<(&str, &[usize])> = shapes.iter().map(|(k, s)| (k.as_str(), s.as_slice())).collect();
    let said = inspect(&named);
    assert!(said.contains("the nearest is resnet18") && said.contains("bn1.bias has shape [32]"), "{said}");
    assert!(!said.contains("conv1.bias"), "{said}");
}

#[test]
fn fault_11_a_tensor_of_a_kind_that_is_not_read_is_left_out_on_demand() {
    let b = Bench::new();
    let (real, complex) =
        (Entry::new("w", &[1], "FloatStorage", "0"), Entry::new("c", &[1], "ComplexDoubleStorage", "1"));
    let file = b.write("c.pth", &common::torch::archive(&put(map(), &[real, complex]).done(), &[0; 4]));
    let convert = |more: &[&str]| {
        let mut c = lupe();
        c.args(["weights", "convert"]).arg(&file).arg(b.path("o.safetensors")).args(more);
        c
    };
    let want = ["tensor c: has elements of type torch.ComplexDoubleStorage", "--skip-unknown` leaves it out"];
    refused(&mut convert(&[]), 4, &want);
    let said = done(&mut convert(&["--skip-unknown"]));
    assert!(said.contains("1 tensors") && said.contains("left out: c (1 tensor)"), "{said}");
}

#[test]
fn names_part_below_what_they_share() {
    let part = |names: &[&str]| parts(names.iter().copied());
    let two = part(&["m.q.conv.weight", "m.q.bias", "m.k.conv.weight", "m.queue"]);
    assert_eq!(two, [("m.k".to_string(), 1), ("m.q".into(), 2), ("m.queue".into(), 1)]);
    assert_eq!(part(&["x.ä.b", "x.ö.b"]), [("x.ä".to_string(), 1), ("x.ö".into(), 1)]);
    assert_eq!(part(&["one.weight"]), [("one.weight".to_string(), 1)]);
    assert!(part(&[]).is_empty());
    assert_eq!([".", "a.b", "a.", ""].map(prefix), ["", "a.b.", "a.", ""]);
    assert_eq!(["", "a.b."].map(tree), [".", "a.b"]);
}

#[test]
fn fault_18_a_model_is_known_by_its_content() {
    let b = Bench::new();
    let (loud, bare) = (b.path("MODEL.LUPE"), b.path("model"));
    for model in [&loud, &bare] {
        done(lupe().arg("import").arg(fixture("official")).args(BACKBONE).arg("-o").arg(model));
        if !no_gpu() {
            let said = done(lupe().arg("plan").arg(model));
            assert!(said.contains("knn") || said.contains("scan"), "{said}");
        }
        refused(lupe().arg("plan").arg(model).args(["--size", "64"]), 2, &["a fitted model has its own size"]);
    }
    let onnx = b.write("net.onnx", b"\x08\x0a\x12\x07pytorch");
    refused(lupe().arg("plan").arg(onnx), 4, &["net.onnx: not a fitted model but an ONNX model"]);
    let pth = b.write("net.pth", &common::torch::archive(&map().done(), &[]));
    refused(lupe().arg("plan").arg(pth), 4, &["not a fitted model but a PyTorch file", "--weights"]);
    refused(lupe().args(["plan", "resnet19"]), 2, &["unknown network `resnet19`"]);
    refused(lupe().arg("plan").arg(b.path("none.lupe")), 4, &["none.lupe", "cannot be opened"]);
}
