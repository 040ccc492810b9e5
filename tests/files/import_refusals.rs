//! `lupe import` of what cannot be imported: every refusal by name and exit code, flipped bytes, hostile pickles.

use crate::common::foreign::{V, checkpoint, fixture, folder, index, layers, params, pickled, with};
use crate::common::hash;
use crate::common::parts::verb;
use crate::common::program::{Bench, done, refused, text};
use crate::common::thin::{BACKBONE as THIN, network};
use crate::common::torch::{Pickle, archive, record, zip};
use lupe::methods::patchcore::import::{Given, anomalib, official};
use lupe::models;
use lupe::tensor::Tensor;
use lupe::weights::pth::values::pickled as value;
use lupe::weights::{Weights, faiss};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

fn import(source: &Path, more: &[&str]) -> Command {
    let mut command = verb(&["import"]);
    command.arg(source).args(["-o", "/dev/null"]).args(more);
    command
}

/// Rows as the network makes them by the published choices.
fn rows(n: usize) -> Vec<f32> {
    hash::tensor("rows", [n, 1024], 1.0, 0.0).data
}

/// An official folder that can be imported but for what `change` makes of its two files.
fn changed(b: &Bench, change: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) -> std::path::PathBuf {
    let (mut p, mut i) = (pickled(&params(224)), index(&rows(2), 1024));
    change(&mut p, &mut i);
    folder(&b.path("saved"), "", &p, &i);
    b.path("saved")
}

#[test]
fn other_indexes_than_flat_ones_by_squared_l2() {
    let b = Bench::new();
    for (file, kind, what) in [
        ("inner_product", "IxFI", "inner product"),
        ("l1", "IxFl", "compares rows by another distance"),
        ("inverted_lists", "IwFl", "inverted lists"),
        ("graph", "IHNf", "is a graph"),
        ("quantised", "IxSQ", "does not store its rows unchanged"),
    ] {
        let other = fs::read(fixture(&format!("other_kinds/{file}.faiss"))).unwrap();
        let source = changed(&b, |_, index| *index = other);
        refused(
            &mut import(&source, &THIN),
            4,
            &["nnscorer_search_index.faiss", kind, what, "faiss.IndexFlatL2(index.d)"],
        );
    }
    let refuses = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let source = changed(&b, |_, index| change(index));
        refused(&mut import(&source, &THIN), 4, &["nnscorer_search_index.faiss", what]);
    };
    refuses("distance number 0", &|i| i[33] = 0);
    refuses("distance number 2", &|i| i[33] = 2);
    refuses("has 0 bytes and is not a FAISS index", &|i| i.clear());
    refuses("begins with \"hell\"", &|i| *i = b"hello".to_vec());
    refuses("cut off within its header", &|i| i.truncate(44));
    refuses("should have 8237 bytes for 2 rows of 1024 values, but is cut off: 8236", &|i| i.truncate(i.len() - 1));
    refuses("but is too long: 8238", &|i| i.push(0));
    refuses("claims 2049 values in total", &|i| i[37] = 1);
    refuses("claims 2 rows of 0 values", &|i| i[4..8].fill(0));
    refuses("claims 0 rows", &|i| i[8..16].fill(0));
    refuses("claims 2 rows of 1024 values, which is impossible for a bank", &|i| i[32] = 0);
    // Products that would overflow, and lengths that nothing stands behind.
    refuses("which is impossible for a bank", &|i| i[8..16].fill(0xff));
    refuses("which is impossible for a bank", &|i| i[4..8].fill(0xff));
    refuses("is cut off", &|i| {
        i[8..16].copy_from_slice(&(1u64 << 32).to_le_bytes());
        i[37..45].copy_from_slice(&(1u64 << 42).to_le_bytes());
    });
    refuses("is a Git LFS pointer", &|i| *i = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec());
    for bad in [f32::NAN, f32::INFINITY] {
        let source = changed(&b, |_, index| index[45 + 4 * 1030..][..4].copy_from_slice(&bad.to_le_bytes()));
        refused(&mut import(&source, &THIN), 7, &["row 1 of its bank", "not finite"]);
    }
}

#[test]
fn dictionaries_that_say_too_little_or_something_else() {
    let b = Bench::new();
    let refuses = |pairs: &[(&'static str, V)], code: i32, want: &[&str]| {
        let source = changed(&b, |params, _| *params = pickled(pairs));
        refused(&mut import(&source, &THIN), code, &[&["patchcore_params.pkl"], want].concat());
    };
    let whole = params(224);
    for (n, (key, _)) in whole.iter().enumerate() {
        let mut less = whole.clone();
        less.remove(n);
        refuses(&less, 4, &[key, "is missing"]);
        refuses(&with(whole.clone(), key, V::Raw(Pickle(b"N".to_vec()))), 4, &[key, "is not a"]);
    }
    let changed_to = |key, value| with(params(224), key, value);
    let shape = |sizes: &[i32]| V::All(sizes.iter().map(|s| V::Int(*s)).collect());
    refuses(&changed_to("input_shape", shape(&[3, 224, 320])), 4, &["input_shape", "(3, s, s)"]);
    refuses(&changed_to("input_shape", shape(&[1, 224, 224])), 4, &["(3, s, s)"]);
    refuses(&params(8000), 4, &["size 8000"]);
    refuses(&params(256), 2, &["the crop is 256", "--resize"]);
    refuses(
        &changed_to("layers_to_extract_from", V::All(vec![V::Text("features.denseblock2")])),
        4,
        &["unknown place `features.denseblock2`; available: stem"],
    );
    refuses(
        &changed_to("layers_to_extract_from", layers(&[3, 2])),
        4,
        &["layers layer3,layer2: expected in the network's order"],
    );
    refuses(&changed_to("patchstride", V::Int(2)), 4, &["patchstride is not 1"]);
    refuses(&changed_to("patchsize", V::Int(4)), 4, &["patch 4"]);
    refuses(&changed_to("anomaly_scorer_num_nn", V::Int(0)), 4, &["neighbors"]);
    refuses(&changed_to("anomaly_scorer_num_nn", V::Int(i32::MAX)), 4, &["asks for 2147483647 neighbours"]);
    refuses(&changed_to("patchsize", V::Int(-3)), 4, &["patchsize is not a whole number"]);
    // Sizes that do not give rows like those in the bank, or none at all.
    refuses(&changed_to("target_embed_dimension", V::Int(384)), 4, &["rows of 1024 values", "resnet50_thin give 384"]);
    refuses(&changed_to("target_embed_dimension", V::Int(0)), 4, &["at least one bin"]);
    refuses(&changed_to("pretrain_embed_dimension", V::Int(i32::MAX)), 4, &["cannot be pooled"]);
    let source = changed(&b, |params, _| *params = pickled(&changed_to("backbone.name", V::Text("densenet201"))));
    refused(
        &mut import(&source, &["--no-crop"]),
        4,
        &["was fitted with an unknown network, densenet201", "wide_resnet50_2"],
    );
    let source = changed(&b, |_, _| {});
    refused(&mut import(&source, &[]), 2, &["wide_resnet50_2 has no built-in weights", "--weights"]);
    refused(&mut import(&source, &["--backbone", "resnet19"]), 2, &["unknown network `resnet19`"]);
    done(&mut import(&source, &THIN));
    for (flag, value, want) in [
        ("--layers", "1,2", "--layers layer1,layer2: the bank was fitted with layer2,layer3"),
        ("--size", "320", "--size 320: the bank was fitted with 224"),
        ("--reweight", "9", "does not re-weight"),
        ("--resize", "100", "resize 100"),
        ("--member", "1", "contains no Ensemble-1-"),
    ] {
        refused(&mut import(&source, &[&THIN[..], &[flag, value]].concat()), 2, &[want]);
    }
    done(&mut import(&source, &[&THIN[..], &["--layers", "2,3", "--size", "224", "--resize", "300"]].concat()));
    // The official program scores with one neighbour what it saved with five: both can be had.
    let source = changed(&b, |params, _| *params = pickled(&changed_to("anomaly_scorer_num_nn", V::Int(5))));
    let noted = import(&source, &THIN).output().unwrap();
    assert!(noted.status.success() && text(&noted.stderr).contains("the model states 5 neighbours"));
    let words = ["--neighbors", "1", "--json"];
    assert!(done(&mut import(&source, &[&THIN[..], &words].concat())).contains("\"neighbors\":1,"));
    refused(&mut import(&source, &[&THIN[..], &["--neighbors", "0"]].concat()), 2, &["neighbors"]);
    fs::remove_file(source.join("patchcore_params.pkl")).unwrap();
    refused(&mut import(&source, &THIN), 4, &["patchcore_params.pkl", "cannot be opened"]);
    fs::remove_file(source.join("nnscorer_search_index.faiss")).unwrap();
    refused(&mut import(&source, &THIN), 4, &["contains no nnscorer_search_index.faiss", "one category"]);
}

#[test]
fn ensembles() {
    let b = Bench::new();
    let source = b.path("saved");
    let (p, i) = (pickled(&params(320)), index(&rows(2), 1024));
    folder(&source, "Ensemble-1-2_", &p, &i);
    assert!(done(&mut import(&source, &THIN)).contains("shorter edge 366, centre crop 320"));
    folder(&source, "Ensemble-2-2_", &p, &index(&rows(3), 1024));
    refused(&mut import(&source, &THIN), 2, &["an ensemble of 2 models", "--member"]);
    let said = done(&mut import(&source, &[&THIN[..], &["--member", "2"]].concat()));
    assert!(said.contains("Ensemble-2-2_nnscorer") && said.contains("3 rows"), "{said}");
    refused(&mut import(&source, &[&THIN[..], &["--member", "3"]].concat()), 2, &["contains no Ensemble-3-"]);
}

#[test]
fn dictionaries_that_mean_ill() {
    let b = Bench::new();
    let refuses = |bytes: Vec<u8>, want: &str| {
        let source = changed(&b, |params, _| *params = bytes);
        refused(&mut import(&source, &THIN), 4, &["patchcore_params.pkl", want]);
    };
    refuses(
        Pickle::new().global("os", "system").op(b"(").text("true").op(b"tR").done(),
        "os.system is refused (nothing was looked up or called): plain values do not need this name",
    );
    refuses(pickled(&with(params(224), "patchsize", V::Raw(Pickle::new().global("my.own", "Size")))), "my.own.Size");
    refuses(vec![], "pickle ends");
    refuses(b"\x80\x07.".to_vec(), "protocol 7");
    refuses([pickled(&params(224)), b"more".to_vec()].concat(), "4 bytes after its pickle");
    let deep = |n: usize| [vec![0x80, 4], b"]".repeat(n), b"a".repeat(n - 1), b".".to_vec()].concat();
    assert!(value(&deep(16), "").is_ok());
    refuses(deep(17), "nested deeper than 16");
    refuses(deep(100_000), "nested deeper than 16");
    // A list that holds itself, and lists of lists of the same list.
    refuses([&b"\x80\x02]q\x00h\x00a."[..]].concat(), "nested deeper than 16");
    let level = |n: u8| [b"(".to_vec(), [b'h', n].repeat(300), vec![b't', b'q', n + 1]].concat();
    refuses([b"\x80\x02Nq\x00".to_vec(), level(0), level(1), b".".to_vec()].concat(), "more than 65536 values");
}

#[test]
fn checkpoints_that_are_none_or_say_something_else() {
    let b = Bench::new();
    let thin = hash::tensor("rows", [2, 768], 1.0, 0.0).data;
    let refuses = |bytes: &[u8], more: &[&str], code: i32, want: &[&str]| {
        let source = b.write("m.ckpt", bytes);
        refused(&mut import(&source, &[&THIN[..], more].concat()), code, want);
    };
    let whole = |bytes: &[u8], more: &[&str], code: i32, want: &[&str]| {
        refuses(bytes, &[&["--no-crop"], more].concat(), code, want);
    };
    let made = |parameters: &[(&'static str, V)]| checkpoint(&thin, 768, parameters);
    refuses(
        &made(&[]),
        &[],
        2,
        &["does not state how pictures were prepared", "--crop if it is of anomalib 2.0", "--no-crop"],
    );
    let said = import(&b.write("m.ckpt", &made(&[])), &[&THIN[..], &["--no-crop"]].concat()).output().unwrap();
    let notes = [
        "does not state the layers (--layers), num_neighbors",
        "the size of pictures (--size)",
        "could not be checked",
    ];
    assert!(said.status.success() && notes.iter().all(|n| text(&said.stderr).contains(n)), "{}", text(&said.stderr));
    whole(&made(&[]), &["--layers", "3,2"], 2, &["layers layer3,layer2: expected in the network's order"]);
    whole(&made(&[]), &["--size", "8"], 2, &["size 8"]);
    let good = [("layers", layers(&[2, 3])), ("num_neighbors", V::Int(9))];
    whole(&made(&good), &["--layers", "1,2"], 2, &["--layers layer1,layer2: the bank was fitted with layer2,layer3"]);
    whole(&made(&good), &["--reweight", "3"], 2, &["--reweight 3"]);
    whole(&made(&good), &["--resize", "300"], 2, &["--resize does not apply"]);
    whole(&made(&good), &["--member", "1"], 2, &["apply to official models only"]);
    whole(&made(&good), &["--neighbors", "1"], 2, &["apply to official models only"]);
    whole(&made(&good), &["--layers", "2,4"], 2, &["--layers layer2,layer4"]);
    whole(
        &made(&[("layers", layers(&[2]))]),
        &[],
        4,
        &["rows of 768 values", "layers layer2 of resnet50_thin give 256"],
    );
    whole(&made(&[("layers", V::Int(2))]), &[], 4, &["hyper-parameter layers"]);
    whole(&made(&[("num_neighbors", V::Int(0))]), &[], 4, &["at least 1"]);
    whole(&made(&[("num_neighbors", V::Int(5000))]), &[], 4, &["asks for 5000 neighbours"]);
    let source = b.write("m.ckpt", &made(&[("backbone", V::Text("efficientnet_b0.ra_in1k"))]));
    refused(&mut import(&source, &["--no-crop"]), 4, &["was fitted with an unknown network, efficientnet_b0.ra_in1k"]);
    let source = b.write("m.ckpt", &made(&[("backbone", V::Raw(Pickle::new().global("my.own", "Net")))]));
    refused(&mut import(&source, &["--no-crop"]), 2, &["a network that it does not name", "--backbone"]);
    refused(
        &mut import(&b.write("m.ckpt", &made(&[])), &["--no-crop"]),
        2,
        &["wide_resnet50_2 has no built-in weights"],
    );
    // No bank, none yet, one behind an object, one with a number that is none.
    let state = |name: &str, put: &dyn Fn(Pickle) -> Pickle| {
        put(Pickle::new().op(b"}").text("state_dict").op(b"}").text(name)).op(b"ss").done()
    };
    let tensor = |sizes: &'static [u64]| move |p: Pickle| p.tensor("0", 4, sizes, &[2, 1][..sizes.len()]);
    whole(&archive(&state("model.x", &tensor(&[2, 2])), &[0; 16]), &[], 4, &["contains no memory_bank"]);
    whole(&archive(&state("model.memory_bank", &tensor(&[0, 2])), &[0; 16]), &[], 4, &["before the fit had finished"]);
    let hidden = |p: Pickle| tensor(&[2, 2])(p.global("my.own", "Wrapper").op(b"(")).op(b"tR");
    whole(&archive(&state("model.memory_bank", &hidden), &[0; 16]), &[], 4, &["is inside my.own.Wrapper"]);
    let mut bad = thin.clone();
    bad[800] = f32::NAN;
    whole(&checkpoint(&bad, 768, &[]), &[], 7, &["row 1 of its bank", "not finite"]);
    whole(b"no checkpoint", &[], 4, &["m.ckpt"]);
    whole(b"version https://git-lfs.github.com/spec/v1\n", &[], 4, &["is a Git LFS pointer"]);
    refused(&mut import(&b.path("none.ckpt"), &THIN), 4, &["none.ckpt", "cannot be opened"]);
}

/// The real checkpoint, with a network or pictures that were not its own.
#[test]
fn another_network_than_the_banks_own() {
    let b = Bench::new();
    let named = hash::full(models::find("resnet18").unwrap());
    let write = |name: &str, change: &dyn Fn(&str, &mut Vec<f32>)| {
        let mut tensors: Vec<_> = named.iter().map(|(k, t)| (k.clone(), (**t).clone())).collect();
        tensors.iter_mut().for_each(|(k, t)| change(k, &mut t.data));
        let tensors: Vec<_> = tensors.iter().map(|(k, t)| (k.clone(), t)).collect();
        b.write(name, &lupe::weights::safetensors::write(&tensors).unwrap())
    };
    let given = |weights: &Path, more: &[&str]| {
        let mut command = import(&fixture("anomalib.ckpt"), more);
        command.arg("--weights").arg(weights);
        command
    };
    let right = write("right.safetensors", &|_, _| {});
    done(&mut given(&right, &[]));
    let other = write("other.safetensors", &|k, data| {
        if k == "conv1.weight" {
            data[77] += 0.001;
        }
    });
    refused(&mut given(&other, &[]), 4, &["its conv1.weight differs from that of", "other.safetensors", "--weights"]);
    refused(&mut given(&right, &["--size", "256"]), 2, &["--size 256: the bank was fitted with 64"]);
    let thin = import(&fixture("anomalib.ckpt"), &THIN);
    refused(&mut { thin }, 4, &["other means and deviations than those of resnet50_thin"]);
    // Pictures that went through something else: its description changed.
    for (from, to, want) in [
        ("torchvision.transforms.v2.Resize", "my.Random", "went through Random, Normalize"),
        (
            "torchvision.transforms.v2.Normalize",
            "torchvision.transforms.v2.Grayscale",
            "went through Resize, Grayscale",
        ),
        ("torchvision.transforms.v2.Compose", "x", ""),
        ("transforms", "others", "went through Compose"),
        ("bilinear", "nearest", "bilinear and antialiased"),
        ("antialias", "other", "bilinear and antialiased"),
        ("size", "sizes", "not resized to a square"),
        ("mean", "means", "were normalised with other means"),
    ] {
        let changed = archive_of(&replaced(&real_pickle(), from, to));
        match anomalib(&changed, "m.ckpt", String::new(), &Given::default()) {
            Ok(found) => assert!(want.is_empty() && found.config.size == 64, "{from}: it was taken"),
            Err(e) => assert!(e.exit_code() == 4 && !want.is_empty() && e.to_string().contains(want), "{want}: {e}"),
        }
    }
}

/// The pickle of the real checkpoint.
fn real_pickle() -> Vec<u8> {
    let whole = fs::read(fixture("anomalib.ckpt")).unwrap();
    let find = |what: &[u8], from: usize| from + whole[from..].windows(what.len()).position(|w| w == what).unwrap();
    let start = find(b"\x80\x02}", find(b"anomalib/data.pkl", 0));
    whole[start..find(b"PK\x03\x04", start)].to_vec()
}

/// A pickle with another text.
fn replaced(pickle: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = |t: &str| [b"X", &(t.len() as u32).to_le_bytes()[..], t.as_bytes()].concat();
    let (from, to) = (text(from), text(to));
    let at = pickle.windows(from.len()).position(|w| w == from).unwrap();
    [&pickle[..at], &to, &pickle[at + from.len()..]].concat()
}

/// The archive of the real checkpoint's pickle, or one like it, with zeros for all numbers.
fn archive_of(pickle: &[u8]) -> Vec<u8> {
    let sizes = [1, 4, 4, 4, 4, 4, 4, 48640, 37632, 256, 256, 256, 256, 8, 4356];
    let storages = sizes.iter().enumerate().map(|(n, size)| record(&format!("a/data/{n}"), &vec![0; *size]));
    zip(&[record("a/data.pkl", pickle)].into_iter().chain(storages).collect::<Vec<_>>())
}

/// Flipped bytes end in a model or in a documented error, never in a panic.
#[test]
fn flipped_bytes() {
    let thin = network();
    let weights = Weights::from_tensors([("conv1.weight".to_string(), Tensor::zeros([1, 1, 1, 1]))]);
    let (index, params) = ["nnscorer_search_index.faiss", "patchcore_params.pkl"]
        .map(|f| fs::read(fixture("official").join(f)).unwrap())
        .into();
    let (mut codes, mut good) = (BTreeMap::new(), 0);
    let mut count = |what: &str, n: u64, result: lupe::Result<()>| match result {
        Ok(_) => good += 1,
        Err(e) => {
            assert!([2, 3, 4, 7].contains(&e.exit_code()), "{what}, flip {n}: {e}");
            *codes.entry((what.to_string(), e.exit_code())).or_insert(0) += 1;
        }
    };
    let official = |index: &[u8], params: &[u8]| {
        let found = official(&value(params, "p")?, "p", faiss::read(index, "i")?, String::new(), &Given::default())?;
        found.model(thin, weights.clone(), true).map(drop)
    };
    // The network comes later and is another one here.
    let anomalib = |bytes: &[u8]| anomalib(bytes, "c", String::new(), &Given::default()).map(drop);
    let (real, old) = (real_pickle(), fs::read(fixture("anomalib_objects.ckpt")).unwrap());
    for n in 0..2000 {
        count("index", n, official(&flipped("index", n, &index), &params));
        count("head", n, official(&[&flipped("head", n, &index[..45]), &index[45..]].concat(), &params));
        count("params", n, official(&index, &flipped("params", n, &params)));
        count("pickle", n, anomalib(&archive_of(&flipped("pickle", n, &real))));
        count("objects", n, anomalib(&flipped("objects", n, &old)));
    }
    println!("{good} flips changed nothing that matters; errors: {codes:?}");
}

fn flipped(name: &str, n: u64, bytes: &[u8]) -> Vec<u8> {
    let z = hash::z(hash::fnv1a64(name), n);
    let mut flipped = bytes.to_vec();
    flipped[(z >> 8) as usize % bytes.len()] ^= (z as u8).max(1);
    flipped
}
