//! Vision transformers with hash weights: names and shapes by asking for them, values by the rule of the reference vectors.

use super::hash;
use lupe::engine::{Graph, Named, Problem, Scope};
use lupe::models::vit::{Head, Mlp, Vit};
use lupe::models::{Places, Positions, find, stand_in};
use lupe::tensor::{Shape, Tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The network of `vectors/vit_tiny`: 32 pixels, patches of 8.
pub const TINY: Vit = Vit {
    patch: 8,
    width: 32,
    depth: 2,
    heads: 4,
    mlp: Mlp::Gelu(128),
    eps: 1e-6,
    grid: 4,
    patch_bias: true,
    norm_pre: false,
    registers: 0,
    layer_scale: false,
    head: Head::Classifier,
};

/// Names and shapes of all weights, without the head.
pub fn asked(vit: &Vit) -> Vec<(String, Shape)> {
    let (graph, none) = (Graph::new(), Named::new());
    vit.places(graph.input("x", [1, 4 * vit.patch, 4 * vit.patch, 3]), &Scope::new(&graph, &none), Positions::Size);
    let missing = |p| match p {
        Problem::Missing { name, wanted } if !name.starts_with("head.") => Some((name, wanted)),
        _ => None,
    };
    graph.requested().problems(&none, &[]).into_iter().filter_map(missing).collect()
}

/// A value by the rule for vision transformers, hashed under `key`.
pub fn hashed(key: &str, shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let fan_in: usize = shape.dims().iter().skip(1).product();
    let (last, name) = (key.rsplit('.').next().unwrap(), key.rsplit('/').next().unwrap());
    let (scale, offset) = match (last, shape.rank()) {
        ("gamma", _) => (0.25, 0.5),
        ("weight", 1) => (0.25, 1.0),
        (_, 1) => (0.1, 0.0),
        _ if ["pos_embed", "cls_token", "register_tokens"].contains(&name) || key.contains("embedding") => (0.5, 0.0),
        _ => ((3.0 / fan_in as f64).sqrt(), 0.0),
    };
    hash::tensor(key, shape, scale, offset)
}

/// All weights but the head, `key` saying under which name each is hashed; on two threads, since there are millions.
pub fn weights(vit: &Vit, key: impl Fn(&str) -> String + Sync) -> Named {
    let all = asked(vit);
    let one = |(name, shape): &(String, Shape)| (name.clone(), Arc::new(hashed(&key(name), *shape)));
    let half = |from: usize| all.iter().skip(from).step_by(2).map(one).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        half(0).into_iter().chain(odd.join().unwrap()).collect()
    })
}

/// The name that OpenAI gives a weight.
pub fn openai(name: &str) -> String {
    const RENAMED: [(&str, &str); 14] = [
        ("cls_token", "class_embedding"),
        ("pos_embed", "positional_embedding"),
        ("patch_embed.proj", "conv1"),
        ("norm_pre", "ln_pre"),
        ("blocks", "transformer.resblocks"),
        ("attn.proj", "attn.out_proj"),
        ("attn.qkv.weight", "attn.in_proj_weight"),
        ("attn.qkv.bias", "attn.in_proj_bias"),
        ("norm1", "ln_1"),
        ("norm2", "ln_2"),
        ("mlp.fc1", "mlp.c_fc"),
        ("mlp.fc2", "mlp.c_proj"),
        ("head.weight", "proj"),
        ("norm.", "ln_post."),
    ];
    format!("visual.{}", RENAMED.iter().fold(name.to_string(), |name, (own, theirs)| name.replace(own, theirs)))
}

/// The places of these names, on the device.
pub fn run(
    build: impl for<'g, 'w> Fn(lupe::engine::Var<'g>, &Scope<'g, 'w>) -> Places<'g>,
    named: &Named,
    x: &Tensor,
    names: &[&str],
) -> Vec<Tensor> {
    use lupe::engine::{Options, Plan, Store, Var};
    let graph = Graph::new();
    let places = build(graph.input("x", x.shape), &Scope::new(&graph, named));
    graph.requested().check("weights", named, &["head."]).unwrap();
    let outputs: Vec<Var> = names.iter().map(|name| places.find(name).unwrap()).collect();
    let gpu = super::sweep::gpu();
    let plan = pollster::block_on(Plan::new(gpu, &graph, &outputs, &Store::new(), Options::default())).unwrap();
    pollster::block_on(plan.run(&[x])).unwrap()
}

/// The network of [`drawn_weights`].
pub const DRAWN: &str = "vit_s14_focus";

/// Writes drawn weights of the ViT-S/14; spoiled ones are finite, but make tokens that are not.
pub fn write_drawn(path: &Path, spoil: bool) {
    let weights = stand_in::weights(find(DRAWN).unwrap());
    let bytes = |name: &str, data: &[f32]| -> Vec<u8> {
        let value = |v: &f32| if spoil && name == "norm.weight" { 3e38 } else { *v };
        data.iter().flat_map(|v| value(v).to_le_bytes()).collect()
    };
    let all: Vec<_> = weights.tensors().iter().map(|(k, t)| (k, t.shape.dims().to_vec(), bytes(k, &t.data))).collect();
    let views = all.iter().map(|(k, shape, b)| (k, TensorView::new(Dtype::F32, shape.clone(), b).unwrap()));
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// A file of drawn weights, made once.
pub fn drawn_weights() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (file, new) = (folder.join("vit_s14.safetensors"), folder.join(format!("vit_s14.{}", std::process::id())));
        write_drawn(&new, false);
        fs::rename(new, &file).unwrap();
        file
    })
}
