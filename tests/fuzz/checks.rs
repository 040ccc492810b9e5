//! What must hold for any bytes, for each container: an error or tensors, never a panic, and no more of them than the bound allows. For a
//! picture: an error or all its values.
//! The fuzz targets call these, and `tests/files/corpus.rs` with every file that fuzzing found worth keeping.

use crate::torch::archive;
use lupe::Error;
use lupe::data::{Limits, Picture, Samples};
use lupe::models::{self, Outline};
use lupe::weights::convert::{Cast, Converted};
use lupe::weights::pth::{self, Container, values};
use lupe::weights::raw::{Contents, ReadOptions, contents, read};
use lupe::weights::{Weights, faiss as index};
use safetensors::Dtype;

/// What a target does with an input.
pub type Check = fn(&[u8]);

/// Every check by the name of its target.
#[allow(dead_code)] // a target uses one
pub const ALL: [(&str, Check); 8] = [
    ("zip", zip),
    ("object", object),
    ("stream", stream),
    ("tar", tar),
    ("safetensors", safetensors),
    ("faiss", faiss),
    ("params", params),
    ("picture", picture),
];

/// An archive.
pub fn zip(bytes: &[u8]) {
    contained(bytes, Container::Zip);
}

/// A pickle and storage `0` of an archive that is sound: the last byte says how many bytes before it are the storage.
pub fn object(bytes: &[u8]) {
    let Some((storage, rest)) = bytes.split_last() else { return };
    let (pickle, storage) = rest.split_at(rest.len().saturating_sub(usize::from(*storage)));
    let file = archive(pickle, storage);
    contained(&file, Container::Zip);
    let wanted: [&[&str]; 2] = [&["hyper_parameters"], &["state_dict", "w"]];
    if let Err(e) = values::beside(&file, &wanted, "file") {
        message(&e);
    }
}

/// A stream of pickles and storages.
pub fn stream(bytes: &[u8]) {
    contained(bytes, Container::Stream);
}

/// A tar.
pub fn tar(bytes: &[u8]) {
    contained(bytes, Container::Tar);
}

/// Whatever `--weights` takes, safetensors above all.
pub fn safetensors(bytes: &[u8]) {
    for unwrap in [false, true] {
        held(bytes, contents(bytes, "file", &ReadOptions { unwrap, ..ReadOptions::default() }));
    }
    searched(bytes);
    match Weights::from_bytes(bytes, "file").and_then(|weights| weights.fold_batch_norm(&lupe::models::resnet::NORMS)) {
        Ok(weights) => assert!(weights.tensors().values().all(|t| t.data.len() == t.shape.len())),
        Err(e) => message(&e),
    }
}

/// A flat index of FAISS.
pub fn faiss(bytes: &[u8]) {
    match index::read(bytes, "file") {
        Ok(bank) => assert!(4 * bank.data.len() <= bytes.len() && bank.data.len() == bank.shape.len()),
        Err(Error::Numeric(_)) => {}
        Err(e) => message(&e),
    }
}

/// A pickle of plain values.
pub fn params(bytes: &[u8]) {
    if let Err(e) = values::pickled(bytes, "file") {
        message(&e);
    }
}

/// A picture, a JPEG above all.
pub fn picture(bytes: &[u8]) {
    match Picture::decode(bytes, "file", Limits::of(1 << 20)) {
        Ok(Picture { width, height, samples: Samples::Eight(rgb), .. }) => assert_eq!(rgb.len(), 3 * width * height),
        Ok(Picture { width, height, samples: Samples::Sixteen(rgb), .. }) => assert_eq!(rgb.len(), 3 * width * height),
        Err(e) => {
            let text = e.to_string();
            assert!(e.exit_code() == 3 && text.starts_with("file: ") && !text.contains(char::is_control), "{text:?}");
        }
    }
}

/// The search for a network in a file.
fn searched(bytes: &[u8]) {
    match Outline::of(bytes, "file") {
        Ok(outline) => {
            for tree in
                models::find("resnet50_thin").into_iter().chain([models::EMBEDDED]).flat_map(|n| outline.trees(n))
            {
                assert!(outline.names().filter(|n| n.starts_with(&tree.prefix)).count() >= tree.taken.len());
            }
        }
        Err(e) => message(&e),
    }
}

fn contained(bytes: &[u8], container: Container) {
    searched(bytes);
    let lenient = ReadOptions { unwrap: true, skip_unknown: true, ..ReadOptions::default() };
    for options in [ReadOptions::default(), lenient] {
        held(bytes, pth::read(bytes, container, "file", &options));
    }
}

fn held(bytes: &[u8], found: Result<Contents, Error>) {
    let tensors = match found {
        Ok(found) => found.tensors,
        Err(e) => return message(&e),
    };
    let mut total = 0;
    for (name, t) in &tensors {
        let bits = t.shape.iter().product::<usize>() * t.dtype.bitsize();
        assert_eq!(bits, 8 * t.bytes.len(), "{name}");
        total += t.bytes.len();
    }
    assert!(total <= bytes.len().saturating_mul(4).max(64 << 20), "{total} bytes of {}", bytes.len());
    if total > 1 << 16 {
        return; // the rest takes time in proportion, and is the same for small ones
    }
    let mut file = vec![];
    let kept = Converted::new(&tensors, Cast::default(), "file").unwrap();
    kept.write(&mut file).unwrap();
    assert_eq!(file.len(), kept.bytes());
    assert_eq!(read(&file, "written", &ReadOptions::default()).unwrap(), tensors);
    match Converted::new(&tensors, Cast { dtype: Some(Dtype::F16), keep_below: 0 }, "file") {
        Ok(halves) => halves.write(&mut std::io::sink()).unwrap(),
        Err(e) => message(&e),
    }
}

/// Errors name the file, are of the kind that ends with code 4, and cannot steer a terminal.
pub fn message(e: &Error) {
    let text = e.to_string();
    let lines = matches!(e, Error::Weights(problems) if problems.len() > 1);
    let plain = |c: char| !c.is_control() || (lines && c == '\n');
    assert!(e.exit_code() == 4 && text.contains("file") && text.chars().all(plain), "{text:?}");
}
