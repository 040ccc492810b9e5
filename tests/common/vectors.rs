//! Reference tensors: from `../shared` where it is, else from the copies in `tests/fixtures`.

use lupe::engine::Named;
use lupe::tensor::{Shape, Tensor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of that name below `../shared/vectors`, or its copy; those of `pth/` keep their folder.
pub fn path(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared/vectors").join(file);
    let copy = if file.starts_with("pth/") { Path::new(file) } else { Path::new(Path::new(file).file_name().unwrap()) };
    if shared.exists() { shared } else { root.join("tests/fixtures").join(copy) }
}

/// A file of reference tensors.
pub struct Vectors(Vec<u8>);

impl Vectors {
    pub fn open(file: &str) -> Vectors {
        Vectors(std::fs::read(path(file)).unwrap_or_else(|e| panic!("{file}: {e}")))
    }

    fn file(&self) -> safetensors::SafeTensors<'_> {
        safetensors::SafeTensors::deserialize(&self.0).expect("a valid file of vectors")
    }

    pub fn names(&self) -> Vec<String> {
        self.file().names().into_iter().map(str::to_string).collect()
    }

    /// A tensor, f64, u8 and i64 as f32.
    pub fn get(&self, name: &str) -> Tensor {
        let file = self.file();
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let bytes = view.data();
        let data: Vec<f32> = match view.dtype() {
            safetensors::Dtype::F32 => bytemuck::pod_collect_to_vec(bytes),
            safetensors::Dtype::F64 => {
                bytemuck::pod_collect_to_vec::<u8, f64>(bytes).iter().map(|&v| v as f32).collect()
            }
            safetensors::Dtype::U8 => bytes.iter().map(|&b| f32::from(b)).collect(),
            safetensors::Dtype::I64 => {
                bytemuck::pod_collect_to_vec::<u8, i64>(bytes).iter().map(|&v| v as f32).collect()
            }
            other => panic!("{name} is {other:?}"),
        };
        let shape = if view.shape().is_empty() { Shape::from([1]) } else { Shape::new(view.shape()) };
        Tensor::new(shape, data)
    }

    /// Weights under a prefix, which is cut off.
    pub fn named(&self, prefix: &str) -> Named {
        let names = self.names().into_iter();
        names.filter_map(|n| Some((n.strip_prefix(prefix)?.to_string(), Arc::new(self.get(&n))))).collect()
    }
}

/// max|a - b| <= tolerance x max|b|, with the name in the message.
pub fn close(name: &str, got: &[f32], want: &[f32], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{name}: lengths differ");
    let max = want.iter().fold(0f64, |m, &v| m.max(f64::from(v).abs()));
    let off = got.iter().zip(want).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()).fold(0.0, f64::max);
    assert!(
        off <= tolerance * max && got.iter().all(|v| v.is_finite()),
        "{name}: off by {:.2e} of its maximum",
        off / max
    );
    println!("{name}: off by {:.1e} of its maximum", off / max);
}

/// `[n, h, w, c]` as `[n, c, h, w]`.
pub fn nchw(t: &Tensor) -> Tensor {
    if t.shape.rank() == 4 { t.permute(&[0, 3, 1, 2]) } else { t.clone() }
}

/// `[n, c, h, w]` as `[n, h, w, c]`.
pub fn nhwc(t: &Tensor) -> Tensor {
    t.permute(&[0, 2, 3, 1])
}

/// Folded weights of the right names and shapes, all zero: for what depends on shapes alone.
pub fn zeros(network: &lupe::models::Network) -> Named {
    use lupe::engine::{Graph, Scope};
    let (graph, none) = (Graph::new(), Named::new());
    network.build(graph.input("x", [1, 64, 64, 3]), &Scope::new(&graph, &none));
    let weight = |n: lupe::engine::graph::Node| match n.source {
        lupe::engine::graph::Source::Weight(t) => Some((n.label, t)),
        _ => None,
    };
    graph.nodes().unwrap().into_iter().filter_map(weight).collect()
}
