//! Ways to write the same checkpoint that the samples do not show: old streams, Python 2, other rebuild functions, 64-bit archives.

use crate::common;
use crate::common::torch::{MAGIC, Pickle, archive, record, stream, zip};
use lupe::weights::raw::{ReadOptions, read};
use std::collections::BTreeMap;

/// Name, type, shape and bytes of every tensor, or the message.
type Found = Result<BTreeMap<String, (String, Vec<usize>, Vec<u8>)>, String>;

fn tensors(bytes: &[u8]) -> Found {
    let read = read(bytes, "file", &ReadOptions::default()).map_err(|e| e.to_string())?;
    Ok(read.into_iter().map(|(k, r)| (k, (format!("{:?}", r.dtype), r.shape, r.bytes.to_vec()))).collect())
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn holds(bytes: &[u8], name: &str, dtype: &str, shape: &[usize], data: &[u8]) {
    let found = tensors(bytes).unwrap();
    assert_eq!(found[name], (dtype.to_string(), shape.to_vec(), data.to_vec()), "{name}");
}

/// `{"w": tensor}` on a persistent id whose last item is `view`.
fn viewed(view: &[u8], sizes: &[u8]) -> Vec<u8> {
    let storage = Pickle::new().op(b"}").text("w").global("torch._utils", "_rebuild_tensor_v2").op(b"((");
    let storage = storage.text("storage").global("torch", "FloatStorage").text("7").text("cpu").op(b"K\x04");
    storage
        .op(view)
        .op(b"tQK\x00")
        .op(sizes)
        .op(b"K\x01\x85\x89")
        .global("collections", "OrderedDict")
        .op(b")RtRs")
        .done()
}

#[test]
fn streams_of_old_versions() {
    let data = floats(&[1.0, 2.0, 3.0, 4.0]);
    let storages: &[(&str, u64, &[u8])] = &[("7", 4, &data)];
    holds(&stream(&viewed(b"N", b"K\x04\x85"), storages), "w", "F32", &[4], &data);
    // A part of a storage, as streams before version 1.0 had them: two elements from the second on.
    let part = b"X\x01\x00\x00\x008K\x01K\x02\x87";
    holds(&stream(&viewed(part, b"K\x02\x85"), storages), "w", "F32", &[2], &floats(&[2.0, 3.0]));
    let error = tensors(&stream(&viewed(part, b"K\x03\x85"), storages)).unwrap_err();
    assert!(error.contains("tensor w: needs elements up to 2 of a storage of 2"), "{error}");
    let beyond = b"X\x01\x00\x00\x008K\x03K\x02\x87";
    let error = tensors(&stream(&viewed(beyond, b"K\x02\x85"), storages)).unwrap_err();
    assert!(error.contains("a part of storage 7 lies outside it"), "{error}");
    for (storages, want) in [
        (&[("7", 3, &data[..])][..], "storage 7 has 3 elements, but 4 are claimed"),
        (&[("7", u64::MAX, &data)], "storage 7 has -1 elements"),
        (&[("8", 4, &data)], "storage 8 is not used by any tensor"),
        (&[("7", 4, &data), ("7", 4, &data)], "storage 7 is listed twice"),
        (&[], "storage 7 is missing"),
    ] {
        let error = tensors(&stream(&viewed(b"N", b"K\x04\x85"), storages)).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
    // Protocol 4 puts frames around everything, the magic number too.
    let mut framed = [&b"\x80\x04\x95\x0d\0\0\0\0\0\0\0"[..], &MAGIC[2..]].concat();
    framed.extend(&stream(&viewed(b"N", b"K\x04\x85"), storages)[MAGIC.len()..]);
    holds(&framed, "w", "F32", &[4], &data);
    let plain = tensors(b"\x80\x02}.").unwrap_err();
    assert!(plain.contains("is a pickle, but not one written by torch.save"), "{plain}");
    let module = Pickle::new().op(b"(").text("module").global("torch", "Tensor").text("a.py").text("").op(b"tQ").done();
    let module = tensors(&stream(&module, &[])).unwrap_err();
    assert!(module.contains("a whole module was saved"), "{module}");
}

#[test]
fn strings_and_maps_of_python_2() {
    // BINSTRING and SHORT_BINSTRING, and an OrderedDict made of a list of pairs.
    let pairs = Pickle::new().global("collections", "OrderedDict").op(b"(](](U\x01w");
    let pickle = pairs.tensor("0", 2, &[2], &[1]).op(b"e](T\x01\0\0\0v");
    let pickle = pickle.tensor("0", 2, &[1], &[1]).op(b"eetR").done();
    let file = archive(&pickle, &floats(&[5.0, 6.0]));
    holds(&file, "w", "F32", &[2], &floats(&[5.0, 6.0]));
    holds(&file, "v", "F32", &[1], &floats(&[5.0]));
}

#[test]
fn every_function_that_rebuilds() {
    let data = floats(&[0.5, 1.5]);
    let value = |value: Pickle| archive(&value.op(b"s").done(), &data);
    let start = || Pickle::new().op(b"}").text("w");
    let args = |p: Pickle| p.arguments("FloatStorage", "0", 2, &[2], &[1]);
    let v2 = |p: Pickle| p.global("torch._utils", "_rebuild_tensor_v2");
    // Without gradient and hooks; sizes as torch.Size.
    let short = start().global("torch._utils", "_rebuild_tensor").op(b"((").text("storage");
    let short = short.global("torch", "FloatStorage").text("0").text("cuda:0").op(b"K\x02tQK\x01");
    let short = short.global("torch", "Size").op(b"K\x01\x85\x85R").op(b"K\x01\x85tR");
    holds(&value(short), "w", "F32", &[1], &floats(&[1.5]));
    // A parameter with attributes, and a subclass: function, class, arguments, state.
    let parameter = start().global("torch._utils", "_rebuild_parameter_with_state").op(b"(");
    holds(&value(args(v2(parameter)).op(b"R\x88)}tR")), "w", "F32", &[2], &data);
    let subclass = start().global("torch._tensor", "_rebuild_from_type_v2").op(b"(");
    let subclass = args(v2(subclass).global("torch.nn.parameter", "Parameter")).op(b"}tR");
    holds(&value(subclass), "w", "F32", &[2], &data);
    // Storages without a type: their elements are bytes, the tensor says what it is made of.
    let untyped = |dtype: &str, sizes: &[u8]| {
        let p = start().global("torch._utils", "_rebuild_tensor_v3").op(b"((").text("storage");
        let p = p.global("torch.storage", "UntypedStorage").text("0").text("cpu").op(b"K\x08tQK\x00");
        let p = p.op(sizes).op(b"\x85K\x01\x85\x89}").global("torch", dtype).op(b"tR");
        value(p)
    };
    holds(&untyped("uint16", b"K\x04"), "w", "U16", &[4], &data);
    holds(&untyped("float8_e4m3fn", b"K\x08"), "w", "F8_E4M3", &[8], &data);
    let error = tensors(&untyped("uint32", b"K\x03")).unwrap_err();
    assert!(error.contains("needs elements up to 2 of a storage of 2"), "{error}");
    // What numbers cannot be kept is refused by name.
    let complex = v2(start()).arguments("ComplexDoubleStorage", "0", 2, &[2], &[1]).op(b"R");
    let error = tensors(&value(complex)).unwrap_err();
    assert!(error.contains("tensor w: has elements of type torch.ComplexDoubleStorage"), "{error}");
    let sparse = start().global("torch._utils", "_rebuild_sparse_tensor").op(b")R");
    let error = tensors(&value(sparse)).unwrap_err();
    assert!(error.contains("tensor w: is rebuilt by torch._utils._rebuild_sparse_tensor"), "{error}");
    let called = start().global("torch", "FloatStorage").op(b")R");
    let error = tensors(&value(called)).unwrap_err();
    assert!(error.contains("torch.FloatStorage cannot be called"), "{error}");
}

/// PyTorch keeps a negative or a conjugate without computing it: a mark beside the storage.
#[test]
fn fault_18_a_tensor_marked_as_negative_is_refused() {
    let data = floats(&[0.5, 1.5]);
    let marked = |function: &str, more: &dyn Fn(Pickle) -> Pickle, mark: &str, value: &[u8]| {
        let p = Pickle::new().op(b"}").text("w").global("torch._utils", function);
        let p = p.arguments("FloatStorage", "0", 2, &[2], &[1]);
        let p = Pickle(p.0[..p.0.len() - 1].to_vec()); // the arguments are left open for more
        archive(&more(p).op(b"}").text(mark).op(value).op(b"stRs").done(), &data)
    };
    let v2 = |p: Pickle| p;
    let v3 = |p: Pickle| p.global("torch", "float32");
    for (function, more) in [("_rebuild_tensor_v2", &v2 as &dyn Fn(Pickle) -> Pickle), ("_rebuild_tensor_v3", &v3)] {
        for (mark, want) in [("neg", ".resolve_neg()"), ("conj", ".resolve_conj()"), ("new", "does not know, new")] {
            let error = tensors(&marked(function, more, mark, b"\x88")).unwrap_err();
            assert!(error.starts_with("file: tensor w: ") && error.contains(want), "{error}");
            holds(&marked(function, more, mark, b"\x89"), "w", "F32", &[2], &data);
        }
    }
}

#[test]
fn protocol_5_and_what_stands_beside_the_weights() {
    let data = floats(&[0.25]);
    let pickle = Pickle(b"\x80\x05\x95\0\0\0\0\0\0\0\0}(".to_vec()).op(b"\x8c\x01w\x94").tensor("0", 1, &[], &[]);
    let bytes = pickle.text("b").op(b"\x96\x02\0\0\0\0\0\0\0ab").text("n").op(b"C\x02ab");
    let set = bytes.text("s").op(b"\x8f(K\x01K\x02\x90").text("f").op(b"(K\x01\x91");
    let dates = set.text("d").global("datetime", "timedelta").op(b"K\x01\x85R");
    let scalar = dates.text("best").global("numpy.core.multiarray", "scalar").global("numpy", "dtype");
    let scalar = scalar.op(b"(").text("f8").op(b"\x89\x88tR(K\x03").text("<").op(b"NNNtbC\x01x\x86R");
    let objects = scalar.text("args").global("argparse", "Namespace").op(b")}\x92}b");
    let file = archive(&objects.op(b"u").done(), &data);
    assert_eq!(tensors(&file).unwrap().len(), 1);
    holds(&file, "w", "F32", &[], &data);
}

#[test]
fn flipped_pickles_in_archives_whose_checksums_are_right() {
    let path = common::vectors::path("pth/zip_protocol4.pth");
    let sample = std::fs::read(path).unwrap();
    let start = sample.windows(3).position(|w| w == b"\x80\x04\x95").unwrap();
    let length = sample[start..].windows(2).position(|w| w == b"PK").unwrap();
    let pickle = &sample[start..start + length];
    for at in 0..length {
        for flip in [0x01, 0x02, 0x10, 0x80, 0xff] {
            let mut bytes = pickle.to_vec();
            bytes[at] ^= flip;
            let total = tensors(&archive(&bytes, &[0; 432])).map_or(0, |t| t.values().map(|v| v.2.len()).sum());
            assert!(total <= 64 << 20);
        }
    }
}

#[test]
fn archives_of_64_bits() {
    let pickle = Pickle::new().op(b"}").text("w").tensor("0", 1, &[1], &[1]).op(b"s").done();
    let mut storage = record("a/data/0", &floats(&[3.0]));
    storage.zip64 = true;
    let plain = zip(&[record("a/data.pkl", &pickle), storage]);
    holds(&plain, "w", "F32", &[1], &floats(&[3.0]));
    // The directory's place in 64 bits: record, locator, and an end that says nothing.
    let end = plain.len() - 22;
    let field = |at: usize| u64::from(u32::from_le_bytes(plain[end + at..][..4].try_into().unwrap()));
    let long = |size: u64, start: u64| {
        let mut file = plain[..end].to_vec();
        file.extend(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
        for n in [2, 2, size, start] {
            file.extend(n.to_le_bytes());
        }
        file.extend(b"PK\x06\x07\0\0\0\0");
        file.extend((end as u64).to_le_bytes());
        file.extend(b"\x01\0\0\0PK\x05\x06\0\0\0\0");
        file.extend([0xff; 12]);
        file.extend([0, 0]);
        file
    };
    holds(&long(field(12), field(16)), "w", "F32", &[1], &floats(&[3.0]));
    for (size, start) in [(field(12), u64::MAX), (u64::MAX, field(16)), (1 << 60, 1 << 60)] {
        let error = tensors(&long(size, start)).unwrap_err();
        assert!(error.contains("its central directory should have") && error.contains("outside the file"), "{error}");
    }
    let error = tensors(&long(field(12), field(16))[..end + 56]).unwrap_err();
    assert!(error.contains("central directory is missing"), "{error}");
}
