//! EfficientAD's networks with weights by the hash rule, and teachers as their publishers name them.

use super::hash;
use super::torch::{Entry, record, state_dict, zip};
use lupe::engine::{Graph, Named, Problem, Scope, Var};
use lupe::models::pdn::{Pdn, Size};
use lupe::tensor::Tensor;
use std::sync::Arc;

/// The weights that a graph asks for, by the rule of the vectors, under the names that these have behind `prefix`.
pub fn hashed(prefix: &str, build: impl for<'g> Fn(Var<'g>, &Scope<'g, '_>)) -> Named {
    let (graph, none) = (Graph::new(), Named::new());
    build(graph.input("x", [1, 256, 256, 3]), &Scope::new(&graph, &none));
    let one = |problem| {
        let Problem::Missing { name, wanted } = problem else { panic!("{problem}") };
        let fan_in: usize = wanted.dims().iter().skip(1).product();
        let scale = if wanted.rank() > 1 { (6.0 / fan_in as f64).sqrt() } else { 0.1 };
        let tensor = hash::tensor(&format!("{prefix}{name}"), wanted, scale, 0.0);
        (name, Arc::new(tensor))
    };
    graph.requested().problems(&none, &[]).into_iter().map(one).collect()
}

/// The weights of a PDN.
pub fn weights(prefix: &str, pdn: Pdn) -> Named {
    hashed(prefix, |x, p| {
        pdn.map(x, p);
    })
}

/// A teacher of a size, its widths divided.
pub fn teacher(size: Size, narrow: usize) -> Named {
    weights("teacher.", size.pdn().narrow(narrow))
}

/// Every name renamed.
pub fn renamed(named: &Named, name: impl Fn(&str) -> String) -> Named {
    named.iter().map(|(k, t)| (name(k), t.clone())).collect()
}

/// The names of nelson1425's sequences.
pub fn numbered(named: &Named) -> Named {
    const NUMBERS: [&str; 6] = ["0", "3", "6", "8", "10", "12"];
    renamed(named, |name| {
        let (layer, part) = name.split_once('.').unwrap();
        let number: usize = layer.strip_prefix("conv").unwrap().parse().unwrap();
        format!("{}.{part}", NUMBERS[number - 1])
    })
}

/// A safetensors file.
pub fn safetensors(named: &Named) -> Vec<u8> {
    let all: Vec<(String, &Tensor)> = named.iter().map(|(k, t)| (k.clone(), &**t)).collect();
    lupe::weights::safetensors::write(&all).unwrap()
}

/// What `torch.save` makes of a state dict.
pub fn pth(named: &Named) -> Vec<u8> {
    let entry = |(i, (name, t)): (usize, (&String, &Arc<Tensor>))| {
        Entry::new(name, t.shape.dims(), "FloatStorage", &i.to_string())
    };
    let entries: Vec<Entry> = named.iter().enumerate().map(entry).collect();
    let mut records = vec![record("a/data.pkl", &state_dict(&entries)), record("a/byteorder", b"little")];
    let bytes = |t: &Tensor| t.data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    records.extend(named.values().enumerate().map(|(i, t)| record(&format!("a/data/{i}"), &bytes(t))));
    zip(&records)
}
