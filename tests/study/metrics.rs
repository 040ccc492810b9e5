//! Metrics against reference values, slow definitions and cases without an answer.

use crate::common::vectors::path;
use lupe::error::Error;
use lupe::methods::metrics::{MetricValue, PixelMetrics, Pixels, Score, area, components, ranking, steps};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::Value as Json;

fn near(name: &str, got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-9, "{name}: {got}, not {want}");
}

fn reference() -> Json {
    serde_json::from_slice(&std::fs::read(path("ad/metrics.json")).unwrap()).unwrap()
}

fn number(v: &Json) -> f64 {
    if v == "inf" { f64::INFINITY } else { v.as_f64().unwrap_or_else(|| panic!("{v} is no number")) }
}

fn numbers(v: &Json) -> Vec<f64> {
    v.as_array().unwrap().iter().flat_map(|v| if v.is_array() { numbers(v) } else { vec![number(v)] }).collect()
}

fn flags(v: &Json) -> Vec<bool> {
    numbers(v).into_iter().map(|v| v > 0.5).collect()
}

fn samples(case: &Json) -> Vec<(f64, bool)> {
    numbers(&case["scores"]).into_iter().zip(flags(&case["labels"])).collect()
}

fn same(name: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{name}: {got:?}, not {want:?}");
    for (&g, &w) in got.iter().zip(want) {
        assert!(g == w || (g - w).abs() <= 1e-9, "{name}: {got:?}, not {want:?}");
    }
}

#[test]
fn rankings_are_the_references() {
    let reference = reference();
    let cases: Vec<_> = reference.as_object().unwrap().iter().filter(|(_, c)| c.get("roc_fpr").is_some()).collect();
    assert_eq!(cases.len(), 7);
    for (name, case) in cases {
        let r = ranking(&samples(case)).unwrap();
        near(name, r.auroc.unwrap(), number(&case["auroc"]));
        near(name, r.ap.unwrap(), number(&case["average_precision"]));
        near(name, r.f1_max.unwrap(), number(&case["f1_max"]));
        near(name, r.f1_threshold.unwrap(), number(&case["f1_max_threshold_ge"]));
    }
}

#[test]
fn curves_are_the_references() {
    let reference = reference();
    for (name, case) in reference.as_object().unwrap().iter().filter(|(_, c)| c.get("roc_fpr").is_some()) {
        let samples = samples(case);
        let steps = steps(&samples).unwrap();
        let all = steps.last().unwrap();
        let curve = |first: f64, of: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
            let points = steps.iter().map(|s| of(s.defective as f64, s.defect_free as f64));
            std::iter::once(first).chain(points).collect()
        };
        same(name, &curve(0.0, &|_, fp| fp / all.defect_free as f64), &numbers(&case["roc_fpr"]));
        same(name, &curve(0.0, &|tp, _| tp / all.defective as f64), &numbers(&case["roc_tpr"]));
        let rising = |mut v: Vec<f64>| {
            v.reverse();
            v
        };
        same(name, &rising(curve(1.0, &|tp, fp| tp / (tp + fp))), &numbers(&case["pr_precision"]));
        same(name, &rising(curve(0.0, &|tp, _| tp / all.defective as f64)), &numbers(&case["pr_recall"]));
        let thresholds: Vec<f64> = steps.iter().map(|s| s.threshold).collect();
        same(name, &[vec![f64::INFINITY], thresholds.clone()].concat(), &numbers(&case["roc_thresholds"]));
        same(name, &rising(thresholds), &numbers(&case["pr_thresholds"]));
        let best = ranking(&samples).unwrap().f1_threshold.unwrap();
        let at = steps.iter().find(|s| s.threshold == best).unwrap();
        let (tp, fp) = (at.defective as f64, at.defect_free as f64);
        near(name, tp / (tp + fp), number(&case["precision_at_f1_max"]));
        near(name, tp / all.defective as f64, number(&case["recall_at_f1_max"]));
    }
}

#[test]
fn the_sample_at_the_threshold_is_defective() {
    let case = &reference()["anomalib_normalise"];
    let samples = samples(case);
    let threshold = ranking(&samples).unwrap().f1_threshold.unwrap();
    near("threshold", threshold, number(&case["threshold"]));
    let found: Vec<Json> = samples.iter().map(|s| Json::Bool(s.0 >= threshold)).collect();
    assert_eq!(Json::Array(found), case["predicted_ge_half"]);
}

fn pixels<S: Score>(maps: &[&[S]], masks: &[Option<&[bool]>], width: usize) -> Pixels<S> {
    let mut all = Pixels::new();
    for (map, mask) in maps.iter().zip(masks) {
        all.add(map, *mask, width).unwrap();
    }
    all
}

#[test]
fn overlap_with_regions_by_hand() {
    let case = &reference()["aupro_hand"];
    let (map, mask) = (numbers(&case["map"]), flags(&case["mask"]));
    let all = pixels(&[map.as_slice()], &[Some(&mask)], 4);
    let curve = all.clone().curve().unwrap();
    same("fpr", &curve.iter().map(|p| p.0).collect::<Vec<_>>(), &numbers(&case["fpr"]));
    same("pro", &curve.iter().map(|p| p.1).collect::<Vec<_>>(), &numbers(&case["pro"]));
    near("to 1", area(curve, 1.0), number(&case["aupro_100"]));
    let m = all.finish().unwrap();
    assert_eq!((m.regions, m.defect_pixels), (2, 3));
    near("to 0.3", m.aupro_30.unwrap(), number(&case["aupro_030"]));
}

struct Toy {
    maps: Vec<Vec<f64>>,
    masks: Vec<Vec<bool>>,
    fpr: Vec<f64>,
    pro: Vec<f64>,
}

fn toy() -> Toy {
    let bytes = std::fs::read(path("ad/metrics.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| bytemuck::pod_collect_to_vec::<u8, f64>(file.tensor(name).unwrap().data());
    let masks = file.tensor("masks").unwrap().data().chunks(320).map(|m| m.iter().map(|&v| v > 0).collect()).collect();
    let maps = floats("maps").chunks(320).map(<[f64]>::to_vec).collect();
    Toy { maps, masks, fpr: floats("pro_fpr"), pro: floats("pro_value") }
}

fn check_toy(m: &PixelMetrics, case: &Json, tolerance_of_threshold: f64) {
    assert_eq!(m.regions, case["n_regions_8conn"].as_u64().unwrap());
    near("auroc", m.ranking.auroc.unwrap(), number(&case["pixel_auroc"]));
    near("ap", m.ranking.ap.unwrap(), number(&case["pixel_ap"]));
    near("f1", m.ranking.f1_max.unwrap(), number(&case["pixel_f1_max"]));
    let off = m.ranking.f1_threshold.unwrap() - number(&case["pixel_f1_max_threshold_ge"]);
    assert!(off.abs() <= tolerance_of_threshold, "threshold off by {off}");
    near("aupro 0.3", m.aupro_30.unwrap(), number(&case["aupro_030"]));
    near("aupro 0.05", m.aupro_05.unwrap(), number(&case["aupro_005"]));
}

#[test]
fn a_toy_set_is_the_reference() {
    let case = &reference()["pixel_toy"];
    let Toy { maps, masks, fpr, pro } = toy();
    let map_refs: Vec<&[f64]> = maps.iter().map(Vec::as_slice).collect();
    let mask_refs: Vec<Option<&[bool]>> = masks.iter().map(|m| Some(m.as_slice())).collect();
    let all = pixels(&map_refs, &mask_refs, 20);
    let curve = all.clone().curve().unwrap();
    same("fpr", &curve.iter().map(|p| p.0).collect::<Vec<_>>(), &fpr);
    same("pro", &curve.iter().map(|p| p.1).collect::<Vec<_>>(), &pro);
    near("aupro 1", area(curve, 1.0), number(&case["aupro_100"]));
    check_toy(&all.finish().unwrap(), case, 0.0);
    // A picture without mask is one with an empty mask; f32 keeps the order of values of two decimals.
    let small: Vec<Vec<f32>> = maps.iter().map(|m| m.iter().map(|&v| v as f32).collect()).collect();
    let small: Vec<&[f32]> = small.iter().map(Vec::as_slice).collect();
    let masks: Vec<Option<&[bool]>> = masks.iter().map(|m| m.contains(&true).then_some(m.as_slice())).collect();
    assert_eq!(masks.iter().filter(|m| m.is_none()).count(), 1);
    check_toy(&pixels(&small, &masks, 20).finish().unwrap(), case, 1e-7);
    let defective = pixels(&map_refs[..3], &masks[..3], 20).finish().unwrap();
    near("auroc of defective", defective.ranking.auroc.unwrap(), number(&case["pixel_auroc_anomalous_images_only"]));
    near("aupro of defective", defective.aupro_30.unwrap(), number(&case["aupro_030_anomalous_images_only"]));
    let top = maps.iter().map(|m| m.iter().fold(f64::MIN, |a, &b| a.max(b)));
    let pictures: Vec<(f64, bool)> = top.zip(flags(&case["image_labels"])).collect();
    same("maxima", &pictures.iter().map(|p| p.0).collect::<Vec<_>>(), &numbers(&case["image_scores_max"]));
    near("pictures", ranking(&pictures).unwrap().auroc.unwrap(), number(&case["image_auroc_from_max"]));
}

#[test]
fn what_is_undefined_says_why() {
    let none: MetricValue = Err("no defective sample");
    let free = ranking(&[(0.5f32, false), (0.7, false)]).unwrap();
    assert_eq!([free.auroc, free.ap, free.f1_max, free.f1_threshold], [none; 4]);
    assert_eq!(ranking::<f32>(&[]).unwrap(), free);
    let defective = ranking(&[(0.5f32, true), (0.7, true)]).unwrap();
    let none_free = [Err("no defect-free sample"); 4];
    assert_eq!([defective.auroc, defective.ap, defective.f1_max, defective.f1_threshold], none_free);
    let m = pixels(&[&[0.1f32, 0.2]], &[None], 2).finish().unwrap();
    assert_eq!(
        (m.aupro_30, m.aupro_05, m.ranking.auroc),
        (Err("no defective region"), Err("no defective region"), none)
    );
    let m = pixels(&[&[0.1f32, 0.2]], &[Some(&[true, true])], 2).finish().unwrap();
    assert_eq!((m.aupro_30, m.ranking.auroc), (Err("no defect-free sample"), Err("no defect-free sample")));
}

#[test]
fn what_is_no_score_is_refused() {
    assert!(
        matches!(ranking(&[(f32::NAN, true), (0.0, false)]), Err(Error::Numeric(m)) if m.contains("score 0 is not a number"))
    );
    let mut all = pixels(&[&[0.5f64, 0.1]], &[Some(&[true, false])], 2);
    assert!(matches!(all.add(&[0.0, -f64::NAN], None, 2), Err(Error::Numeric(_))));
    assert!(matches!(all.add(&[0.0, 1.0, 2.0], None, 2), Err(Error::Input(_))));
    assert!(matches!(all.add(&[0.0, 1.0], Some(&[true]), 2), Err(Error::Input(_))));
    assert!(matches!(all.add(&[0.0], None, 0), Err(Error::Input(_))));
    let c = all.counts();
    assert_eq!((c.pixels, c.defect_pixels, c.regions), (2, 1, 1), "nothing was added");
}

#[test]
fn minus_infinity_ranks_below_all() {
    let low = f32::NEG_INFINITY;
    let r = ranking(&[(low, false), (low, true), (-1e30, true), (0.0, false)]).unwrap();
    near("auroc", r.auroc.unwrap(), (0.5 + 0.0 + 1.0 + 0.0) / 4.0);
    assert_eq!(r.f1_threshold, Ok(f64::from(low)), "all defective is best here");
    let m = pixels(&[&[low, 1.0, low, low]], &[Some(&[false, true, false, false])], 2).finish().unwrap();
    assert_eq!((m.aupro_30, m.ranking.auroc), (Ok(1.0), Ok(1.0)));
}

/// P(defective above defect-free) + half of P(equal), pair by pair.
fn pairs(samples: &[(f32, bool)]) -> f64 {
    let (mut sum, mut all) = (0.0, 0.0);
    for a in samples.iter().filter(|s| s.1) {
        for b in samples.iter().filter(|s| !s.1) {
            all += 1.0;
            sum += if a.0 > b.0 { 1.0 } else { f64::from(u8::from(a.0 == b.0)) / 2.0 };
        }
    }
    sum / all
}

/// AUPRO by its definition: for every threshold the rate of false positives and the mean of each region's overlap.
fn slow_overlap(maps: &[Vec<f32>], masks: &[Vec<bool>], width: usize, limit: f64) -> f64 {
    let mut levels: Vec<f32> = maps.concat();
    levels.sort_by(|a, b| b.total_cmp(a));
    levels.dedup();
    let regions: Vec<Vec<(usize, usize)>> = masks.iter().enumerate().flat_map(|(k, m)| grown(k, m, width)).collect();
    let free = masks.iter().flatten().filter(|m| !**m).count() as f64;
    let mut last = (0.0, 0.0);
    let mut sum = 0.0;
    for level in levels {
        let wrong = maps.iter().flatten().zip(masks.iter().flatten()).filter(|(s, m)| !**m && **s >= level).count();
        let found =
            |r: &Vec<(usize, usize)>| r.iter().filter(|&&(k, i)| maps[k][i] >= level).count() as f64 / r.len() as f64;
        let point = (wrong as f64 / free, regions.iter().map(found).sum::<f64>() / regions.len() as f64);
        // The part of this line left of the limit, by the height in its middle.
        let (from, to) = (f64::min(last.0, limit), f64::min(point.0, limit));
        if to > from {
            let height = |x: f64| last.1 + (point.1 - last.1) * (x - last.0) / (point.0 - last.0);
            sum += (to - from) * height((from + to) / 2.0);
        }
        last = point;
    }
    sum / limit
}

/// Regions by merging sets of touching pixels until nothing changes.
fn grown(picture: usize, mask: &[bool], width: usize) -> Vec<Vec<(usize, usize)>> {
    let mut name: Vec<usize> = (0..mask.len()).collect();
    let touch = |a: usize, b: usize| {
        mask[a] && mask[b] && (a % width).abs_diff(b % width) <= 1 && (a / width).abs_diff(b / width) <= 1
    };
    for _ in 0..mask.len() {
        for a in 0..mask.len() {
            for b in (0..mask.len()).filter(|&b| touch(a, b)) {
                name[a] = name[a].min(name[b]);
            }
        }
    }
    let members = |n: usize| (0..mask.len()).filter(|&i| mask[i] && name[i] == n).map(|i| (picture, i)).collect();
    (0..mask.len()).map(members).filter(|r: &Vec<_>| !r.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn auroc_is_the_share_of_pairs(samples in prop::collection::vec((-3i8..4, any::<bool>()), 2..60)) {
        let samples: Vec<(f32, bool)> = samples.into_iter().map(|(s, d)| (f32::from(s) / 3.0, d)).collect();
        let auroc = ranking(&samples).unwrap().auroc;
        match auroc {
            Ok(v) => near("auroc", v, pairs(&samples)),
            Err(_) => prop_assert!(samples.iter().all(|s| s.1) || samples.iter().all(|s| !s.1)),
        }
    }

    #[test]
    fn overlap_is_its_definition(pixel in prop::collection::vec((0u8..9, 0u8..10), 60), share in 1u8..8) {
        let maps: Vec<Vec<f32>> = pixel.chunks(30).map(|p| p.iter().map(|v| f32::from(v.0)).collect()).collect();
        let masks: Vec<Vec<bool>> = pixel.chunks(30).map(|p| p.iter().map(|v| v.1 < share).collect()).collect();
        let (m, mm): (Vec<&[f32]>, Vec<Option<&[bool]>>) =
            (maps.iter().map(Vec::as_slice).collect(), masks.iter().map(|m| Some(m.as_slice())).collect());
        let got = pixels(&m, &mm, 6).finish().unwrap();
        let regions: usize = masks.iter().enumerate().map(|(k, m)| grown(k, m, 6).len()).sum();
        prop_assert_eq!(got.regions, regions as u64);
        prop_assert_eq!(components(&masks[0], 6).sizes.len(), grown(0, &masks[0], 6).len());
        if let Ok(v) = got.aupro_30 {
            near("0.3", v, slow_overlap(&maps, &masks, 6, 0.3));
            near("0.05", got.aupro_05.unwrap(), slow_overlap(&maps, &masks, 6, 0.05));
        }
    }
}
