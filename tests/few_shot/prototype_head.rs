//! The head of prototypes: reference values. What its correction of shots does to accuracy is in study_gaussians.rs.

use crate::common::vectors::{Vectors, close};
use lupe::methods::labelled::{best, log_odds_against, softmax};
use lupe::methods::prototype::head::{Distance, Head, Prototypes, Sums, doubles, normalised, pooled_trace};
use lupe::tensor::Tensor;

/// Rows of a matrix.
fn rows(t: &Tensor) -> Vec<&[f32]> {
    t.data.chunks_exact(t.shape.last()).collect()
}

/// Rows by their label.
fn by_class<'v>(rows: &[&'v [f32]], labels: &Tensor) -> Vec<Vec<&'v [f32]>> {
    let of = |class: usize| rows.iter().zip(&labels.data).filter(move |(_, l)| **l as usize == class);
    (0..3).map(|class| of(class).map(|(row, _)| *row).collect()).collect()
}

fn floats(values: impl IntoIterator<Item = f64>) -> Vec<f32> {
    values.into_iter().map(|v| v as f32).collect()
}

/// Every tensor of `proto.safetensors`.
#[test]
fn reference_values_of_every_variant() {
    let v = Vectors::open("proto.safetensors");
    let (support, queries, labels) = (v.get("support"), v.get("query"), v.get("labels"));
    let (queries, classes) = (rows(&queries), by_class(&rows(&support), &labels));
    let agree = |name: &str, got: Vec<f32>| close(name, &got, &v.get(name).data, 2e-6);
    let logits = |head: Head, classes: &[Vec<&[f32]>], queries: &[&[f32]]| -> Vec<Vec<f64>> {
        let prototypes = Prototypes::new(&head, classes).unwrap();
        queries.iter().map(|q| prototypes.logits(q)).collect()
    };
    let of = |head: Head| logits(head, &classes, &queries);
    let [squared, euclidean] = [Distance::Squared, Distance::Euclidean].map(|d| of(Head::new(d)));
    let cosine = of(Head { scale: 1.0, ..Head::new(Distance::Cosine) });
    let flat = |logits: &[Vec<f64>], times: f64| floats(logits.iter().flatten().map(|l| times * l));
    let likely = |logits: &[Vec<f64>]| floats(logits.iter().flat_map(|l| softmax(l)));
    agree("sq_euclid", flat(&squared, -1.0));
    agree("euclid", flat(&euclidean, -1.0));
    agree("prob_neg_sq_euclid", likely(&squared));
    agree("prob_neg_euclid", likely(&euclidean));
    agree("cosine", flat(&cosine, 1.0));
    let pmf = of(Head::new(Distance::Cosine));
    agree("pmf_logits_scale10_bias0", flat(&pmf, 1.0));
    agree("prob_pmf", likely(&pmf));
    agree("pmf_logits_scale7p5_bias0p3", flat(&of(Head { scale: 7.5, bias: 0.3, ..Head::new(Distance::Cosine) }), 1.0));
    let said = |logits: &[Vec<f64>]| floats(logits.iter().map(|l| best(l).unwrap().0 as f64));
    agree("pred_sq_euclid", said(&squared));
    agree("pred_cosine", said(&cosine));
    let odds = squared.iter().map(|l| log_odds_against(l, 0).unwrap());
    agree("anomaly_score_prob", floats(odds.map(|odds| 1.0 / (1.0 + (-odds).exp()))));
    let margin = |l: &Vec<f64>| l[1].max(l[2]) - l[0];
    agree("anomaly_score_margin", floats(squared.iter().map(margin)));

    let sums: Vec<Sums> = classes.iter().map(|c| Sums::of(c.iter().map(|v| doubles(v)))).collect();
    agree("prototypes", floats(sums.iter().flat_map(Sums::mean)));
    let own: Vec<f64> = sums.iter().map(|s| s.scatter() / (s.count as f64 - 1.0)).collect();
    agree("trace_own", floats(own.iter().copied()));
    let less_own = |l: &Vec<f64>| (0..3).map(|c| -l[c] - own[c] / sums[c].count as f64).collect::<Vec<f64>>();
    agree("sq_euclid_corrected_own", floats(squared.iter().flat_map(less_own)));
    agree("trace_pooled", floats([pooled_trace(&sums).unwrap()]));
    let corrected = Head { shot_correction: true, ..Head::new(Distance::Squared) };
    agree("sq_euclid_corrected_pooled", flat(&of(corrected), -1.0));
    for (one, other) in
        of(corrected).iter().zip(queries.iter().map(|q| Prototypes::of_sums(&corrected, &sums).unwrap().logits(q)))
    {
        assert_eq!(*one, other, "from sums as from vectors");
    }

    let unit = |rows: &[&[f32]]| rows.iter().map(|r| floats(normalised(doubles(r)))).collect::<Vec<_>>();
    let units: Vec<Vec<Vec<f32>>> = classes.iter().map(|c| unit(c)).collect();
    let units: Vec<Vec<&[f32]>> = units.iter().map(|c| c.iter().map(Vec::as_slice).collect()).collect();
    let means = units.iter().flat_map(|c| Sums::of(c.iter().map(|v| doubles(v))).mean());
    agree("prototypes_of_normalised", floats(means));
    let head = Head { scale: 1.0, ..Head::new(Distance::Cosine) };
    agree("cosine_normalise_first", flat(&logits(head, &units, &queries), 1.0));
    agree("center", floats(Sums::of(classes.iter().flatten().map(|v| doubles(v))).mean()));
    agree("cl2n_sq_euclid", flat(&of(Head { center: true, ..Head::new(Distance::Squared) }), -1.0));
}
