//! `lupe patchcore` as a user meets it: fit, predict, eval, what they write, and that it is the same bits every time.

use crate::common::parts::{data_set, fit, fitted, part, spoiled, verb};
use crate::common::program::{Bench, done, no_gpu, refused, text};
use crate::common::results::{json, lasting};
use crate::common::skip::{skip, this_test};
use crate::common::sweep::gpu;
use crate::common::thin::BACKBONE;
use crate::common::vectors::close;
use lupe::methods::patchcore::ModelFile;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn the_same_bits_twice_in_another_process_and_at_any_batch() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let first = fs::read(&model).unwrap();
    let run = |batch: &str, ram: &str| {
        let (again, out) = (b.path("again.lupe"), b.path(&format!("out{batch}")));
        done(fit(&data, &again).args(["--batch", batch, "--limit-ram", ram]));
        assert!(fs::read(&again).unwrap() == first, "batch {batch}, {ram}: another model");
        let words = ["--batch", batch, "--maps", "--masks", "--dump-features"];
        done(verb(&["eval"]).arg(&again).arg(&data).arg("-o").arg(&out).args(words));
        lasting(&out)
    };
    let (one, eight) = (run("1", "4G"), run("8", "1M")); // 1M: the patch vectors are read from disk
    assert!(one == eight, "batches of 1 and 8 give other results");
    assert_eq!(one.keys().filter(|k| k.starts_with("heatmaps/test/spot/")).count(), 3);
    assert!(!b.path("again.lupe.features").exists(), "the work file is left");
    let text = String::from_utf8_lossy(&first);
    assert!(!text.contains(b.dir.path().to_str().unwrap()), "an absolute path in the model");
    done(fit(&data, &b.path("seed.lupe")).args(["--seed", "1"]));
    assert!(
        ModelFile::from_bytes(&fs::read(b.path("seed.lupe")).unwrap(), "").unwrap().sources
            != ModelFile::from_bytes(&first, "").unwrap().sources
    );
}

#[test]
fn what_eval_writes() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let out = b.path("out");
    let table = done(verb(&["eval"]).arg(&model).arg(&data).arg("-o").arg(&out).args(["--maps", "--masks"]));
    assert!(table.contains("pixel_full") && table.contains("AUPRO"), "{table}");
    let metrics = json(&out.join("metrics.json"));
    assert_eq!(metrics["schema"], 1);
    for (part, names) in [
        ("image", &["auroc", "ap", "f1_max", "f1_threshold"][..]),
        ("pixel", &["auroc", "ap", "f1_max", "f1_threshold", "aupro_30", "aupro_05"]),
        ("pixel_full", &["auroc", "ap", "f1_max", "f1_threshold", "aupro_30", "aupro_05"]),
    ] {
        for name in names {
            assert!(metrics[part][name].is_f64(), "{part}.{name}");
        }
    }
    assert_eq!(metrics["by_defect"]["spot"]["auroc"], 1.0, "the spots are found");
    assert!(metrics["pixel"]["auroc"].as_f64().unwrap() > 0.9, "{metrics}");
    let count = |name: &str| metrics["counts"][name].as_u64().unwrap();
    let names = ["train", "test_good", "test_defective", "regions", "skipped_seen", "defect_pixels_unseen", "failed"];
    assert_eq!(names.map(count), [6, 2, 3, 3, 6, 0, 0]);
    assert!(count("defect_pixels") > 100 && metrics["device"]["driver_info"].is_string());
    let results = lines(&out.join("results.ndjson"));
    let paths: Vec<&str> = results.iter().map(|l| l["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        ["test/good/000.png", "test/good/001.png", "test/spot/000.png", "test/spot/001.png", "test/spot/002.png"]
    );
    for line in &results {
        let defective = line["label"] == "spot";
        assert_eq!(line["above"], line["score"].as_f64() > line["limit"].as_f64());
        assert_eq!(line["crop"], serde_json::json!([4.0, 4.0, 64.0, 64.0]));
        let peak = [&line["peak"][0], &line["peak"][1]].map(|v| v.as_f64().unwrap());
        assert!(!defective || peak.iter().all(|v| (26.0..48.0).contains(v)), "the peak lies on the spot: {line}");
        assert!(!defective || line["above"] == true, "{line}");
    }
    let times = lines(&out.join("timing.ndjson"));
    assert!(times.len() == 5 && ["decode", "device", "writing"].iter().all(|k| times[4][k].is_f64()));
    let mask = image::open(out.join("masks/test/spot/001.png")).unwrap().into_luma8();
    assert_eq!((mask.dimensions(), mask.get_pixel(36, 34).0, mask.get_pixel(2, 2).0), ((72, 72), [255], [0]));
    let heat = image::open(out.join("heatmaps/test/spot/001.png")).unwrap();
    assert!(heat.height() == 72 && heat.width() > 72, "the scale stands beside the picture");
    done(verb(&["eval"]).arg(&model).arg(&data).arg("-o").arg(&out).args(["--format", "csv", "--no-heatmaps"]));
    let mut table = csv::Reader::from_path(out.join("results.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), &rows[2][0], &rows[2][1], &rows[2][4]), (5, "test/spot/000.png", "spot", "true"));
    assert!(!out.join("results.ndjson").exists(), "the other format of an earlier run");
}

fn npy(path: &Path) -> (Vec<u64>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

/// Scores of places, and the picture's, from patch vectors and bank in f64; `squared` as the official implementation has it.
fn by_hand(rows: &[f32], model: &ModelFile, squared: bool) -> (Vec<f64>, f64) {
    let d = model.geometry.dim;
    let apart =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>();
    let bank: Vec<&[f32]> = model.bank.data.chunks(d).collect();
    let nearest = |q: &[f32]| {
        let all = bank.iter().enumerate().map(|(i, m)| (apart(q, m), i));
        all.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
    };
    let places: Vec<(f64, usize)> = rows.chunks(d).map(nearest).collect();
    let scores: Vec<f64> = places.iter().map(|p| if squared { p.0 } else { p.0.sqrt() }).collect();
    let (at, highest) = scores.iter().copied().enumerate().fold((0, 0.0), |b, s| if s.1 > b.1 { s } else { b });
    if squared {
        return (scores, highest);
    }
    // The paper's formula (7): the nine rows nearest to the nearest row, that one first.
    let own = bank[places[at].1];
    let mut around: Vec<(f64, usize)> = bank.iter().enumerate().map(|(i, m)| (apart(own, m), i)).collect();
    around.sort_by(|a, b| a.0.total_cmp(&b.0));
    let query = &rows[at * d..][..d];
    let distances: Vec<f64> = around.iter().take(9).map(|a| apart(query, bank[a.1]).sqrt()).collect();
    let top = distances.iter().copied().fold(0.0, f64::max);
    let sum: f64 = distances.iter().map(|v| (v - top).exp()).sum();
    (scores, highest * (1.0 - (distances[0] - top).exp() / sum))
}

/// Scores of `n x n` places brought to `size` and blurred, in f64.
fn map_by_hand(scores: &[f64], n: usize, size: usize, official: bool) -> Vec<f32> {
    let up = |x: usize, y: usize| -> f64 {
        if !official {
            return scores[y * n / size * n + x * n / size];
        }
        let along = |v: usize| {
            let at = ((v as f64 + 0.5) * n as f64 / size as f64 - 0.5).max(0.0);
            (at as usize, (at as usize + 1).min(n - 1), at.fract())
        };
        let ((x0, x1, fx), (y0, y1, fy)) = (along(x), along(y));
        let row = |y: usize| scores[y * n + x0] * (1.0 - fx) + scores[y * n + x1] * fx;
        row(y0) * (1.0 - fy) + row(y1) * fy
    };
    let taps: Vec<f64> = (-16i64..=16).map(|t| (-(t * t) as f64 / 32.0).exp()).collect();
    let total: f64 = taps.iter().sum();
    // scipy's "reflect" repeats the edge pixel, torch's does not.
    let mirror = |v: i64| {
        let last = size as i64 - 1;
        (if v < 0 {
            if official { -v - 1 } else { -v }
        } else if v > last {
            if official { 2 * last + 1 - v } else { 2 * last - v }
        } else {
            v
        }) as usize
    };
    let blur = |get: &dyn Fn(usize) -> f64, at: usize| {
        taps.iter().enumerate().map(|(t, w)| w / total * get(mirror(at as i64 + t as i64 - 16))).sum::<f64>()
    };
    let rows: Vec<f64> = (0..size * size).map(|i| blur(&|x| up(x, i / size), i % size)).collect();
    (0..size * size).map(|i| blur(&|y| rows[y * size + i % size], i / size) as f32).collect()
}

#[test]
fn score_and_map_are_what_features_and_bank_say() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, _) = fitted(&b);
    for preset in ["official", "anomalib", "default"] {
        let (official, cropped, model) = (preset != "anomalib", preset == "official", b.path("p.lupe"));
        let (geometry, out): (&[&str], _) =
            (if cropped { &["--size", "64", "--resize", "72"] } else { &["--size", "64"] }, b.path(preset));
        let mut command = verb(&["fit", "patchcore", "--ratio", "0.5"]);
        command.args(if preset == "default" { vec![] } else { vec!["--preset", preset] });
        done(command.args(geometry).arg(&data).arg("-o").arg(&model));
        // Without crop a picture of the network's size is its own map, in the middle of a crop of 72 too.
        let picture = b.path("x.png");
        let (w, h) = if cropped { (72, 72) } else { (64, 64) };
        spoiled(300, w, h).0.save(&picture).unwrap();
        let words = ["--maps=npy", "--dump-features", "--no-heatmaps"];
        done(verb(&["predict"]).arg(&model).arg(&picture).arg("-o").arg(&out).args(words));
        let fitted = ModelFile::from_bytes(&fs::read(&model).unwrap(), "").unwrap();
        let (shape, rows) = npy(&out.join("features/x.npy"));
        assert_eq!(shape, [64, fitted.geometry.dim as u64]);
        let (places, score) = by_hand(&rows, &fitted, official);
        let got = lines(&out.join("results.ndjson"))[0]["score"].as_f64().unwrap();
        assert!((got - score).abs() <= 1e-5 * score, "{preset}: {got} against {score}");
        let (shape, map) = npy(&out.join("maps/x.npy"));
        assert_eq!(shape, [u64::from(h), u64::from(w)]);
        let edge = (w as usize - 64) / 2;
        let inside: Vec<f32> = (0..64 * 64).map(|i| map[(i / 64 + edge) * w as usize + i % 64 + edge]).collect();
        close(preset, &inside, &map_by_hand(&places, 8, 64, official), 1e-5);
        assert!(!cropped || map[0] == f32::NEG_INFINITY, "outside the crop nothing was looked at");
    }
}

#[test]
fn folders_of_every_kind_and_pictures_of_every_size() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    // Good pictures and defects beside each other: every fifth good one is kept aside, and eval finds it again.
    let plain = b.path("plain");
    fs::create_dir_all(plain.join("good")).unwrap();
    fs::create_dir_all(plain.join("spot")).unwrap();
    for n in 0..6 {
        part(n, 72, 72).save(plain.join(format!("good/{n}.png"))).unwrap();
    }
    spoiled(1, 72, 72).0.save(plain.join("spot/a.png")).unwrap();
    let (kept, out) = (b.path("plain.lupe"), b.path("out"));
    done(&mut fit(&plain, &kept));
    let held = ModelFile::from_bytes(&fs::read(&kept).unwrap(), "").unwrap().held_out;
    assert_eq!(held.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["good/4.png"]);
    done(verb(&["eval"]).arg(&kept).arg(&plain).arg("-o").arg(&out));
    let metrics = json(&out.join("metrics.json"));
    assert_eq!((&metrics["counts"]["test_good"], &metrics["counts"]["test_defective"]), (&1.into(), &1.into()));
    assert!(metrics["pixel"]["auroc"].is_null() && metrics["pixel"]["undefined"]["auroc"].is_string(), "no masks");
    // Pixels of the pictures' own size that do not fit in memory are not counted, and that is said.
    done(verb(&["eval"]).arg(&model).arg(&data).arg("-o").arg(&out).args(["--limit-ram", "100K", "--no-heatmaps"]));
    let metrics = json(&out.join("metrics.json"));
    assert!(metrics["pixel_full"]["auroc"].is_null() && metrics["pixel"]["auroc"].is_f64(), "{metrics}");
    assert!(metrics["pixel_full"]["undefined"]["ap"].as_str().unwrap().contains("--limit-ram"));
    // A picture that was fitted on is left out, unless it is asked for.
    fs::copy(data.join("train/good/000.png"), data.join("test/good/copy.png")).unwrap();
    let eval = |more: &[&str]| {
        let run = verb(&["eval"]).arg(&model).arg(&data).arg("-o").arg(&out).args(more).output().unwrap();
        assert!(run.status.success(), "{}", text(&run.stderr));
        let counts = json(&out.join("metrics.json"))["counts"].clone();
        (counts["skipped_seen"].as_u64(), counts["test_good"].as_u64(), text(&run.stderr).contains("warning"))
    };
    assert_eq!(eval(&[]), (Some(7), Some(2), false));
    assert_eq!(eval(&["--allow-seen"]), (Some(0), Some(3), true));
    // 12 megapixels, a single pixel, a strip: in one folder.
    let mixed = b.path("mixed/deep");
    fs::create_dir_all(&mixed).unwrap();
    part(7, 4000, 3000).save(mixed.join("large.jpg")).unwrap();
    part(8, 1, 1).save(mixed.join("one.png")).unwrap();
    part(9, 300, 40).save(mixed.join("strip.png")).unwrap();
    let said = done(verb(&["predict"]).arg(&model).arg(b.path("mixed")).arg("-o").arg(&out));
    assert!(said.contains("the largest of 6 training scores"), "{said}");
    let results = lines(&out.join("results.ndjson"));
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(|l| l["score"].as_f64().is_some_and(f64::is_finite)), "{results:?}");
    assert_eq!(image::image_dimensions(out.join("heatmaps/deep/large.png")).unwrap().1, 3000);
    let peak = results[0]["peak"][0].as_f64().unwrap();
    assert!(results[0]["path"] == "deep/large.jpg" && (500.0..3500.0).contains(&peak), "inside of its crop: {peak}");
    // Results among the pictures are not looked at.
    let inside = b.path("mixed/results");
    for _ in 0..2 {
        done(verb(&["predict"]).arg(&model).arg(b.path("mixed")).arg("-o").arg(&inside));
        assert_eq!(lines(&inside.join("results.ndjson")).len(), 3);
    }
    let rejects = data.join("test/spot");
    refused(
        verb(&["predict"]).arg(&model).arg(rejects).arg("-o").arg(&out).arg("--exit-code"),
        1,
        &["above the limit"],
    );
}

#[test]
fn one_good_picture_gives_scores_but_no_limit() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model, out) = (b.path("data"), b.path("m.lupe"), b.path("out"));
    data_set(&data, 1, 72, 72);
    let said = done(fit(&data, &model).args(["--ratio", "1"]));
    assert!(said.contains("limit     none"), "{said}");
    done(verb(&["predict"]).arg(&model).arg(data.join("test")).arg("-o").arg(&out).args(["--masks"]));
    let lines = lines(&out.join("results.ndjson"));
    assert!(lines.iter().all(|l| l["limit"].is_null() && l["above"].is_null() && l["score"].is_f64()));
    // Pictures of one colour: the selection stops when everything left repeats what it has, and says so.
    let flat = b.path("flat");
    fs::create_dir_all(&flat).unwrap();
    for n in 0..3 {
        let mut picture = image::RgbImage::from_pixel(128, 128, image::Rgb([90; 3]));
        picture.put_pixel(0, n, image::Rgb([200; 3])); // copies would be left out
        picture.save(flat.join(format!("{n}.png"))).unwrap();
    }
    let words = ["--size", "128", "--layers", "block2", "--ratio", "0.9"];
    let run = verb(&["fit", "patchcore"]).arg(&flat).arg("-o").arg(b.path("flat.lupe")).args(words).output().unwrap();
    assert!(run.status.success() && text(&run.stderr).contains("repetitions"), "{}", text(&run.stderr));
}

/// The ranges are those of independent computations with `resnet50_thin` and this ratio.
#[test]
fn real_pictures_from_folder_to_metrics() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hazelnut");
    if no_gpu() {
        return;
    }
    if !data.exists() {
        return skip("real_pictures_from_folder_to_metrics", "../shared/data/hazelnut is not here");
    }
    let b = Bench::new();
    let official = [[0.9825, 0.9840], [0.605, 0.630], [0.915, 0.925]];
    let anomalib = [[0.985, 0.9875], [0.62, 0.645], [0.930, 0.939]];
    for (preset, ranges, pixels) in [("official", official, 34_001), ("anomalib", anomalib, 39_427)] {
        let (model, out) = (b.path("h.lupe"), b.path(preset));
        done(verb(&["fit", "patchcore", "--preset", preset]).args(BACKBONE).arg(&data).arg("-o").arg(&model));
        done(verb(&["eval", "--no-heatmaps"]).arg(&model).arg(&data).arg("-o").arg(&out));
        let metrics = json(&out.join("metrics.json"));
        assert_eq!(metrics["image"]["auroc"], 1.0);
        for (name, [low, high]) in ["auroc", "ap", "aupro_30"].iter().zip(ranges) {
            let value = metrics["pixel"][name].as_f64().unwrap();
            assert!((low..=high).contains(&value), "{preset} {name}: {value}");
        }
        let count = |name: &str| metrics["counts"][name].as_u64().unwrap();
        let names = ["train", "test_good", "test_defective", "defect_pixels", "regions", "skipped_seen"];
        assert_eq!(names.map(count), [28, 6, 17, pixels, 54, 28]);
        let verdicts = lines(&out.join("results.ndjson"));
        assert!(verdicts.len() == 23 && verdicts.iter().all(|l| (l["label"] == "good") != (l["above"] == true)));
    }
}

/// Recorded with the last program that had these weights built in, which called itself 0.1.0 as its models do, at 128 bits and at 256: of the
/// pictures below `fit patchcore data -o m.lupe` with these flags, then `predict m.lupe data/test -o out --maps=npy --no-heatmaps`.
const RECORDED_ON: &str = "Mesa 22.3.6 (LLVM 15.0.6)";
const RECORDED: [(&[&str], [&str; 3]); 3] = [
    (
        &["--preset", "official", "--size", "64", "--resize", "72"],
        [
            "859cc827f9f958e9f03ccf0528dd2a660dd3555d260c815100588daa50cee5eb",
            "a6ff536c2fa53d0f5bde7bc696bdfd856208798b664de6b4edffb80ad12669bd",
            "a2b44932aa1773272f0aaef33f6eed1a00f8866bba767b6b44e0e630baae259e",
        ],
    ),
    (
        &["--preset", "anomalib", "--size", "64"],
        [
            "1bdba146c95b826e5ef931613977c9eadd397b0fb19b42d52a42637823ed8865",
            "6a63f8ab307415782dc8ad2368f80015c7d66170dad7a69e35d32295005e9000",
            "649091223d55a5ab85a754f359344d02d0956f061d0e57e935a735d2ae3dec7d",
        ],
    ),
    (
        &["--size", "96", "--ratio", "0.3", "--seed", "3"],
        [
            "61a8a139a110a519287c0a2c09341b800f8ada58f145f3ab926aba9cbaf8a314",
            "111c654cd726dd7776680d2e00d381f0fc4ce275744dd97e54222e0c84a65da2",
            "19f96fcdab2dd69951c4af0777523608ca45af49b1588277308ea6590f9d4f02",
        ],
    ),
];

#[test]
fn the_thin_resnet_gives_the_bytes_that_it_gave_when_it_was_built_in() {
    if no_gpu() {
        return;
    }
    let driver = &gpu().info.driver_info;
    if driver != RECORDED_ON {
        return skip(&this_test(), &format!("recorded on {RECORDED_ON}; here it is {driver}"));
    }
    let b = Bench::new();
    let (data, model, out) = (b.path("data"), b.path("m.lupe"), b.path("out"));
    data_set(&data, 6, 72, 72);
    for (flags, want) in RECORDED {
        done(verb(&["fit", "patchcore"]).arg(&data).arg("-o").arg(&model).args(flags).args(BACKBONE));
        let words = ["--maps=npy", "--no-heatmaps"];
        done(verb(&["predict"]).arg(&model).arg(data.join("test")).arg("-o").arg(&out).args(words));
        let files = [model.clone(), out.join("results.ndjson"), out.join("maps/spot/001.npy")];
        let bytes = files.map(|file| fs::read(file).unwrap());
        let got = bytes.each_ref().map(|bytes| lupe::files::sha256(bytes));
        assert_eq!(got, want, "{flags:?}: model, results, a map");
        let again = ModelFile::from_bytes(&bytes[0], "").unwrap().to_bytes().unwrap();
        assert!(again == bytes[0], "{flags:?}: written again, a model has other bytes");
    }
}
