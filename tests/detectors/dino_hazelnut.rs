//! AnomalyDINO and SubspaceAD from 1, 2 and 4 hazelnuts to their published measures, with the trained ViT-S/14: image and pixel AUROC of
//! all 23 test pictures. By the commands for one of them, by the library for all.

use crate::common::dino::{FOCUS, compared, fitted, focus, hazelnut, off, shared, tokens, with};
use crate::common::program::{done, lupe};
use crate::common::skip::{MINUTES, skip, this_test};
use crate::common::vectors::Vectors;
use lupe::data::{Limits, Mask, Picture};
use lupe::methods::Fitted;
use lupe::methods::dino::foreground::Growth;
use lupe::methods::dino::spectrum::Moments;
use lupe::methods::dino::{Config, Detector, Learned};
use lupe::methods::metrics::{Pixels, ranking};
use lupe::models::Network;
use lupe::tensor::Tensor;
use lupe::weights::Weights;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

type Net<'w> = (&'static Network, &'w Weights);

const SHOTS: [usize; 3] = [1, 2, 4];

/// The network, where pictures and weights are at hand and there is time.
fn ready() -> Option<(&'static Network, Weights)> {
    if !shared("data/hazelnut").exists() {
        skip(&this_test(), "../shared/data/hazelnut is not here");
        return None;
    }
    if std::env::var_os("LUPE_FULL").is_none() {
        skip(&this_test(), MINUTES);
        return None;
    }
    focus()
}

/// A test picture and which of its pixels are defective.
struct Test {
    picture: Picture,
    mask: Option<Vec<bool>>,
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn tests() -> Vec<Test> {
    let root = shared("data/hazelnut");
    let test = |path: PathBuf| {
        let mask = root.join("ground_truth/colour").join(path.with_extension("png").file_name().unwrap());
        let defective = path.parent().unwrap().ends_with("colour");
        let mask = defective.then(|| Mask::open(&mask, Limits::default()).unwrap().bits);
        Test { picture: Picture::open(&path, Limits::default()).unwrap(), mask }
    };
    ["colour", "good"].iter().flat_map(|kind| files(&root.join("test").join(kind))).map(test).collect()
}

fn references() -> Vec<Picture> {
    let names = files(&shared("data/hazelnut/train/good"));
    names
        .iter()
        .take(4)
        .map(|p| hazelnut(&format!("train/good/{}", p.file_name().unwrap().to_str().unwrap())))
        .collect()
}

/// Image and pixel AUROC, and the scores.
fn measured(tests: &[Test], found: Vec<(f64, Tensor)>) -> ([f64; 2], Vec<f32>) {
    let mut pixels = Pixels::<f32>::new();
    let (mut images, mut scores) = (vec![], vec![]);
    for (test, (score, map)) in tests.iter().zip(found) {
        images.push((score, test.mask.is_some()));
        scores.push(score as f32);
        let whole = map.shape.dims() == [test.picture.height, test.picture.width];
        let (h, w) = (map.shape.dim(0), map.shape.last());
        // Truth at the map's size, nearest pixels by their centres.
        let at = |i: usize, to: usize, from: usize| (2 * i + 1) * from / (2 * to);
        let mask = test.mask.as_ref().map(|bits| match whole {
            true => bits.clone(),
            false => (0..h * w)
                .map(|i| {
                    bits[at(i / w, h, test.picture.height) * test.picture.width + at(i % w, w, test.picture.width)]
                })
                .collect(),
        });
        pixels.add(&map.data, mask.as_deref(), w).unwrap();
    }
    let image = ranking(&images).unwrap().auroc.unwrap();
    ([image, pixels.finish().unwrap().ranking.auroc.unwrap()], scores)
}

/// Holds AUROC to three thousandths, and says by how much the scores are off.
fn held(name: &str, (got, scores): ([f64; 2], Vec<f32>), want: [f32; 2], want_scores: &[f32]) {
    println!("{name}: image {:.4} ({:.4}), pixel {:.4} ({:.4})", got[0], want[0], got[1], want[1]);
    let apart = off(&scores, want_scores);
    println!("{name}: scores off by {apart:.1e}");
    for (got, want) in got.into_iter().zip(want) {
        assert!((got - f64::from(want)).abs() <= 0.003, "{name}: AUROC {got}, not {want}");
    }
    assert!(
        apart <= 1e-3 * f64::from(want_scores.iter().copied().fold(1.0, f32::max)),
        "{name}: scores off by {apart}"
    );
}

/// The first references of a bank, with all their views or without any.
fn bank(rows: &Tensor, shots: usize, views: usize) -> Learned {
    let (d, each) = (rows.shape.last(), 1024 * rows.shape.last());
    let data: Vec<f32> = (0..shots).flat_map(|i| &rows.data[8 * i * each..][..views * each]).copied().collect();
    Learned::Bank { rows: Arc::new(Tensor::new([data.len() / d, d], data)), counts: vec![views * 1024; shots] }
}

#[test]
fn anomalydino_from_one_two_and_four_hazelnuts() {
    let Some((network, weights)) = ready() else { return };
    let (v, net, tests): (_, Net, _) = (Vectors::open("dino_ad.safetensors"), (network, &weights), tests());
    let config = Config::anomaly_dino(network);
    let all = tokens(net, &config, &tests.iter().map(|t| t.picture.clone()).collect::<Vec<_>>());
    let references = references();
    let turned = fitted(net, &config, &references.iter().collect::<Vec<_>>());
    assert_eq!(turned.file.scores.len(), 4);
    assert!(turned.limit().is_some() && turned.map_limit().is_some());
    println!("limit of four: {:?}, pixels {:?}", turned.limit(), turned.map_limit());
    let Learned::Bank { rows, .. } = &turned.file.learned else { panic!("no bank") };
    let (image, pixel) = (v.get("eval.adino.auroc_image__f64"), v.get("eval.adino.auroc_pixel__f64"));
    let (scores, n) = (v.get("eval.adino.scores"), tests.len());
    for (k, shots) in SHOTS.into_iter().enumerate() {
        for (r, views) in [1, 8].into_iter().enumerate() {
            let distances = compared(&bank(rows, shots, views), &all);
            for (m, mask) in [None, Some(Growth::Column), Some(Growth::Grid)].into_iter().enumerate() {
                let detector = Detector::Neighbors { neighbors: 1, mask, mask_references: false };
                let masked = with(&turned, net, Config { detector, ..config.clone() });
                let one = |(i, t): (usize, &Test)| {
                    let found = masked.file.config.finding(distances[i].clone(), Some(&all[i])).unwrap();
                    let map = masked.whole_map(&found.map.unwrap(), [t.picture.height, t.picture.width]);
                    (found.score, map.unwrap())
                };
                let at = (2 * k + r) * 3 + m;
                let got = measured(&tests, tests.iter().enumerate().map(one).collect());
                let name = format!("{shots} shots, {views} views, mask {m}");
                held(&name, got, [image.data[at], pixel.data[at]], &scores.data[at * n..][..n]);
            }
        }
    }
}

#[test]
fn subspacead_from_one_two_and_four_hazelnuts() {
    let Some((network, weights)) = ready() else { return };
    let (v, net, tests): (_, Net, _) = (Vectors::open("dino_ad.safetensors"), (network, &weights), tests());
    let config = Config::subspace_ad(network, &weights, None).unwrap();
    let all = tokens(net, &config, &tests.iter().map(|t| t.picture.clone()).collect::<Vec<_>>());
    let (image, pixel) = (v.get("eval.subspace.auroc_image__f64"), v.get("eval.subspace.auroc_pixel__f64"));
    let (scores, dims, n) = (v.get("eval.subspace.scores"), v.get("eval.subspace.dims"), tests.len());
    let mut moments: Option<[Moments; 2]> = None;
    for (i, reference) in references().iter().enumerate() {
        let views: Vec<Picture> = config.views(reference, i).collect();
        let views = tokens(net, &config, &views);
        let [plain, turned] = moments.get_or_insert_with(|| [Moments::about(&views[0]), Moments::about(&views[0])]);
        plain.add(&views[0]);
        views.iter().for_each(|view| turned.add(view));
        let Some(k) = SHOTS.iter().position(|shots| *shots == i + 1) else { continue };
        for (a, moments) in [plain, turned].into_iter().enumerate() {
            let subspace = moments.subspace(0.99).unwrap();
            let kept = subspace.components.shape.dim(0) as f32;
            assert!((kept - dims.data[2 * k + a]).abs() <= 1.0, "{kept} dimensions, not {}", dims.data[2 * k + a]);
            let distances = compared(&Learned::Subspace(subspace), &all);
            let one = |grid: Tensor| {
                let found = config.finding(grid, None).unwrap();
                (found.score, found.map.unwrap())
            };
            let got = measured(&tests, distances.into_iter().map(one).collect());
            let at = 2 * k + a;
            let name = format!("{} shots, {}", i + 1, ["no views", "30 views"][a]);
            held(&name, got, [image.data[at], pixel.data[at]], &scores.data[at * n..][..n]);
        }
    }
}

/// The same by the commands, for one shot with views and a mask.
#[test]
fn one_hazelnut_by_the_commands() {
    let Some((network, _)) = ready() else { return };
    let v = Vectors::open("dino_ad.safetensors");
    let folder = tempfile::tempdir().unwrap();
    let (set, model, out) = (folder.path().join("set"), folder.path().join("m.lupe"), folder.path().join("out"));
    std::fs::create_dir_all(set.join("train/good")).unwrap();
    for name in ["test", "ground_truth", "train/good/00.jpg"] {
        std::os::unix::fs::symlink(shared("data/hazelnut").join(name).canonicalize().unwrap(), set.join(name)).unwrap();
    }
    let run = |command: &mut Command| done(command.arg("-q"));
    let weights = shared("weights/vit_s14_focus.safetensors");
    let mut fit = lupe();
    fit.args(["fit", "anomalydino", "--backbone", FOCUS, "--mask", "column", "--shots", "1", "--weights"]).arg(weights);
    let said = run(fit.arg(&set).arg("-o").arg(&model));
    assert!(said.contains("8192 tokens of 384 values") && said.contains("limit     none"), "{said}");
    run(lupe().arg("eval").arg(&model).arg(&set).arg("--no-heatmaps").arg("-o").arg(&out));
    let metrics: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("metrics.json")).unwrap()).unwrap();
    let want = |name: &str| f64::from(v.get(name).data[4]); // one shot, rotations, mask
    let got = [&metrics["image"]["auroc"], &metrics["pixel"]["auroc"], &metrics["pixel_full"]["auroc"]];
    let got = got.map(|m| m.as_f64().unwrap());
    println!("{} by the commands: {got:?}", network.name);
    assert!((got[0] - want("eval.adino.auroc_image__f64")).abs() <= 0.003, "{metrics}");
    assert!((got[1] - want("eval.adino.auroc_pixel__f64")).abs() <= 0.003 && got[1] == got[2], "{metrics}");
}
