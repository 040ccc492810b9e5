//! The demo's margin is the backbone's doing: weights of no training do not reach it.

mod common;

use common::{hash, sweep, vectors};
use lupe::data::demo::crops;
use lupe::methods::embed::{EmbedOptions, Embedder, Tap};
use lupe::methods::similarity::{Separation, separation};
use lupe::models::EMBEDDED;
use lupe::tensor::Tensor;
use lupe::weights::Weights;

fn separated(weights: &Weights) -> Separation {
    let crops = crops().unwrap();
    let inputs: Vec<Tensor> = crops.iter().map(|c| EMBEDDED.preprocess.apply(&c.picture).unwrap()).collect();
    let options = EmbedOptions { taps: vec![Tap::Pool], batch: 4, limit_memory: None };
    let embedder = pollster::block_on(Embedder::new(sweep::gpu(), EMBEDDED, weights, [224, 224], &options)).unwrap();
    let features: Vec<Tensor> = pollster::block_on(embedder.run(&inputs)).unwrap().into_iter().flatten().collect();
    separation(&features, &crops.iter().map(|c| c.material).collect::<Vec<_>>())
}

#[test]
fn trained_weights_tell_materials_apart_and_hash_weights_do_not() {
    assert_eq!(crops().unwrap().len(), 12);
    let trained = separated(&Weights::embedded().unwrap());
    assert!(trained.within - trained.between >= 0.2, "margin {}", trained.within - trained.between);
    let hashed = vectors::zeros(&EMBEDDED.net).into_iter().filter(|(k, _)| !k.starts_with("fc.")).map(|(key, t)| {
        let fan_in = t.shape.dims()[1..].iter().product::<usize>().max(1) as f64;
        let scale = if t.shape.rank() == 1 { 0.1 } else { (6.0 / fan_in).sqrt() };
        let value = hash::tensor(&key, t.shape, scale, 0.0);
        (key, value)
    });
    let hashed = separated(&Weights::from_tensors(hashed));
    let margin = hashed.within - hashed.between;
    assert!(margin < 0.2 && margin.is_finite(), "hash weights reach a margin of {margin}");
    println!("margins: trained {:.3}, hash weights {margin:.3}", trained.within - trained.between);
}
