//! Checkpoints of CAML for tests: one made by hand that compares features, and others by the rule of the reference vectors.

use super::hash;
use super::vit::hashed;
use lupe::models::caml::Caml;
use lupe::tensor::{Shape, Tensor};
use lupe::weights::safetensors::write;

/// A tensor by its name in a checkpoint.
pub type Named = (String, Tensor);

/// Names and shapes of all tensors of a checkpoint, as it is released.
pub fn asked(caml: &Caml) -> Vec<(String, Shape)> {
    let (w, m) = (caml.width(), caml.mlp);
    let mut all = vec![
        ("unk_emb".to_string(), Shape::from([1, 1, caml.code])),
        ("elmes_scale".into(), Shape::from([1])),
        ("label_elmes".into(), Shape::from([caml.labels, caml.code])),
        ("output_proj.weight".into(), Shape::from([caml.labels, w])),
        ("encoder.ln.weight".into(), Shape::from([w])),
        ("encoder.ln.bias".into(), Shape::from([w])),
    ];
    for i in 0..caml.depth {
        let matrices = [
            ("self_attention.in_proj_", 3 * w, w),
            ("self_attention.out_proj.", w, w),
            ("mlp.0.", m, w),
            ("mlp.3.", w, m),
        ];
        let block = format!("encoder.layers.encoder_layer_{i}.");
        for (name, rows, columns) in matrices {
            all.push((format!("{block}{name}weight"), Shape::from([rows, columns])));
            all.push((format!("{block}{name}bias"), Shape::from([rows])));
        }
        for norm in ["ln_1", "ln_2"] {
            all.extend(["weight", "bias"].map(|part| (format!("{block}{norm}.{part}"), Shape::from([w]))));
        }
    }
    all.into_iter().map(|(name, shape)| (format!("transformer_encoder.{name}"), shape)).collect()
}

/// The code of a label: the corner of a simplex of `labels` corners around the origin, in `code` dimensions.
fn corner(label: usize, labels: usize, i: usize) -> f32 {
    let (n, own) = (labels as f32, if i == label { 1.0 } else { 0.0 });
    if i < labels { (n / (n - 1.0)).sqrt() * (own - 1.0 / n) } else { 0.0 }
}

/// One block that looks for the pictures of the support whose features are most like the query's, a sixteenth of the values in each
/// head, and says their labels.
pub fn by_hand(features: usize) -> (Caml, Vec<Named>) {
    let caml = Caml { features, code: 16, labels: 5, depth: 1, heads: 16, mlp: 4 };
    let (w, size, share) = (caml.width(), caml.width() / 16, features / 16);
    let attention = |i: usize| {
        let (row, column) = (i / w, i % w);
        let (part, head, at) = (row / w, row % w / size, row % size);
        match part {
            0 | 1 if at < share && column == head * share + at => [3.0, 1.0][part],
            2 if at < caml.code && column == features + at => 1.0,
            _ => 0.0,
        }
    };
    // The codes that the heads bring are added to the query's.
    let out = |i: usize| {
        let (row, column) = (i / w, i % w);
        if row >= features && column % size == row - features { 2.0 } else { 0.0 }
    };
    let value = |name: &str, shape: Shape| -> Tensor {
        let end = name.rsplit_once("encoder_layer_0.").map_or(name, |n| n.1);
        Tensor::from_fn(shape, |i| match end.trim_start_matches("transformer_encoder.") {
            "self_attention.in_proj_weight" => attention(i),
            "self_attention.out_proj.weight" => out(i),
            "ln_1.weight" | "ln_2.weight" | "encoder.ln.weight" | "elmes_scale" => 1.0,
            "label_elmes" => corner(i / 16, 5, i % 16),
            "output_proj.weight" if i % w >= features => corner(i / w, 5, i % w - features),
            _ => 0.0,
        })
    };
    let all = asked(&caml).into_iter().map(|(name, shape)| (name.clone(), value(&name, shape)));
    (caml, all.collect())
}

/// The file of these tensors.
pub fn file(tensors: &[Named]) -> Vec<u8> {
    write(&tensors.iter().map(|(name, t)| (name.clone(), t)).collect::<Vec<_>>()).unwrap()
}

/// The tensors with `change` done to one of them.
pub fn changed(tensors: &[Named], end: &str, change: impl Fn(&Tensor) -> Tensor) -> Vec<Named> {
    assert!(tensors.iter().any(|(name, _)| name.ends_with(end)), "{end}");
    let one = |(name, t): &Named| (name.clone(), if name.ends_with(end) { change(t) } else { t.clone() });
    tensors.iter().map(one).collect()
}

/// Rows in the reverse order.
pub fn upside_down(t: &Tensor) -> Tensor {
    Tensor::new(t.shape, t.data.chunks(t.shape.last()).rev().flatten().copied().collect())
}

/// Hash weights of a checkpoint with these codes, on two threads, since there are millions.
pub fn hash_weights(caml: &Caml, codes: &Tensor) -> Vec<Named> {
    let all = asked(caml);
    let value = |(name, shape): &(String, Shape)| {
        let tensor = match name.rsplit('.').next().unwrap() {
            "label_elmes" => codes.clone(),
            "elmes_scale" => Tensor::new([1], vec![1.32]),
            "unk_emb" => hash::tensor(name, *shape, 0.5, 0.0),
            _ => hashed(name, *shape),
        };
        (name.clone(), tensor)
    };
    let half = |from: usize| all.iter().skip(from).step_by(2).map(value).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        half(0).into_iter().chain(odd.join().unwrap()).collect()
    })
}
