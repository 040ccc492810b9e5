//! The names that a pickle may mention: a closed table. Some are interpreted, by Lupe's own code; inert ones become a node that
//! holds data without a meaning. No name is ever looked up anywhere but in this table.

use ::safetensors::Dtype;

/// What a name means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// An empty map, or one of pairs.
    OrderedDict,
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`: the elements have the type of the storage.
    Tensor,
    /// `_rebuild_tensor_v3`: the type of the elements is an argument.
    TypedTensor,
    /// A tensor that is the first argument.
    Parameter,
    /// A rebuild function and its arguments, as arguments.
    Subclass,
    /// A storage of elements of this type.
    Storage(Dtype),
    /// A type of elements.
    Element(Dtype),
    /// A tuple of sizes.
    Size,
    /// A kind of tensor, or a type of elements, that cannot be read.
    Unsupported,
    /// Data without a meaning for Lupe.
    Inert,
    /// An object of TorchScript: its attributes are names.
    Script,
    /// A name outside the table, kept because the user asked for that.
    Opaque,
}

/// The meaning of a name, if it is in the table.
pub fn known(module: &str, name: &str) -> Option<Meaning> {
    let kind = match (module, name) {
        ("collections", "OrderedDict") => Meaning::OrderedDict,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Meaning::Tensor,
        ("torch._utils", "_rebuild_tensor_v3") => Meaning::TypedTensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Meaning::Parameter,
        ("torch._tensor" | "torch.tensor", "_rebuild_from_type" | "_rebuild_from_type_v2") => Meaning::Subclass,
        ("torch", "Size") => Meaning::Size,
        ("torch.storage", "UntypedStorage") => Meaning::Storage(Dtype::U8),
        ("torch" | "torch.cuda", _) if UNSUPPORTED.contains(&name.strip_suffix("Storage").unwrap_or(name)) => {
            Meaning::Unsupported
        }
        ("torch" | "torch.cuda", _) if name.ends_with("Storage") => Meaning::Storage(storage(name)?),
        ("torch._utils", _) if REBUILT.contains(&name) => Meaning::Unsupported,
        ("torch", _) if element(name).is_some() => Meaning::Element(element(name)?),
        // Tars name tensor classes next to a storage that says the same.
        ("torch" | "torch.cuda", _)
            if name.strip_suffix("Tensor").is_some_and(|n| storage(&format!("{n}Storage")).is_some()) =>
        {
            Meaning::Inert
        }
        _ if inert(module, name) => Meaning::Inert,
        _ => return None,
    };
    Some(kind)
}

/// Elements of storages that cannot be read, and types of elements that are named so.
const UNSUPPORTED: [&str; 14] = [
    "ComplexDouble",
    "QInt8",
    "QUInt8",
    "QInt32",
    "QUInt4x2",
    "QUInt2x4",
    "complex128",
    "cdouble",
    "complex32",
    "qint8",
    "quint8",
    "qint32",
    "quint4x2",
    "quint2x4",
];

/// What rebuilds tensors that are not a window on a storage: quantised, sparse, nested ones, and such without elements.
const REBUILT: [&str; 6] = [
    "_rebuild_qtensor",
    "_rebuild_sparse_tensor",
    "_rebuild_sparse_csr_tensor",
    "_rebuild_nested_tensor",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_wrapper_subclass",
];

fn storage(name: &str) -> Option<Dtype> {
    Some(match name {
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "DoubleStorage" => Dtype::F64,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" | "UntypedStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        "ComplexFloatStorage" => Dtype::C64,
        _ => return None,
    })
}

fn element(name: &str) -> Option<Dtype> {
    Some(match name {
        "float32" | "float" => Dtype::F32,
        "float16" | "half" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        "float64" | "double" => Dtype::F64,
        "int64" | "long" => Dtype::I64,
        "int32" | "int" => Dtype::I32,
        "int16" | "short" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint8" => Dtype::U8,
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "bool" => Dtype::BOOL,
        "complex64" | "cfloat" => Dtype::C64,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        _ => return None,
    })
}

/// Python's own types.
const BUILTINS: &[&str] = &[
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "unicode",
];

/// What training programs save along with the weights: settings, dates, paths, numpy numbers, tensor classes as arguments.
fn inert(module: &str, name: &str) -> bool {
    let names: &[&str] = match module {
        "argparse" => &["Namespace"],
        "types" => &["SimpleNamespace"],
        "collections" => &["defaultdict", "Counter", "deque"],
        "builtins" | "__builtin__" => BUILTINS,
        "copyreg" | "copy_reg" => &["_reconstructor"],
        "_codecs" => &["encode"],
        "datetime" => &["date", "datetime", "time", "timedelta", "timezone"],
        "pathlib" => &["Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"],
        "numpy" => &["dtype", "ndarray"],
        "numpy.core.multiarray" | "numpy._core.multiarray" => &["_reconstruct", "scalar"],
        "numpy.dtypes" => &["BoolDType", "Float16DType", "Float32DType", "Float64DType", "Int32DType", "Int64DType"],
        "torch" => &["Generator", "Tensor", "device", "per_channel_affine", "per_tensor_affine", "strided"],
        "torch.nn.parameter" => &["Parameter"],
        "torch.serialization" => &["_get_layout"],
        "torch.jit._pickle" => {
            &["build_boollist", "build_doublelist", "build_intlist", "build_tensorlist", "restore_type_tag"]
        }
        _ => &[],
    };
    names.contains(&name)
}
