//! What others save, written here: FAISS's flat index, the official implementation's dictionary, anomalib's checkpoint. That the layouts
//! are theirs is held against files that the real packages wrote (`tests/fixtures/import`).

use super::torch::{Pickle, archive};
use std::fs;
use std::path::{Path, PathBuf};

/// A file below the fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name)
}

/// The flat index of these rows of `d` values, by squared L2.
pub fn index(rows: &[f32], d: usize) -> Vec<u8> {
    let mut file = b"IxF2".to_vec();
    file.extend((d as i32).to_le_bytes());
    file.extend(((rows.len() / d) as i64).to_le_bytes());
    file.extend([(1i64 << 20).to_le_bytes(); 2].concat());
    file.push(1);
    file.extend(1i32.to_le_bytes());
    file.extend((rows.len() as u64).to_le_bytes());
    file.extend(rows.iter().flat_map(|v| v.to_le_bytes()));
    file
}

/// A value of a dictionary.
#[derive(Clone)]
pub enum V {
    Text(&'static str),
    Int(i32),
    /// A tuple.
    All(Vec<V>),
    /// Opcodes as they are.
    Raw(Pickle),
}

/// Puts a value onto a pickle.
pub fn put(pickle: Pickle, value: &V) -> Pickle {
    match value {
        V::Text(text) => pickle.text(text),
        V::Int(n) => pickle.op(b"J").op(&n.to_le_bytes()),
        V::All(items) => items.iter().fold(pickle.op(b"("), put).op(b"t"),
        V::Raw(other) => pickle.op(&other.0),
    }
}

/// Puts a dictionary onto a pickle.
pub fn dict(pickle: Pickle, pairs: &[(&str, V)]) -> Pickle {
    pairs.iter().fold(pickle.op(b"}"), |p, (k, v)| put(p.text(k), v).op(b"s"))
}

/// The texts `layer2`, `layer3`, ….
pub fn layers(stages: &[usize]) -> V {
    V::All(stages.iter().map(|s| V::Text(["", "layer1", "layer2", "layer3", "layer4"][*s])).collect())
}

/// The official dictionary, as of a bank that `lupe fit patchcore` makes by default but for the size.
pub fn params(size: i32) -> Vec<(&'static str, V)> {
    vec![
        ("backbone.name", V::Text("wideresnet50")),
        ("layers_to_extract_from", layers(&[2, 3])),
        ("input_shape", V::All(vec![V::Int(3), V::Int(size), V::Int(size)])),
        ("pretrain_embed_dimension", V::Int(1024)),
        ("target_embed_dimension", V::Int(1024)),
        ("patchsize", V::Int(3)),
        ("patchstride", V::Int(1)),
        ("anomaly_scorer_num_nn", V::Int(1)),
    ]
}

/// The dictionary with one entry changed.
pub fn with(mut params: Vec<(&'static str, V)>, key: &str, value: V) -> Vec<(&'static str, V)> {
    for p in params.iter_mut().filter(|p| p.0 == key) {
        p.1 = value.clone();
    }
    params
}

/// The pickle of a dictionary.
pub fn pickled(pairs: &[(&str, V)]) -> Vec<u8> {
    dict(Pickle::new(), pairs).done()
}

/// Writes an official folder; `before` stands before the names of its files.
pub fn folder(folder: &Path, before: &str, params: &[u8], index: &[u8]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(format!("{before}patchcore_params.pkl")), params).unwrap();
    fs::write(folder.join(format!("{before}nnscorer_search_index.faiss")), index).unwrap();
}

/// The pickle of a checkpoint: a bank on storage 0 and these hyper-parameters.
pub fn lightning(rows: usize, d: usize, parameters: &[(&str, V)]) -> Vec<u8> {
    let state =
        Pickle::new().op(b"}").text("epoch").op(b"K\x00s").text("state_dict").op(b"}").text("model.memory_bank");
    let (n, d) = (rows as u64, d as u64);
    let state = state.tensor("0", n * d, &[n, d], &[d, 1]).op(b"ss").text("hyper_parameters");
    dict(state, parameters).op(b"s").done()
}

/// anomalib's checkpoint of these rows of `d` values.
pub fn checkpoint(rows: &[f32], d: usize, parameters: &[(&str, V)]) -> Vec<u8> {
    let storage: Vec<u8> = rows.iter().flat_map(|v| v.to_le_bytes()).collect();
    archive(&lightning(rows.len() / d, d, parameters), &storage)
}
