//! The last layer of a classifier beside prototypes on real hazelnuts (`make test-full`): five good and five coloured nuts are learned, all
//! others are asked about; and 20 of both.

use crate::common::skip::{MINUTES, skip};
use crate::common::sweep::gpu;
use crate::common::{dino::shared, thin};
use lupe::data::dataset::{Sample, pictures};
use lupe::data::load::Loading;
use lupe::engine::Options;
use lupe::methods::RunOptions;
use lupe::methods::classifier::{Asked, Examples, Inputs, Step, train};
use lupe::methods::labelled::best;
use lupe::methods::prototype::head::{Distance, Head, Prototypes};
use lupe::methods::vector::{Source, Vectors, preprocess};
use lupe::models::{self, EMBEDDED, Network};
use lupe::random::Stream;
use lupe::train::Keeping;
use lupe::watch::Unwatched;
use lupe::weights::Weights;
use pollster::block_on;
use serde_json::Map;

const DRAWS: u64 = 20;

/// The logits of a vector.
type Says<'s> = &'s dyn Fn(&[f32]) -> Vec<f64>;

/// Vectors of the good nuts, then of the coloured ones.
fn vectors((network, weights): (&Network, &Weights)) -> [Vec<Vec<f32>>; 2] {
    let [size, _] = network.input_size();
    let source = Source { network, weights, place: network.vector, preprocess: preprocess(network, size, false) };
    let folders = [&["train/good", "test/good"][..], &["test/colour"]];
    folders.map(|folders| {
        let paths: Vec<_> = folders.iter().map(|f| shared("data/hazelnut").join(f)).collect();
        let samples: Vec<Sample> = pictures(&paths, true).unwrap().samples;
        let mut found = vec![];
        let mut take = |_, vector| {
            found.push(vector);
            Ok(())
        };
        let mut planned = block_on(Vectors::new(gpu(), source, &RunOptions::default())).unwrap();
        block_on(planned.each(&samples, &Loading::default(), &Unwatched, &mut take)).unwrap();
        found
    })
}

/// The logits of a last layer that was trained on rows of two classes.
fn last_layer(network: &Network, classes: &[Vec<&[f32]>; 2]) -> impl Fn(&[f32]) -> Vec<f64> + use<> {
    let config = Asked { validation: Some(0.0), ..Asked::default() }.config(network).unwrap();
    let rows: Vec<Vec<f32>> = classes.iter().flatten().map(|v| v.to_vec()).collect();
    let labels = classes.iter().enumerate().flat_map(|(label, rows)| vec![label; rows.len()]).collect();
    let (d, n) = (rows[0].len(), rows.len());
    let examples = Examples::new(&config, Inputs::Vectors(rows), labels, &vec![false; n]);
    let (step, options, keeping) = (Step::new(None, [2, d], 0), Options::default(), Keeping::default());
    let work = (&step, &examples, &config);
    let found = block_on(train(gpu(), work, (&options, &keeping, Map::new()), &Unwatched)).unwrap();
    let [weight, bias] = ["weight", "bias"].map(|name| found.weights[&format!("classes.{name}")].clone());
    move |v: &[f32]| {
        let dot = |row: &[f32]| row.iter().zip(v).map(|(w, v)| f64::from(*w) * f64::from(*v)).sum::<f64>();
        weight.data.chunks(d).zip(&bias.data).map(|(row, bias)| dot(row) + f64::from(*bias)).collect()
    }
}

/// Accuracy and balanced accuracy of the last layer and of prototypes, from so many good and coloured nuts; means over draws.
fn compared(name: &str, network: &Network, all: &[Vec<Vec<f32>>; 2], shots: [usize; 2]) -> [[f64; 2]; 2] {
    let mut sums = [[0.0; 2]; 2];
    for draw in 0..DRAWS {
        let mut stream = Stream::new(format!("hazelnut.{draw}"));
        let orders = all.each_ref().map(|class| stream.shuffled(class.len()));
        let of = |class: usize, asked: bool| -> Vec<&[f32]> {
            let chosen = if asked { &orders[class][shots[class]..] } else { &orders[class][..shots[class]] };
            chosen.iter().map(|i| all[class][*i].as_slice()).collect()
        };
        let (support, queries) = ([0, 1].map(|class| of(class, false)), [0, 1].map(|class| of(class, true)));
        let prototypes = Prototypes::new(&Head::new(Distance::Squared), &support).unwrap();
        let trained = last_layer(network, &support);
        let said: [Says; 2] = [&trained, &|v| prototypes.logits(v)];
        for (sum, said) in sums.iter_mut().zip(said) {
            let right =
                |class: usize| queries[class].iter().filter(|q| best(&said(q)).unwrap().0 == class).count() as f64;
            let (right, n) = ([right(0), right(1)], [queries[0].len() as f64, queries[1].len() as f64]);
            sum[0] += (right[0] + right[1]) / (n[0] + n[1]) / DRAWS as f64;
            sum[1] += (right[0] / n[0] + right[1] / n[1]) / 2.0 / DRAWS as f64;
        }
    }
    let [layer, prototypes] = sums;
    println!("{name}, {shots:?} nuts: last layer {layer:.4?}, prototypes {prototypes:.4?} (accuracy, balanced)");
    sums
}

#[test]
fn a_last_layer_beside_prototypes() {
    if !shared("data/hazelnut").exists() {
        return skip("a classifier of hazelnuts", "../shared/data/hazelnut is not here");
    }
    if std::env::var_os("LUPE_FULL").is_none() || std::env::var_os("LUPE_NO_GPU").is_some() {
        return skip("a classifier of hazelnuts", MINUTES);
    }
    let own = models::open(EMBEDDED.name, None).unwrap();
    for (network, weights) in [(thin::network(), &thin::weights()), (own.0, &own.1)] {
        let all = vectors((network, weights));
        assert_eq!(all.each_ref().map(Vec::len), [34, 17]);
        for shots in [[5, 5], [20, 10]] {
            let [layer, prototypes] = compared(network.name, network, &all, shots);
            assert!(layer[0] > 0.95 && layer[1] > 0.95, "{layer:?}");
            assert!(prototypes[0] > 0.95, "{prototypes:?}");
        }
    }
}
