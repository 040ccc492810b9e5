//! Checkpoints of PyTorch: the samples bit for bit, files that must be refused, flipped bytes, hostile files.

use crate::common;
use crate::common::program::{Bench, done, lupe, refused};
use crate::common::thin;
use crate::common::torch::{Entry, Pickle, archive, deflated, put, record, zip};
use crate::common::vectors::path;
use lupe::weights::Weights;
use lupe::weights::raw::{Raw, ReadOptions, read};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const GOOD: [&str; 18] = [
    "zip_state_dict.pth",
    "zip_mixed_dtypes.pth",
    "zip_views_shared.pth",
    "zip_nested_pmf_style.pth",
    "zip_nested_state_dict.pth",
    "zip_parameter.pth",
    "legacy_state_dict.pth",
    "legacy_mixed_dtypes.pth",
    "legacy_views_shared.pth",
    "legacy_nested_pmf_style.pth",
    "legacy_nested_state_dict.pth",
    "legacy_parameter.pth",
    "zip_bare_tensor.pth",
    "zip_protocol4.pth",
    "tar_state_dict.pth",
    "torchscript_archive.pt",
    "odd_deflated.pth",
    "odd_big_endian.pth",
];

const BAD: [(&str, &[&str]); 13] = [
    ("os_system", &["posix.system"]),
    ("os_system_proto4", &["posix.system"]),
    ("legacy_os_system", &["posix.system"]),
    ("os_global_text", &["os.system"]),
    ("hidden_eval_after_good_dict", &["__builtin__.eval"]),
    ("getattr_chain", &["__builtin__.getattr"]),
    ("whole_module", &["torch.nn.modules.linear.Linear", "state_dict()"]),
    ("inst_opcode", &["opcode INST"]),
    ("out_of_bounds", &["record data/0 has 4 bytes, but 8 are claimed"]),
    ("huge_storage", &["record data/0 has 8 bytes, but 8589934588 are claimed"]),
    ("huge_size", &["tensor w: needs elements up to 2147483646 of a storage of 2"]),
    ("truncated_zip", &["central directory is missing"]),
    ("truncated_legacy", &["storage 94312596150352 is cut off: 16 bytes are missing"]),
];

fn bytes(file: &str) -> Vec<u8> {
    fs::read(path(&format!("pth/{file}"))).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn raws<'a>(bytes: &'a [u8], options: &ReadOptions) -> Result<BTreeMap<String, Raw<'a>>, String> {
    let error = |e: lupe::Error| {
        assert_eq!(e.exit_code(), 4);
        e.to_string()
    };
    read(bytes, "file", options).map_err(error)
}

fn expected(file: &str) -> Vec<u8> {
    bytes(&format!("{}.expected.safetensors", file.rsplit_once('.').unwrap().0))
}

fn convert(from: &Path, to: &Path) -> std::process::Command {
    let mut command = lupe();
    command.args(["weights", "convert"]).arg(from).arg(to);
    command
}

fn refuses(bytes: &[u8], want: &str) {
    let error = raws(bytes, &ReadOptions::default()).unwrap_err();
    assert!(error.starts_with("file: ") && error.contains(want), "\"{want}\" is not in: {error}");
}

#[test]
fn good_samples_are_read_bit_for_bit() {
    let b = Bench::new();
    for file in GOOD {
        let (input, want) = (bytes(file), expected(file));
        let want = raws(&want, &ReadOptions::default()).unwrap();
        assert!(!want.is_empty());
        assert_eq!(raws(&input, &ReadOptions::default()).unwrap(), want, "{file}");
        let (from, to) = (b.write(file, &input), b.path("out.safetensors"));
        let said = done(&mut convert(&from, &to));
        assert!(said.contains(&format!("{} tensors", want.len())), "{said}");
        let written = fs::read(&to).unwrap();
        assert_eq!(raws(&written, &ReadOptions::default()).unwrap(), want, "{file}");
        done(&mut convert(&from, &to));
        assert_eq!(fs::read(&to).unwrap(), written, "{file}: not the same bytes twice");
    }
}

#[test]
fn bad_samples_are_refused_by_name() {
    let b = Bench::new();
    let out = b.path("out.safetensors");
    for (name, want) in BAD {
        let file = format!("refuse_{name}.pth");
        let from = b.write(&file, &bytes(&file));
        let want = [want, &[file.as_str()]].concat();
        refused(&mut convert(&from, &out), 4, &want);
        let error = Weights::open(&from).unwrap_err();
        assert!(want.iter().all(|w| error.to_string().contains(w)), "{file}: {error}");
    }
    assert!(!out.exists());
    // Opaque names are still no tensors, and what is no archive is none.
    for name in ["os_system", "whole_module", "getattr_chain", "inst_opcode", "truncated_zip"] {
        let from = b.path(&format!("refuse_{name}.pth"));
        refused(convert(&from, &out).arg("--skip-unknown"), 4, &[name]);
    }
}

#[test]
fn flipped_bytes_never_panic_hang_or_pass_the_bound() {
    let kinds = [
        "zip_state_dict.pth",
        "zip_views_shared.pth",
        "zip_protocol4.pth",
        "odd_deflated.pth",
        "torchscript_archive.pt",
        "legacy_mixed_dtypes.pth",
        "legacy_nested_pmf_style.pth",
        "tar_state_dict.pth",
    ];
    for kind in kinds {
        let whole = bytes(kind);
        let try_one = |bytes: &[u8], what: String| {
            let begun = Instant::now();
            for unwrap in [false, true] {
                let options = ReadOptions { unwrap, skip_unknown: unwrap, ..ReadOptions::default() };
                let total = raws(bytes, &options).map_or(0, |t| t.values().map(|r| r.bytes.len()).sum());
                assert!(total <= 64 << 20, "{kind}, {what}: {total} bytes");
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{kind}, {what}: hung for {:?}", begun.elapsed());
        };
        for n in 0..2000 {
            let at = if whole.len() >= 2000 { n * whole.len() / 2000 } else { n % whole.len() };
            for flip in [0x01u8, 0x80, 0xff, (n as u8).wrapping_mul(37) | 2] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                try_one(&bytes, format!("byte {at} ^ {flip:#x}"));
            }
        }
        for n in 0..200 {
            let cut = n * whole.len() / 200;
            try_one(&whole[..cut], format!("cut at {cut}"));
        }
    }
}

#[test]
fn bytes_of_storages_in_archives_cannot_change_unseen() {
    for file in ["zip_state_dict.pth", "odd_deflated.pth"] {
        let (whole, want) = (bytes(file), expected(file));
        let want = raws(&want, &ReadOptions::default()).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let read = raws(&bytes, &ReadOptions::default());
            // What lies between the records, a version, a date: it may change, the tensors may not.
            assert!(read.is_err() || read.as_ref() == Ok(&want), "{file}: byte {at} changes a tensor unseen");
        }
    }
}

#[test]
fn checkpoints_are_weights() {
    let b = Bench::new();
    for file in ["zip_nested_state_dict.pth", "legacy_nested_state_dict.pth"] {
        let weights = Weights::open(&b.write("w.bin", &bytes(file))).unwrap();
        let names: Vec<&str> = weights.tensors().keys().map(String::as_str).collect();
        let parts = ["bias", "running_mean", "running_var", "weight"].map(|p| format!("bn1.{p}"));
        let want: Vec<&str> =
            parts.iter().map(String::as_str).chain(["conv1.weight", "fc.bias", "fc.weight"]).collect();
        assert_eq!(names, want);
    }
    let model = Weights::open(&b.write("p.pt", &bytes("zip_nested_pmf_style.pth"))).unwrap();
    assert_eq!(model.tensors().keys().collect::<Vec<_>>(), ["bias", "weight"]);
    // A whole network as a checkpoint in wrappers gives the same weights.
    let bytes = fs::read(thin::FILE).unwrap();
    let thin = raws(&bytes, &ReadOptions::default()).unwrap();
    let (mut pickle, mut records) =
        (Pickle::new().op(b"}").text("epoch").op(b"K\x01s").text("state_dict").op(b"}"), vec![]);
    for (n, (name, raw)) in thin.iter().enumerate() {
        let entry = Entry::new(&format!("module.{name}"), &raw.shape, "HalfStorage", &n.to_string());
        records.push(record(&format!("thin/data/{}", entry.key), &raw.bytes));
        pickle = put(pickle, &[entry]);
    }
    records.push(record("thin/data.pkl", &pickle.op(b"s").done()));
    let (file, out) = (b.write("thin.pth", &zip(&records)), b.path("thin.safetensors"));
    assert_eq!(Weights::open(&file).unwrap().tensors(), thin::weights().tensors());
    done(convert(&file, &out).arg("--unwrap"));
    let written = fs::read(&out).unwrap();
    assert_eq!(raws(&written, &ReadOptions::default()).unwrap(), thin);
    let seen = done(lupe().args(["weights", "inspect"]).arg(&file));
    assert!(seen.contains("fits resnet50_thin"), "{seen}");
}

#[test]
fn types_are_kept_or_changed_as_asked() {
    let b = Bench::new();
    let (from, out) = (b.write("m.pth", &bytes("zip_mixed_dtypes.pth")), b.path("out.safetensors"));
    for (dtype, want) in [("keep", ["F32", "F16", "BF16", "F64"]), ("f32", ["F32"; 4]), ("f16", ["F16"; 4])] {
        let said = done(convert(&from, &out).args(["--json", "--dtype", dtype]));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&said).unwrap()["tensors"], 12);
        let written = fs::read(&out).unwrap();
        let tensors = raws(&written, &ReadOptions::default()).unwrap();
        let types = ["f32", "f16", "bf16", "f64"].map(|n| format!("{:?}", tensors[n].dtype));
        assert_eq!(types, want);
        assert_eq!(format!("{:?}", tensors["i64"].dtype), "I64");
        // A file of safetensors is taken as well, and stays what it is.
        done(&mut convert(&out, &b.path("again.safetensors")));
        assert_eq!(fs::read(b.path("again.safetensors")).unwrap(), written);
    }
    let large = b.write("l.pth", &archive(&dict(|p| p.tensor("0", 1, &[], &[])), &70000f32.to_le_bytes()));
    refused(convert(&large, &out).args(["--dtype", "f16"]), 4, &["w contains 70000", "F16"]);
    refused(&mut convert(&large, &b.path("out.pth")), 2, &["expected an output name that ends in .safetensors"]);
    refused(&mut convert(&b.path("none.pth"), &out), 4, &["none.pth"]);
}

/// A map with one entry, `w`.
fn dict(value: impl FnOnce(Pickle) -> Pickle) -> Vec<u8> {
    value(Pickle::new().op(b"}").text("w")).op(b"s").done()
}

#[test]
fn unknown_names_are_left_out_only_where_no_tensor_is_behind_them() {
    let b = Bench::new();
    let out = b.path("out.safetensors");
    let tensor = |p: Pickle| p.text("w").tensor("0", 1, &[1], &[1]).op(b"s");
    let beside = tensor(Pickle::new().op(b"}")).text("config").global("omegaconf", "DictConfig").op(b")\x81}b");
    let file = b.write("beside.pth", &archive(&beside.op(b"s").done(), &[0; 4]));
    refused(&mut convert(&file, &out), 4, &["omegaconf.DictConfig", "--skip-unknown"]);
    assert!(done(convert(&file, &out).arg("--skip-unknown")).contains("1 tensors"));
    // Called again, and with the tensor among its arguments.
    let behind = dict(|p| p.global("x", "Quantised").op(b")R(").tensor("0", 1, &[1], &[1]).op(b"tR"));
    let file = b.write("behind.pth", &archive(&behind, &[0; 4]));
    refused(convert(&file, &out).arg("--skip-unknown"), 4, &["tensor w is inside x.Quantised"]);
    // TorchScript's names are inert in its archives only.
    let script = |p: Pickle| p.global("__torch__.net", "Net").op(b")\x81}").tensor_of("scale").op(b"b");
    let pickle = script(Pickle::new()).done();
    let mut records = vec![record("a/data.pkl", &pickle), record("a/data/0", &[0; 4])];
    refuses(&zip(&records), "__torch__.net.Net is refused");
    records.extend([record("a/code/x.py", b""), record("a/constants.pkl", b"\x80\x02).")]);
    assert_eq!(raws(&zip(&records), &ReadOptions::default()).unwrap().keys().collect::<Vec<_>>(), ["scale"]);
}

trait TensorOf {
    fn tensor_of(self, name: &str) -> Self;
}

impl TensorOf for Pickle {
    fn tensor_of(self, name: &str) -> Pickle {
        self.text(name).tensor("0", 1, &[1], &[1]).op(b"s")
    }
}

#[test]
fn hostile_archives() {
    let good = dict(|p| p.tensor("0", 1, &[1], &[1]));
    let with = |more: common::torch::Record| zip(&[record("a/data.pkl", &good), record("a/data/0", &[0; 4]), more]);
    for name in ["../evil", "a/../../evil", "/etc/passwd", "a\\..\\evil"] {
        refuses(&with(record(name, b"")), "has a name that leaves the archive");
    }
    refuses(&with(record("a/data/0", &[1; 4])), "two records are called a/data/0");
    refuses(&with(record("b/data.pkl", b"")), "contains two objects");
    // A deflate bomb: 80 MB out of 80 KB, honest or not about it.
    let (b, elements) = (Bench::new(), 20u64 << 20);
    let pickle = dict(|p| p.tensor("0", elements, &[1], &[1]));
    let packed = deflated("a/data/0", &vec![0; elements as usize * 4]);
    let bomb = zip(&[record("a/data.pkl", &pickle), packed.clone()]);
    assert!(bomb.len() < 100_000);
    let (file, out) = (b.write("bomb.pth", &bomb), b.path("out.safetensors"));
    refused(&mut convert(&file, &out), 4, &["record a/data/0", "83886080 bytes", "--limit-ram"]);
    done(convert(&file, &out).args(["--limit-ram", "100M"]));
    let mut lie = packed;
    lie.size = 4;
    refuses(&zip(&[record("a/data.pkl", &good), lie]), "unpacks to more than the 4 bytes it claims");
    // Sizes of 64 bits that nothing stands behind, and records on top of each other.
    let mut lie = record("a/data/0", &[0; 4]);
    (lie.zip64, lie.size) = (true, 1 << 60);
    refuses(
        &zip(&[record("a/data.pkl", &good), lie]),
        "record data/0 has 1152921504606846976 bytes, but 4 are claimed",
    );
    let pickle = dict(|p| p.tensor("0", 1 << 58, &[1], &[1]));
    let mut lie = deflated("a/data/0", &[0; 4]);
    (lie.zip64, lie.size) = (true, 1 << 60);
    refuses(&zip(&[record("a/data.pkl", &pickle), lie]), "it takes 1152921504606846976 bytes");
    let mut twice = zip(&[record("a/data.pkl", &good), record("a/data/0", &[0; 4])]);
    let at = twice.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap() + 42;
    twice[at..at + 4].fill(0);
    refuses(&twice, "begins at 0");
    refuses(&zip(&[record("a/x", b"")]), "not a checkpoint");
}

#[test]
fn hostile_pickles() {
    let limits = |pickle: Vec<u8>, want: &str| {
        let begun = Instant::now();
        refuses(&archive(&pickle, &[0; 4]), want);
        assert!(begun.elapsed() < Duration::from_secs(60), "{want}: hung for {:?}", begun.elapsed());
    };
    limits(dict(|p| p.tensor("0", 1, &[1 << 40], &[0])), "with tensor w it takes 43980465");
    limits(dict(|p| p.tensor("0", 1, &[1 << 40, 1 << 40, 0], &[0, 0, 0])), "which are too large");
    limits(dict(|p| p.tensor("0", 1, &[2], &[u64::MAX >> 1])), "tensor w: needs elements up to 9223372036854775807");
    limits(dict(|p| p.tensor("0", 1, &[1; 33], &[1; 33])), "or more than 32");
    // A million tensors, each of four opcodes and a name.
    let first = Pickle::new().global("torch._utils", "_rebuild_tensor_v2").op(b"q\x00");
    let mut many = first.arguments("FloatStorage", "0", 1, &[1], &[1]).op(b"q\x01").op(b"}");
    for n in 0..1_000_000 {
        many = many.text(&format!("{n:07}")).op(b"h\x00h\x01Rs");
    }
    limits(many.done(), "more than 4194304 steps");
    // Deep: 100,000 maps in each other, a million tuples in each other, marks without an end.
    let mut deep = Pickle::new();
    for _ in 0..100_000 {
        deep = deep.op(b"}").text("a");
    }
    limits(deep.tensor("0", 1, &[1], &[1]).op(&[b's'; 100_000]).done(), "nested deeper than 64");
    limits(dict(|p| p.op(b")").op(&[0x85; 1_000_000])), "contains no named tensors");
    limits(Pickle::new().op(&[b'('; 5_000_000]).done(), "steps");
    // A map that is its own part, and one that holds every smaller one twice.
    limits(Pickle::new().op(b"}q\x00").text("a").op(b"h\x00s.").0, "nested deeper than 64");
    let mut laughs = Pickle::new().tensor("0", 1, &[1], &[1]).op(b"q\x00");
    for n in 0..40u8 {
        laughs = laughs.op(b"}(").text("a").op(&[b'h', n]).text("b").op(&[b'h', n]).op(&[b'u', b'q', n + 1]);
    }
    limits(laughs.done(), "the names of its tensors");
    // Two tensors of one name, by two paths and by a prefix that is taken off.
    let pair = |a: &str, c: &str| {
        let outer = Pickle::new().op(b"}").text(a).op(b"}").tensor_of("b").op(b"s");
        outer.tensor_of(c).done()
    };
    limits(pair("a", "a.b"), "two tensors are called a.b");
    limits(pair("state_dict", "b"), "two tensors are called b");
    limits(Pickle::new().op(b"}").tensor_of("w").tensor_of("w").done(), "two tensors are called w");
    for (broken, want) in [
        (&b"\x80\x02h\x07."[..], "memo 7 was never set"),
        (b"\x80\x02R.", "the stack is empty"),
        (b"\x80\x02X\xff\xff\xff\xffa", "4294967295 bytes needed"),
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffa", "bytes needed"),
        (b"\x80\x09.", "protocol 9"),
        (b"", "ends"),
    ] {
        limits(broken.to_vec(), want);
    }
}
