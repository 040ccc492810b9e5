//! Files that are given instead of weights by mistake, told by their first bytes, with what to do.

use super::pth;

/// Archives, documents and formats of other programs by how they begin.
const BEGINNINGS: [(&[u8], &str); 24] = [
    (b"Ix", "a FAISS index; `lupe import` takes the folder of a bank"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (b"<!DOCTYPE", "a web page; download the file itself"),
    (b"<!doctype", "a web page; download the file itself"),
    (b"<html", "a web page; download the file itself"),
    (b"<?xml", "an XML file, as OpenVINO writes beside its weights; save the state_dict() of the network in PyTorch"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"BZh", "a bzip2 file; unpack it first"),
    (b"\xfd7zXZ", "an xz file; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\x89HDF", "an HDF5 file, as Keras and TensorFlow write; save the same network from PyTorch, or as safetensors"),
    (b"GGUF", "a GGUF file, as llama.cpp writes; take the safetensors or PyTorch file that it was made from"),
    (b"lmgg", "a GGML file, as llama.cpp wrote; take the safetensors or PyTorch file that it was made from"),
    (b"tjgg", "a GGML file, as llama.cpp wrote; take the safetensors or PyTorch file that it was made from"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"MATLAB 5.0", "a MATLAB file; save its arrays as safetensors"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"(dp", TEXT_PICKLE),
    (b"ccopy_reg", TEXT_PICKLE),
];

const TEXT_PICKLE: &str = "a pickle of protocol 0, which torch.save never wrote; save a state_dict() with torch.save";

const ONNX: &str = "an ONNX model, a graph with its weights; save the state_dict() of the network that it was exported from with torch.save, or as safetensors";

const SAVED_MODEL: &str = "a TensorFlow SavedModel; save the same network from PyTorch, or its arrays as safetensors with torchvision's names";

/// What these bytes are, if they are known to be no weights.
pub fn of(bytes: &[u8]) -> Option<&'static str> {
    let begins = BEGINNINGS.iter().find(|(start, _)| bytes.starts_with(start)).map(|b| b.1);
    let inside = || match bytes {
        // The header of a safetensors file, cut off or damaged.
        [_, _, _, _, _, _, _, _, b'{', ..] => None,
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => {
            Some("a TensorFlow Lite model; save the network from PyTorch instead")
        }
        // Fields of a protocol buffer: a version, then a text or messages. TensorFlow's only version is 1.
        [0x08, 0x01, 0x12, ..] => Some(SAVED_MODEL),
        [0x08, 2..=32, 0x12 | 0x1a | 0x22 | 0x3a | 0x42, ..] => Some(ONNX),
        _ if bytes.ends_with(&[0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]) => {
            Some("the index of a TensorFlow checkpoint; save the network from PyTorch instead")
        }
        _ => None,
    };
    begins.or_else(inside)
}

/// What a zip archive without the record of a checkpoint is, by the names of its records.
pub fn of_archive<'n>(names: impl Iterator<Item = &'n str>) -> &'static str {
    let names: Vec<&str> = names.collect();
    let ends = |end: &str| names.iter().any(|n| n.ends_with(end));
    match () {
        _ if ends(".weights.h5") => "a Keras model; save the same network from PyTorch, or its arrays as safetensors",
        _ if ends("model.json") && names.iter().any(|n| n.contains("tensors/")) => {
            "an archive of an old TorchScript; load it with torch.jit.load and save its state_dict() with torch.save"
        }
        _ if ends(".npy") => "an archive of NumPy arrays (.npz); save them as safetensors",
        _ if ends(".pth") || ends(".pt") || ends(".safetensors") => {
            "a zip archive with weights files in it; unpack it first"
        }
        _ => "a zip archive, but not a checkpoint: it has no record data.pkl",
    }
}

/// What these bytes are if they cannot be a safetensors file, in a message that says what a model is not.
pub fn instead_of_model(bytes: &[u8]) -> Option<String> {
    let checkpoint = "a PyTorch file; a network is named, and its weights are given with --weights";
    of(bytes).or_else(|| pth::container(bytes).map(|_| checkpoint)).map(str::to_string)
}
