//! PatchCore: scores against the implementations' own values, and the whole method on real pictures where they are at hand.

use crate::common;
use crate::common::program::no_gpu;
use crate::common::rows::Rows;
use crate::common::skip::{MINUTES, skip, this_test};
use crate::common::sweep::gpu;
use crate::common::thin;
use crate::common::vectors::Vectors;
use lupe::data::{Limits, Picture};
use lupe::engine::Options;
use lupe::methods::metrics::{PixelMetrics, Pixels, ranking};
use lupe::methods::patchcore::score::{Bank, PlaceScorer};
use lupe::methods::patchcore::select::Selector;
use lupe::methods::patchcore::{Config, Grid, Preset, projection};
use lupe::tensor::Tensor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

#[test]
fn scores_of_the_implementations() {
    if no_gpu() {
        return;
    }
    let v = Vectors::open("ad/score.safetensors");
    let bank = Arc::new(v.get("bank"));
    let queries = v.get("query");
    let geometry = Grid { grid: [3, 4], dim: 16 };
    let scores = |preset, neighbors, reweight| -> Vec<f32> {
        let config = Config { neighbors, reweight, size: 32, ..Config::new(preset) };
        let scorer =
            pollster::block_on(PlaceScorer::new(gpu(), Bank::new(&config, geometry, bank.clone()), Options::default()))
                .unwrap();
        let one = |rows: &[f32]| {
            let queries = Tensor::new([12, 16], rows.to_vec());
            pollster::block_on(scorer.run(&queries, (0, 0))).unwrap().score as f32
        };
        queries.data.chunks(12 * 16).map(one).collect()
    };
    let close = |name: &str, got: Vec<f32>| common::vectors::close(name, &got, &v.get(name).data, 1e-5);
    close("image_sq_k1", scores(Preset::Official, 1, 1));
    close("image_sq_meank3", scores(Preset::Official, 3, 1));
    close("image_l2_max", scores(Preset::Anomalib, 1, 1));
    close("image_reweighted_b9", scores(Preset::Anomalib, 1, 9));
    close("image_reweighted_b3", scores(Preset::Anomalib, 1, 3));
    close("image_reweighted_b100", scores(Preset::Anomalib, 1, 100));
    let (all, plain) = (v.get("image_reweighted_b9"), v.get("image_l2_max"));
    let weight: Vec<f32> = all.data.iter().zip(&plain.data).map(|(a, b)| a / b).collect();
    common::vectors::close("weight_b9", &weight, &v.get("weight_b9").data, 1e-5);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// The pictures' patch vectors, and projected ones.
struct Fitted {
    config: Config,
    geometry: Grid,
    train: Vec<Vec<Tensor>>,
    test: Vec<(PathBuf, Vec<Tensor>)>,
}

fn hazelnut(preset: Preset) -> Option<Fitted> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hazelnut");
    if no_gpu() {
        return None;
    }
    if !root.exists() {
        skip(&this_test(), "../shared/data/hazelnut is not here");
        return None;
    }
    let (config, model, weights) = (Config::new(preset), thin::network(), thin::weights());
    let geometry = config.geometry(model, &weights).unwrap();
    let train = files(&root.join("train/good"));
    let test = [files(&root.join("test/good")), files(&root.join("test/colour"))].concat();
    let n = train.len() * geometry.places();
    let projection = projection::projection(&config, n, geometry.dim).map(Arc::new);
    let mut backbone = Rows::new((model, &weights), &config, projection);
    let prep = config.preprocess(model);
    let mut rows = |path: &PathBuf| {
        let picture = Picture::open(path, Limits::default()).unwrap();
        backbone.run(&[prep.prepare(&picture).unwrap()]).remove(0)
    };
    let start = Instant::now();
    let train: Vec<Vec<Tensor>> = train.iter().map(&mut rows).collect();
    println!("features: {:.0} ms a picture", start.elapsed().as_secs_f64() * 1e3 / train.len() as f64);
    let test = test.into_iter().map(|p| (p.clone(), rows(&p))).collect();
    drop(backbone);
    Some(Fitted { config, geometry, train, test })
}

fn stacked(parts: &[&Tensor]) -> Tensor {
    let d = parts[0].shape.last();
    let data: Vec<f32> = parts.iter().flat_map(|t| t.data.iter().copied()).collect();
    Tensor::new([data.len() / d, d], data)
}

fn mask(path: &Path, config: &Config) -> Vec<bool> {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let file =
        path.parent().unwrap().parent().unwrap().parent().unwrap().join(format!("ground_truth/colour/{stem}.png"));
    let mask = Picture::open(&file, Limits::default()).unwrap();
    if config.preset == Preset::Official {
        let sized = config.preprocess(thin::network()).sized(&mask).unwrap();
        return sized.rgb8().chunks(3).map(|p| p[0] == 255).collect();
    }
    let at = |i: usize, size: usize| i * size / config.size;
    let pixel = |i: usize| (at(i / config.size, mask.height) * mask.width + at(i % config.size, mask.width)) * 3;
    (0..config.size * config.size).map(|i| mask.rgb8()[pixel(i)] > 0).collect()
}

struct Found {
    bank: Vec<usize>,
    scores: Vec<(f32, bool)>,
    pixels: PixelMetrics,
    limit: f64,
}

/// Fits with this ratio and seed and scores everything.
fn run(f: &Fitted, ratio: f64, seed: u64) -> Found {
    let config = Config { ratio, seed, ..f.config.clone() };
    let rows = stacked(&f.train.iter().map(|p| &p[0]).collect::<Vec<_>>());
    let n = rows.shape.dim(0);
    let start = Instant::now();
    let mut picks: Vec<usize> = (0..n).collect();
    if ratio < 1.0 {
        let projected = stacked(&f.train.iter().map(|p| p.last().unwrap()).collect::<Vec<_>>());
        let mut selector = Selector::new(&gpu().caps, projected.clone(), config.bank_rows(n), Options::default());
        pollster::block_on(selector.run(gpu(), &config, &mut |_| true)).unwrap();
        certify(&projected, &selector.picks, config.preset == Preset::Official);
        picks = selector.picks;
    }
    println!("selection and its certificate: {:.1} s", start.elapsed().as_secs_f64());
    picks.sort_unstable();
    let d = f.geometry.dim;
    let bank = Tensor::new([picks.len(), d], picks.iter().flat_map(|&i| rows.data[i * d..][..d].to_vec()).collect());
    let scorer =
        pollster::block_on(PlaceScorer::new(gpu(), Bank::new(&config, f.geometry, Arc::new(bank)), Options::default()))
            .unwrap();
    let queries = |t: &Tensor| t.clone().reshape([f.geometry.places(), d]);
    let own = |i: usize| {
        let at = |p: usize| picks.partition_point(|&r| r < p * f.geometry.places());
        (at(i), at(i + 1))
    };
    let good = |(i, p): (usize, &Vec<Tensor>)| pollster::block_on(scorer.run(&queries(&p[0]), own(i))).unwrap().score;
    let limit = if ratio < 1.0 { f.train.iter().enumerate().map(good).fold(0.0, f64::max) } else { f64::INFINITY };
    let (mut scores, mut pixels) = (vec![], Pixels::<f32>::new());
    let start = Instant::now();
    for (path, rows) in &f.test {
        let found = pollster::block_on(scorer.run(&queries(&rows[0]), (0, 0))).unwrap();
        let defective = !path.to_str().unwrap().contains("/good/");
        scores.push((found.score as f32, defective));
        let mask = defective.then(|| mask(path, &config));
        pixels.add(&found.map.data, mask.as_deref(), config.size).unwrap();
    }
    println!("scoring: {:.0} ms a picture", start.elapsed().as_secs_f64() * 1e3 / f.test.len() as f64);
    Found { bank: picks, scores, pixels: pixels.finish().unwrap(), limit }
}

/// Every pick is the farthest row in f64, but for rounding; none comes twice; and the rows are covered far better than by chance.
fn certify(rows: &Tensor, picks: &[usize], steered: bool) {
    let d = rows.shape.last();
    let row = |i: usize| &rows.data[i * d..][..d];
    let apart = |i: usize, j: usize| row(i).iter().zip(row(j)).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let cover = |chosen: &[usize], check: bool| {
        let mut anchor = vec![f64::INFINITY; rows.shape.dim(0)];
        for (t, &i) in chosen.iter().enumerate() {
            let largest = anchor.iter().copied().fold(0.0, f64::max);
            // The mean distance to the starting points steers the first picks of `official`.
            let free = t == 0 || (steered && t < 200);
            assert!(
                !check || free || anchor[i].sqrt() >= (1.0 - 1e-5) * largest.sqrt(),
                "pick {t} is not the farthest"
            );
            anchor.iter_mut().enumerate().for_each(|(j, a)| *a = a.min(apart(i, j)));
        }
        anchor.iter().copied().fold(0.0, f64::max).sqrt()
    };
    // Checking all of them takes a minute in f64: that is for the long run.
    let all = picks;
    let picks = if std::env::var_os("LUPE_FULL").is_some() { picks } else { &picks[..picks.len().min(300)] };
    let mut unique = all.to_vec();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), all.len(), "a row was picked twice");
    let chance = projection::starts(12345, picks.len(), rows.shape.dim(0));
    let (greedy, chance) = (cover(picks, true), cover(&chance, false));
    println!("covering radius {greedy:.4}, of random rows {chance:.4}");
    let share = if picks.len() == all.len() { 0.6 } else { 0.8 };
    assert!(greedy <= share * chance, "covering radius {greedy}, of random rows {chance}");
}

fn within(what: &str, value: f64, range: [f64; 2]) {
    println!("{what} {value:.4}");
    assert!((range[0]..=range[1]).contains(&value), "{what}: {value} is not in {range:?}");
}

fn check(preset: Preset, seeds: &[u64], [auroc, ap, aupro]: [[f64; 2]; 3], counts: [u64; 2]) {
    let Some(fitted) = hazelnut(preset) else { return };
    let mut banks = vec![];
    for &seed in seeds {
        let found = run(&fitted, 0.1, seed);
        within("image AUROC", ranking(&found.scores).unwrap().auroc.unwrap(), [1.0, 1.0]);
        within("pixel AUROC", found.pixels.ranking.auroc.unwrap(), auroc);
        within("pixel AP", found.pixels.ranking.ap.unwrap(), ap);
        within("AUPRO 0.3", found.pixels.aupro_30.unwrap(), aupro);
        assert_eq!([found.pixels.defect_pixels, found.pixels.regions], counts);
        let wrong: Vec<_> = found.scores.iter().filter(|s| (f64::from(s.0) > found.limit) != s.1).collect();
        println!("limit {}; scores {:?}", found.limit, found.scores);
        assert!(wrong.is_empty(), "limit {}: wrong verdicts {wrong:?}", found.limit);
        banks.push(found.bank);
    }
    assert!(banks.windows(2).all(|b| b[0] != b[1]), "seeds give different banks");
}

fn seeds() -> &'static [u64] {
    if std::env::var_os("LUPE_FULL").is_some() { &[0, 1, 2] } else { &[0] }
}

#[test]
fn hazelnut_as_the_official_implementation() {
    check(Preset::Official, seeds(), [[0.9825, 0.9840], [0.605, 0.630], [0.915, 0.925]], [34_001, 54]);
}

#[test]
fn hazelnut_as_anomalib() {
    check(Preset::Anomalib, seeds(), [[0.985, 0.9875], [0.62, 0.645], [0.930, 0.939]], [39_427, 54]);
}

#[test]
fn whole_bag_as_bank() {
    if std::env::var_os("LUPE_FULL").is_none() {
        return skip("whole_bag_as_bank", MINUTES);
    }
    let official = [("colour/00", 35.61), ("colour/01", 39.12), ("good/04", 10.33), ("good/28", 15.00)];
    let anomalib = [("colour/00", 4.120), ("good/04", 2.272), ("good/28", 2.711)];
    for (preset, wanted) in [(Preset::Official, &official[..]), (Preset::Anomalib, &anomalib[..])] {
        let Some(fitted) = hazelnut(preset) else { return };
        let found = run(&fitted, 1.0, 0);
        for (name, want) in wanted {
            let at =
                fitted.test.iter().position(|(p, _)| p.to_str().unwrap().contains(&format!("{name}.jpg"))).unwrap();
            let score = f64::from(found.scores[at].0);
            within(name, score, [want * 0.98, want * 1.02]);
        }
    }
}
