//! The demo's data set is what it says, and its result is the backbone's doing: weights of no training find fewer of the defects.

use crate::common::program::no_gpu;
use crate::common::rows::Rows;
use crate::common::{hash, sweep, vectors};
use lupe::data::dataset::GOOD;
use lupe::data::demo::{DemoPart, parts};
use lupe::data::{Picture, Prepared};
use lupe::engine::Options;
use lupe::methods::metrics::{Pixels, ranking};
use lupe::methods::patchcore::score::{Bank, PlaceScorer};
use lupe::methods::patchcore::select::Selector;
use lupe::methods::patchcore::{Config, projection};
use lupe::models::EMBEDDED;
use lupe::tensor::Tensor;
use lupe::weights::Weights;
use std::sync::Arc;

/// The good picture of the same area.
fn good<'a>(parts: &'a [DemoPart], part: &DemoPart) -> &'a Picture {
    &parts.iter().find(|p| p.label == GOOD && p.area == part.area).expect("a good one").picture
}

#[test]
fn no_pixel_is_trained_on_and_tested_with() {
    let parts = parts().unwrap();
    let of = |train: bool| parts.iter().filter(move |p| p.train == train);
    assert_eq!((of(true).count(), of(false).filter(|p| p.label == GOOD).count()), (8, 8));
    let apart = |[x, y, w, h]: [usize; 4], [x2, y2, w2, h2]: [usize; 4]| {
        x + w <= x2 || x2 + w2 <= x || y + h <= y2 || y2 + h2 <= y
    };
    for train in of(true) {
        assert_eq!((train.label, &train.mask), (GOOD, &None));
        assert!(of(false).all(|test| apart(train.area, test.area)), "{} is tested with, too", train.stem());
    }
    for (i, part) in parts.iter().enumerate() {
        assert!(part.area[0] + part.area[2] <= 512 && part.area[1] + part.area[3] <= 512);
        assert!(parts[..i].iter().all(|p| (p.stem(), p.label) != (part.stem(), part.label)), "{} twice", part.stem());
        assert!(parts[..i].iter().all(|p| p.picture != part.picture), "{} has a twin", part.stem());
    }
}

#[test]
fn masks_are_exact_and_the_defects_faint() {
    let parts = parts().unwrap();
    let painted: Vec<&DemoPart> = parts.iter().filter(|p| p.label != GOOD).collect();
    for kind in ["dent", "foreign", "scratch", "smear", "stain"] {
        assert_eq!(painted.iter().filter(|p| p.label == kind).count(), 4, "{kind}");
    }
    for part in painted {
        let (mask, name) = (part.mask.as_ref().unwrap(), format!("{} {}", part.label, part.stem()));
        let (new, old) = (part.picture.rgb8(), good(&parts, part).rgb8());
        let pairs = || new.chunks(3).zip(old.chunks(3));
        assert!(pairs().zip(&mask.bits).all(|((new, old), &set)| (new != old) == set), "{name}: another mask");
        let by: Vec<u8> = pairs().map(|(new, old)| new[0].abs_diff(old[0])).filter(|&by| by > 0).collect();
        let (share, mean) =
            (by.len() as f64 / mask.bits.len() as f64, by.iter().map(|&v| f64::from(v)).sum::<f64>() / by.len() as f64);
        println!("{name}: {:.1} % of the pixels, by {mean:.1} of 255", share * 100.0);
        assert!((0.005..0.1).contains(&share) && (4.0..32.0).contains(&mean), "{name}");
    }
}

fn stacked(rows: &[&Tensor]) -> Tensor {
    let d = rows[0].shape.last();
    let data: Vec<f32> = rows.iter().flat_map(|t| t.data.iter().copied()).collect();
    Tensor::new([data.len() / d, d], data)
}

/// Image and pixel AUROC of the demo with these weights.
fn aurocs(weights: &Weights) -> [f64; 2] {
    let (gpu, parts) = (sweep::gpu(), parts().unwrap());
    let config = Config::default();
    let (geometry, preprocess) = (config.geometry(EMBEDDED, weights).unwrap(), config.preprocess(EMBEDDED));
    let projection = projection::projection(&config, 8 * geometry.places(), geometry.dim).map(Arc::new);
    let inputs: Vec<Prepared> = parts.iter().map(|p| preprocess.prepare(&p.picture).unwrap()).collect();
    let features = Rows::new((EMBEDDED, weights), &config, projection).run(&inputs);
    let train = |output: usize| {
        let of = parts.iter().zip(&features).filter(|(p, _)| p.train).map(|(_, f)| &f[output]);
        stacked(&of.collect::<Vec<_>>())
    };
    let (rows, narrow) = (train(0), train(1));
    let mut selector = Selector::new(&gpu.caps, narrow, config.bank_rows(rows.shape.dim(0)), Options::default());
    pollster::block_on(selector.run(gpu, &config, &mut |_| true)).unwrap();
    let d = geometry.dim;
    let bank: Vec<f32> = selector.picks.iter().flat_map(|&i| rows.data[i * d..][..d].to_vec()).collect();
    let bank = Arc::new(Tensor::new([bank.len() / d, d], bank));
    let scorer =
        pollster::block_on(PlaceScorer::new(gpu, Bank::new(&config, geometry, bank), Options::default())).unwrap();
    let (mut scores, mut pixels) = (vec![], Pixels::<f32>::new());
    for (part, features) in parts.iter().zip(&features).filter(|(p, _)| !p.train) {
        let queries = features[0].clone().reshape([geometry.places(), d]);
        let found = pollster::block_on(scorer.run(&queries, (0, 0))).unwrap();
        let mask = part.mask.as_ref().map(|m| m.sized(&preprocess, false).unwrap());
        pixels.add(&found.map.data, mask.as_deref(), config.size).unwrap();
        scores.push((found.score, part.label != GOOD));
    }
    [ranking(&scores).unwrap().auroc.unwrap(), pixels.finish().unwrap().ranking.auroc.unwrap()]
}

/// Weights of no training: convolutions in ±√(6/fan-in), biases in ±0.1.
fn hashed() -> Weights {
    let tensors = vectors::zeros(EMBEDDED).into_iter().filter(|(k, _)| !k.starts_with("_fc."));
    Weights::from_tensors(tensors.map(|(key, t)| {
        let fan_in = t.shape.dims()[1..].iter().product::<usize>().max(1) as f64;
        let scale = if t.shape.rank() == 1 { 0.1 } else { (6.0 / fan_in).sqrt() };
        let value = hash::tensor(&key, t.shape, scale, 0.0);
        (key, value)
    }))
}

#[test]
fn trained_weights_find_the_defects_and_hash_weights_fewer() {
    if no_gpu() {
        return;
    }
    let (trained, hashed) = (aurocs(&Weights::embedded().unwrap()), aurocs(&hashed()));
    println!("image and pixel AUROC: trained {trained:.4?}, hash weights {hashed:.4?}");
    assert!(trained[0] >= 0.99 && trained[1] >= 0.95, "trained weights reach {trained:?}");
    assert!(hashed[0] <= trained[0] - 0.2, "hash weights reach {hashed:?}, trained ones {trained:?}");
    assert!(hashed[1] <= trained[1] - 0.05, "hash weights reach {hashed:?}, trained ones {trained:?}");
}
