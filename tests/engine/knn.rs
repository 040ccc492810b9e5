//! Nearest neighbours end to end: against a brute force in f64, whatever the limits, the parts of the bank and the number wanted.

use crate::common::hash;
use crate::common::program::no_gpu;
use crate::common::sweep::gpu;
use lupe::engine::{Choice, Gpu, Graph, Options, Plan, Store, Var};
use lupe::methods::patchcore::score::{Bank, PlaceScorer};
use lupe::methods::patchcore::select::Selector;
use lupe::methods::patchcore::{Config, Grid, Preset, projection};
use lupe::ops::coreset::{k_center, lowered};
use lupe::ops::knn::Metric;
use lupe::tensor::Tensor;
use std::sync::Arc;

/// A device whose limits are told to be 1 MiB a binding and 256 texels a side.
fn small() -> Gpu {
    let choice: Choice = std::env::var("LUPE_TEST_DEVICE").unwrap_or("auto".into()).parse().unwrap();
    let mut gpu = pollster::block_on(Gpu::new(&choice, None)).expect("an adapter");
    gpu.caps.binding_bytes = 1 << 20;
    gpu.caps.image_side = 256;
    gpu
}

/// The bank in parts of `rows` rows; queries; perhaps a range of rows to skip.
fn run(
    gpu: &Gpu,
    bank: &Tensor,
    queries: &Tensor,
    rows: usize,
    k: usize,
    metric: Metric,
    skip: Option<&Tensor>,
) -> Tensor {
    let (graph, d) = (Graph::new(), bank.shape.dim(1));
    let part =
        |(i, c): (usize, &[f32])| graph.weight(&format!("bank.{i}"), Tensor::new([c.len() / d, d], c.to_vec()).into());
    let parts: Vec<Var> = bank.data.chunks(rows * d).enumerate().map(part).collect();
    let q = graph.input("q", queries.shape);
    let s = skip.map(|s| graph.input("skip", s.shape));
    let y = q.knn(&parts, k, metric, s);
    let plan = pollster::block_on(Plan::new(gpu, &graph, &[y], &Store::new(), Options::default())).unwrap();
    let inputs: Vec<&Tensor> = [queries].into_iter().chain(skip).collect();
    pollster::block_on(plan.run(&inputs)).unwrap().remove(0)
}

fn distance(a: &[f32], b: &[f32], metric: Metric) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let squared = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>();
    match metric {
        Metric::SquaredL2 => squared,
        Metric::L2 => squared.sqrt(),
        Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
    }
}

/// Distances to 1e-5, and indices wherever the next distance is farther than rounding.
fn check(got: &Tensor, bank: &Tensor, queries: &Tensor, metric: Metric, skip: impl Fn(usize, usize) -> bool) {
    let (d, k) = (bank.shape.dim(1), got.shape.dim(1));
    for (i, (q, found)) in queries.data.chunks(d).zip(got.data.chunks(2 * k)).enumerate() {
        let rows = bank.data.chunks(d).enumerate().filter(|(j, _)| !skip(i, *j));
        let mut all: Vec<(f64, usize)> = rows.map(|(j, m)| (distance(q, m, metric), j)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (t, pair) in found.chunks(2).enumerate() {
            let Some(want) = all.get(t) else {
                assert!(pair[0] == f32::INFINITY, "query {i}, neighbour {t} of a bank with fewer rows: {}", pair[0]);
                continue;
            };
            let scale = want.0.max(1e-2);
            assert!(
                (f64::from(pair[0]) - want.0).abs() <= 1e-5 * scale,
                "query {i} {t}: {} against {}",
                pair[0],
                want.0
            );
            let exact = distance(q, &bank.data[pair[1] as usize * d..][..d], metric);
            assert!((exact - want.0).abs() <= 1e-5 * scale, "query {i} {t}: row {} is no neighbour {t}", pair[1]);
        }
    }
}

#[test]
fn against_brute_force() {
    if no_gpu() {
        return;
    }
    let bank = hash::tensor("knn.bank", [700, 36], 1.0, 0.5);
    let queries = hash::tensor("knn.q", [50, 36], 1.0, 0.5);
    for metric in [Metric::SquaredL2, Metric::L2, Metric::Cosine] {
        for k in [1, 9, 40] {
            let got = run(gpu(), &bank, &queries, 700, k, metric, None);
            check(&got, &bank, &queries, metric, |_, _| false);
            assert_eq!(run(gpu(), &bank, &queries, 193, k, metric, None).data, got.data, "in parts: other bits");
        }
    }
    let few = run(gpu(), &Tensor::new([5, 36], bank.data[..180].to_vec()), &queries, 2, 8, Metric::L2, None);
    check(&few, &Tensor::new([5, 36], bank.data[..180].to_vec()), &queries, Metric::L2, |_, _| false);
}

#[test]
fn small_limits_give_the_same_bits() {
    if no_gpu() {
        return;
    }
    let bank = hash::tensor("knn.bank", [3000, 256], 1.0, 0.5);
    let queries = hash::tensor("knn.q", [300, 256], 1.0, 0.5);
    let whole = run(gpu(), &bank, &queries, 3000, 3, Metric::SquaredL2, None);
    let small = small();
    assert_eq!(run(&small, &bank, &queries, 960, 3, Metric::SquaredL2, None).data, whole.data);
}

#[test]
fn own_rows_are_left_out_and_a_copy_has_distance_zero() {
    if no_gpu() {
        return;
    }
    let bank = hash::tensor("knn.bank", [200, 40], 30.0, 0.0);
    let queries = Tensor::new([20, 40], bank.data[40 * 10..40 * 30].to_vec());
    let got = run(gpu(), &bank, &queries, 200, 1, Metric::L2, None);
    for (i, pair) in got.data.chunks(2).enumerate() {
        assert_eq!(pair, [0.0, (i + 10) as f32]);
    }
    let skip = Tensor::from_fn([20, 2], |i| if i % 2 == 0 { 10.0 } else { 30.0 });
    let got = run(gpu(), &bank, &queries, 67, 2, Metric::L2, Some(&skip));
    check(&got, &bank, &queries, Metric::L2, |_, j| (10..30).contains(&j));
}

#[test]
fn what_is_not_a_number_is_never_lost() {
    if no_gpu() {
        return;
    }
    let mut bank = hash::tensor("knn.bank", [100, 8], 1.0, 0.0);
    let mut queries = hash::tensor("knn.q", [10, 8], 1.0, 0.0);
    queries.data[8 * 3 + 2] = f32::NAN;
    let got = run(gpu(), &bank, &queries, 100, 1, Metric::L2, None);
    let bad: Vec<usize> = (0..10).filter(|i| !got.data[2 * i].is_finite()).collect();
    assert_eq!(bad, [3]);
    bank.data[8 * 50] = f32::NAN;
    let got = run(gpu(), &bank, &queries, 64, 1, Metric::SquaredL2, None);
    assert!(got.data.chunks(2).all(|p| p[0].is_nan()), "a broken row of the bank spoils every answer");
}

/// Rows of a matrix product do not depend on what stands beside them, nor on the limits: `w` is the projection of the selection.
#[test]
fn products_in_parts_give_the_same_bits() {
    if no_gpu() {
        return;
    }
    let (x, w) = (hash::tensor("project.x", [3000, 256], 1.0, 0.5), hash::tensor("project.w", [128, 256], 0.06, 0.0));
    let product = |gpu: &Gpu, part: usize| -> Vec<f32> {
        let one = |rows: &[f32]| {
            let rows = Tensor::new([rows.len() / 256, 256], rows.to_vec());
            let graph = Graph::new();
            let y = graph.input("x", rows.shape).matmul_t(graph.weight("w", w.clone().into()));
            let plan = pollster::block_on(Plan::new(gpu, &graph, &[y], &Store::new(), Options::default())).unwrap();
            pollster::block_on(plan.run(&[&rows])).unwrap().remove(0).data
        };
        x.data.chunks(part * 256).flat_map(one).collect()
    };
    let whole = product(gpu(), 3000);
    assert!(product(gpu(), 771) == whole, "in parts: other bits");
    assert!(product(&small(), 960) == whole, "small limits: other bits");
}

/// The methods cut rows and bank themselves: the same bank and the same scores at small limits.
#[test]
fn the_methods_do_not_depend_on_limits() {
    if no_gpu() {
        return;
    }
    let config = Config { size: 32, reweight: 9, ..Config::new(Preset::Anomalib) };
    let rows = hash::tensor("methods.rows", [5000, 128], 1.0, 0.0);
    let picks = |gpu: &Gpu| {
        let mut selector = Selector::new(&gpu.caps, rows.clone(), 100, Options::default());
        pollster::block_on(selector.run(gpu, &config, &mut |_| true)).unwrap();
        selector.picks
    };
    let small = small();
    assert_eq!(picks(&small), picks(gpu()));
    let geometry = Grid { grid: [5, 7], dim: 128 };
    let bank = Arc::new(Tensor::new([4000, 128], rows.data[..4000 * 128].to_vec()));
    let queries = hash::tensor("methods.queries", [35, 128], 1.0, 0.2);
    let scored = |gpu: &Gpu| {
        let scorer =
            pollster::block_on(PlaceScorer::new(gpu, Bank::new(&config, geometry, bank.clone()), Options::default()))
                .unwrap();
        pollster::block_on(scorer.run(&queries, (0, 0))).unwrap()
    };
    let (a, b) = (scored(&small), scored(gpu()));
    assert!(a.score.to_bits() == b.score.to_bits() && a.nearest == b.nearest && a.map == b.map, "other bits");
}

/// Greedy selection in parts picks what it picks in one, and every pick is the farthest in f64, but for rounding.
#[test]
fn selection_does_not_depend_on_parts() {
    if no_gpu() {
        return;
    }
    let rows = hash::tensor("select.rows", [3000, 64], 1.0, 0.0);
    let pick = |gpu: &Gpu, cut: usize| {
        let graph = Graph::new();
        let part = |(i, c): (usize, &[f32])| {
            graph.weight(&format!("rows.{i}"), Tensor::new([c.len() / 64, 64], c.to_vec()).into())
        };
        let parts: Vec<Var> = rows.data.chunks(cut * 64).enumerate().map(part).collect();
        let far = |v: &Var<'_>| Tensor::from_fn([v.dim(0)], |i| 100.0 - i as f32 * 1e-3);
        let far: Vec<Tensor> = parts.iter().map(far).collect();
        let anchors: Vec<Var> = far.iter().map(|t| graph.input("anchor", t.shape)).collect();
        let picks = k_center(&parts, &anchors, 40).picks;
        let plan = pollster::block_on(Plan::new(gpu, &graph, &picks, &Store::new(), Options::default())).unwrap();
        let got = pollster::block_on(plan.run(&far.iter().collect::<Vec<_>>())).unwrap();
        got.iter().map(|p| (p.data[0].to_bits(), p.data[1] as usize)).collect::<Vec<_>>()
    };
    let whole = pick(gpu(), 3000);
    assert_eq!(whole[0].1, 0);
    assert_eq!(pick(&small(), 3000 / 2)[1..], pick(gpu(), 3000 / 2)[1..], "small limits: other bits");
    let row = |i: usize| &rows.data[i * 64..][..64];
    let mut anchor = vec![f64::INFINITY; 3000];
    for (t, &(_, i)) in whole.iter().enumerate() {
        let largest = anchor.iter().copied().fold(0.0, f64::max);
        assert!(t == 0 || anchor[i] >= (1.0 - 1e-5) * largest, "pick {t} is not the farthest row");
        anchor.iter_mut().enumerate().for_each(|(j, a)| *a = a.min(distance(row(i), row(j), Metric::L2)));
    }
}

/// The first row that `anomalib` starts from, then `steps` picks one at a time, all rows read for each.
fn one_at_a_time(rows: &Tensor, steps: usize) -> Vec<usize> {
    let (graph, n) = (Graph::new(), rows.shape.dim(0));
    let start = projection::starts(0, 1, n)[0];
    let part = graph.weight("rows", rows.clone().into());
    let far = graph.input("far", [n]);
    let pick = graph.weight("pick", Tensor::new([1, 2], vec![0.0, start as f32]).into());
    let picks = k_center(&[part], &lowered(&[part], &[far], pick), steps).picks;
    let plan = pollster::block_on(Plan::new(gpu(), &graph, &picks, &Store::new(), Options::default())).unwrap();
    let found = pollster::block_on(plan.run(&[&Tensor::new([n], vec![f32::INFINITY; n])])).unwrap();
    let new = found.iter().take_while(|p| p.data[0] > 0.0).map(|p| p.data[1] as usize);
    std::iter::once(start).chain(new).collect()
}

/// The same as the device is, without shuffles, and within small limits, where rows of 100 are cut at 2,560 and lie in buffers.
fn in_rounds(rows: &Tensor, wanted: usize) -> (Vec<usize>, bool) {
    let select = |gpu: &Gpu| {
        let mut selector = Selector::new(&gpu.caps, rows.clone(), wanted, Options::default());
        pollster::block_on(selector.run(gpu, &Config::new(Preset::Anomalib), &mut |_| true)).unwrap();
        (selector.picks, selector.exhausted)
    };
    let (whole, cut, mut plain) = (select(gpu()), select(&small()), small());
    plain.caps = lupe::engine::Caps { subgroup: None, ..gpu().caps };
    assert_eq!(whole, select(&plain), "without shuffles: other picks");
    assert_eq!(whole, cut, "in parts: other picks");
    whole
}

/// Rounds of many picks pick what single steps pick: without structure, in clusters, with ties and repetitions until nothing is left.
#[test]
fn rounds_pick_what_single_steps_pick() {
    if no_gpu() {
        return;
    }
    let noise = hash::tensor("rounds.noise", [6000, 100], 1.0, 0.0);
    let middle = hash::tensor("rounds.middle", [40, 100], 5.0, 0.0);
    let clusters = Tensor::from_fn([6000, 100], |i| middle.data[i / 100 % 40 * 100 + i % 100] + 0.1 * noise.data[i]);
    for rows in [&noise, &clusters] {
        let (picks, exhausted) = in_rounds(rows, 600);
        assert_eq!(picks.len(), 600);
        assert!(!exhausted);
        assert_eq!(picks[..], one_at_a_time(rows, 599)[..]);
    }
    let ties = Tensor::from_fn([3000, 5], |i| (noise.data[i] * 1.5).round());
    let (picks, exhausted) = in_rounds(&ties, 1000);
    assert!(exhausted && (150..=243).contains(&picks.len()), "{} picks of at most 3^5", picks.len());
    assert_eq!(picks, one_at_a_time(&ties, 300));
    let few = Tensor::new([5, 100], noise.data[..500].to_vec());
    assert_eq!(in_rounds(&few, 9), (one_at_a_time(&few, 8), true));
}
