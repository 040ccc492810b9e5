//! EfficientAD's teachers: the names of every publisher, archives of files, what is told by shapes, what is refused; and the networks
//! `pdn_s` and `pdn_m` by every command that takes a network.

use crate::common;
use crate::common::pdn::{numbered, pth, renamed, safetensors, teacher};
use crate::common::program::{Bench, done, lupe, no_gpu, refused};
use crate::common::torch::{deflated, record, zip};
use crate::common::vectors;
use lupe::engine::Named;
use lupe::methods::efficientad::Teacher;
use lupe::models::pdn::Size;
use lupe::weights::WeightsFile;
use std::path::Path;

fn open(path: &Path, size: Option<Size>) -> lupe::Result<Teacher> {
    Teacher::open(&WeightsFile::from(path), size)
}

fn fails(path: &Path, size: Option<Size>, code: u8, want: &[&str]) {
    let error = open(path, size).map(|t| t.words()).unwrap_err();
    let said = error.to_string();
    assert_eq!(error.exit_code(), code, "{said}");
    for part in want {
        assert!(said.contains(part), "\"{part}\" is not in: {said}");
    }
}

/// The same numbers, as nelson1425, anomalib, rximg and a checkpoint of anomalib's name them.
fn styles(named: &Named) -> Vec<(&'static str, Vec<u8>)> {
    let mut checkpoint = renamed(named, |k| format!("model.teacher.{k}"));
    checkpoint.extend(renamed(named, |k| format!("model.ae.encoder.en{k}")));
    vec![
        ("nelson.pth", pth(&numbered(named))),
        ("anomalib.pth", pth(named)),
        ("rximg.pth", pth(&renamed(named, |k| format!("pdn.{k}")))),
        ("checkpoint.safetensors", safetensors(&checkpoint)),
    ]
}

#[test]
fn the_names_of_every_publisher_have_one_fingerprint() {
    let b = Bench::new();
    for (size, narrow) in [(Size::Small, 8), (Size::Medium, 8), (Size::Small, 16)] {
        let named = teacher(size, narrow);
        let mut fingerprints = vec![];
        for (name, bytes) in styles(&named) {
            let found = open(&b.write(name, &bytes), None).unwrap();
            assert_eq!((found.size, found.narrow, found.weights.tensors()), (size, narrow, &named), "{name}");
            assert_eq!(found.network.name, size.network());
            open(&b.path(name), Some(size)).unwrap();
            fingerprints.push(found.fingerprint());
        }
        assert!(fingerprints.iter().all(|f| *f == fingerprints[0]), "{fingerprints:?}");
        let words = open(&b.path("nelson.pth"), None).unwrap().words();
        assert!(words.contains(&format!("size {} by its shapes", size.letter().to_uppercase())), "{words}");
        assert!(words.contains(&fingerprints[0]) && words.contains(&format!("at 1/{narrow} of its width")), "{words}");
    }
    let whole = open(&b.write("whole.pth", &pth(&numbered(&teacher(Size::Small, 1)))), None).unwrap();
    assert!(whole.narrow == 1 && !whole.words().contains("width"), "{}", whole.words());
    // Another number is another teacher.
    let mut other = teacher(Size::Small, 16);
    let bias = other.get_mut("conv3.bias").unwrap();
    std::sync::Arc::make_mut(bias).data[0] += 1e-6;
    let [one, two] = [&other, &teacher(Size::Small, 16)].map(|t| open(&b.write("t.pth", &pth(t)), None).unwrap());
    assert_ne!(one.fingerprint(), two.fingerprint());
}

#[test]
fn a_teacher_inside_a_zip() {
    let b = Bench::new();
    let [small, medium] = [teacher(Size::Small, 16), teacher(Size::Medium, 16)];
    let (one, other) = ("w/pretrained_teacher_small.pth", "w/pretrained_teacher_medium.pth");
    let both = b.write(
        "both.zip",
        &zip(&[record("w/README.md", b"text"), deflated(one, &pth(&small)), record(other, &pth(&medium))]),
    );
    fails(&both, None, 2, &["both.zip: holds teachers of both sizes; give --size s or --size m"]);
    for (size, named, inside) in [(Size::Small, &small, one), (Size::Medium, &medium, other)] {
        let found = open(&both, Some(size)).unwrap();
        assert_eq!(found.weights.tensors(), named);
        assert!(found.weights.notes().iter().any(|n| n.contains(inside)), "{:?}", found.weights.notes());
    }
    let alone = b.write("one.zip", &zip(&[deflated(one, &pth(&small))]));
    assert_eq!(open(&alone, None).unwrap().size, Size::Small);
    let twice = b.write("twice.zip", &zip(&[record("a.pth", &pth(&small)), record("b.pth", &pth(&small))]));
    fails(&twice, None, 4, &["several weights of pdn_s, a.pth and b.pth"]);
    let mut broken = pth(&small);
    broken.truncate(broken.len() / 2);
    let cut = b.write("cut.zip", &zip(&[record(one, &broken)]));
    fails(&cut, None, 4, &["cut.zip, w/pretrained_teacher_small.pth", "central directory"]);
}

#[test]
fn what_is_no_teacher_is_told() {
    let b = Bench::new();
    let small = teacher(Size::Small, 16);
    let file = b.write("small.pth", &pth(&small));
    fails(&file, Some(Size::Medium), 2, &["--size m: the teacher in", "is of size s; give --size s"]);
    let head = "holds no teacher of EfficientAD: expected the weights of a PDN";

    let student =
        renamed(&common::pdn::weights("s.", Size::Small.pdn().narrow(16).with_outputs(48)), |k| format!("pdn.{k}"));
    let student = b.write("student.pth", &pth(&student));
    fails(&student, None, 4, &[head, "conv4.weight has shape [48,16,4,4], this network wants [24,16,4,4]"]);

    let mut odd = small.clone();
    odd.insert("conv2.weight".into(), lupe::tensor::Tensor::zeros([16, 8, 5, 5]).into());
    let odd = b.write("odd.pth", &pth(&odd));
    fails(&odd, None, 4, &[head, "conv2.weight has shape [16,8,5,5]"]);
    fails(&odd, Some(Size::Medium), 4, &["as pdn_m"]);

    let resnet = b.write("net.safetensors", lupe::weights::EMBEDDED);
    fails(&resnet, None, 4, &[head, "conv1.weight [128,3,4,4] is missing", "those of efficientnet_lite0"]);
    fails(&vectors::path("pth/refuse_whole_module.pth"), None, 4, &["a whole module was saved", "state_dict()"]);
    fails(&b.path("none.pth"), None, 4, &["none.pth: cannot be opened"]);
    fails(&b.write("no.pth", b"no weights"), None, 4, &["not a valid safetensors file"]);
}

#[test]
fn the_networks_by_every_command() {
    let b = Bench::new();
    let [small, medium] = [(Size::Small, "s.pth"), (Size::Medium, "m.pth")]
        .map(|(size, name)| b.write(name, &pth(&numbered(&teacher(size, 16)))));
    for (file, name, other) in [(&small, "pdn_s", "pdn_m"), (&medium, "pdn_m", "pdn_s")] {
        let said = done(lupe().args(["weights", "inspect"]).arg(file));
        for part in [
            format!("fits {name}"),
            "those of nelson1425 become Lupe's".into(),
            "whole, 256x256, bilinear (the default of".into(),
            "none; this network has no batch norms".into(),
            format!("lupe embed PICTURE --model {name}"),
        ] {
            assert!(said.contains(&part), "\"{part}\" is not in: {said}");
        }
        assert!(!said.contains(&format!("fits {other}")) && !said.contains(&format!(", {other}")), "{said}");
    }
    refused(lupe().args(["plan", "pdn_s", "--size", "32"]), 2, &["--size 32: must be at least 33 for pdn_s"]);
    if no_gpu() {
        return;
    }
    let picture = b.picture("p.png");
    let said = done(lupe().args(["embed", "--model", "pdn_s", "--weights"]).arg(&small).arg(&picture).arg("--json"));
    assert!(said.contains("\"pool\"") || said.len() > 24 * 4, "{said}");
    for command in ["plan", "verify", "profile"] {
        let mut run = lupe();
        run.args([command, "pdn_s", "--size", "64", "--weights"]).arg(&small);
        if command == "profile" {
            run.args(["--repeats", "2"]);
        }
        done(&mut run);
    }
}
