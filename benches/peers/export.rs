//! What all systems read: weights as safetensors, inputs and rows as raw floats, shapes as JSON. The same bytes at every export.

use crate::networks::{self, Network};
use crate::training;
use lupe::engine::graph::{Source, live};
use lupe::engine::{Graph, Named, Scope};
use lupe::methods::patchcore::projection::starts;
use lupe::methods::patchcore::{Config, Preset};
use lupe::models::stand_in;
use lupe::random::draw;
use lupe::tensor::{Shape, Tensor};
use lupe::weights::safetensors;
use serde_json::json;
use std::collections::BTreeSet;
use std::error::Error;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Patch vectors of one picture, 28x28 places.
pub const QUERIES: &str = "knn_queries";
/// The largest bank; smaller ones are its first rows.
pub const BANK: &str = "knn_bank";
/// Rows to select from.
pub const CORESET: &str = "coreset";
/// The network whose weights a training begins with.
pub const TRAINED: &str = "efficientad_s_b1";
/// What a step of that training looks at.
pub const PICTURES: &str = "efficientad_s_pictures";

/// Rows and columns of a matrix that is exported.
pub fn shape_of(name: &str) -> [usize; 2] {
    match name {
        QUERIES => [784, 1536],
        BANK => [100_000, 1536],
        _ => [160_000, 128],
    }
}

fn floats(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.f32"))
}

/// The exported values `name`, or as many of the first as `shape` wants.
pub fn read(folder: &Path, name: &str, shape: &[usize]) -> Result<Tensor> {
    let (shape, mut bytes) = (Shape::new(shape), vec![]);
    let file = std::fs::File::open(floats(folder, name))?;
    file.take(4 * shape.len() as u64).read_to_end(&mut bytes)?;
    let (words, _) = bytes.as_chunks::<4>();
    Ok(Tensor::new(shape, words.iter().map(|b| f32::from_le_bytes(*b)).collect()))
}

/// Everything into `folder`.
pub fn export(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for network in &networks::ALL {
        one(folder, network)?;
    }
    for name in [QUERIES, BANK, CORESET] {
        let [n, d] = shape_of(name);
        write(&floats(folder, name), name, n * d, 0.0)?;
    }
    let pictures = [training::step().pictures(), 256, 256, 3];
    write(&floats(folder, PICTURES), PICTURES, pictures.iter().product(), -1.0)?;
    let first = starts(Config::new(Preset::Anomalib).seed, 1, shape_of(CORESET)[0]);
    Ok(std::fs::write(folder.join(format!("{CORESET}.json")), json!({ "first": first.first() }).to_string())?)
}

fn one(folder: &Path, network: &Network) -> Result<()> {
    let (graph, none) = (Graph::new(), Named::new());
    let outputs = (network.build)(graph.input("x", network.input), &Scope::new(&graph, &none));
    let nodes = graph.nodes()?;
    let wanted = live(&nodes, &outputs.iter().map(|o| o.id()).collect::<Vec<_>>());
    let asked: BTreeSet<String> = graph.requested().names().collect();
    let used = nodes.into_iter().zip(wanted).filter(|n| n.1).map(|n| n.0);
    let (drawn, own): (Vec<_>, Vec<_>) = used.partition(|n| asked.contains(&n.label));
    let mut weights = stand_in::weights_of(drawn).tensors().clone();
    for (name, tensor) in &mut weights {
        *tensor = Arc::new(as_trained(name, tensor));
    }
    // What a network brings itself, such as the matrix that resamples its positions.
    weights.extend(own.into_iter().filter_map(|n| match n.source {
        Source::Weight(tensor) => Some((n.label, tensor)),
        _ => None,
    }));
    let tensors: Vec<(String, &Tensor)> = weights.iter().map(|(k, t)| (k.clone(), &**t)).collect();
    std::fs::write(folder.join(format!("{}.safetensors", network.name)), safetensors::write(&tensors)?)?;
    write(&floats(folder, network.name), network.name, network.input.iter().product(), -1.0)?;
    let shapes: Vec<Vec<usize>> = outputs.iter().map(|o| o.shape().dims().to_vec()).collect();
    let facts = json!({ "input": network.input, "outputs": shapes });
    Ok(std::fs::write(folder.join(format!("{}.json", network.name)), facts.to_string())?)
}

/// Drawn weights of a transformer brought to where trained ones lie: those of norms around one, so that tokens differ in what they attend
/// to, and positions as large as patches. Without it a wrong attention or position would hardly be seen in the outputs.
fn as_trained(name: &str, tensor: &Tensor) -> Tensor {
    let [scale, offset] = match name {
        _ if name.contains("norm") && name.ends_with(".weight") => [1.0, 1.0],
        "pos_embed" => [100.0, 0.0],
        _ => [1.0, 0.0],
    };
    Tensor::new(tensor.shape, tensor.data.iter().map(|v| v * scale + offset).collect())
}

/// `count` numbers without structure in `[from, 1)`, drawn by name and place.
fn write(path: &Path, name: &str, count: usize, from: f32) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for i in 0..count {
        let unit = (draw(name, i as u64) >> 40) as f32 / (1u64 << 24) as f32;
        file.write_all(&(from + unit * (1.0 - from)).to_le_bytes())?;
    }
    Ok(file.flush()?)
}
