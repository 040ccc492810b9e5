//! The limit between accepted and rejected: what may not move it without a word, how it is changed, and what each rule costs.

use crate::common::parts::{SMALL, data_set, fit, fitted, part, spoiled, verb};
use crate::common::program::{Bench, done, no_gpu, refused, text};
use crate::common::results::lines;
use crate::common::sweep;
use image::{Rgb, RgbImage};
use lupe::data::Picture;
use lupe::data::dataset::Dataset;
use lupe::methods::patchcore::{Config, FitOptions, Good, PatchCore, Preset};
use lupe::methods::{LimitRule, RunOptions, Scorer, limit};
use lupe::models;
use lupe::watch::Unwatched;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a command says on stdout and on stderr.
fn both(command: &mut Command) -> (String, String) {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", text(&out.stderr));
    (text(&out.stdout), text(&out.stderr))
}

fn json(command: &mut Command) -> Value {
    serde_json::from_str(&done(command.arg("--json"))).unwrap()
}

fn facts(model: &Path) -> Value {
    json(verb(&["weights", "inspect"]).arg(model))["model"].clone()
}

/// A flat folder of `n` different good pictures.
fn good(folder: &Path, n: u64) {
    fs::create_dir_all(folder).unwrap();
    for i in 0..n {
        part(i, 72, 72).save(folder.join(format!("{i:03}.png"))).unwrap();
    }
}

fn fitted_on(folder: &Path, model: &Path, words: &[&str]) -> (String, String) {
    both(fit(folder, model).args(["--test-split", "0"]).args(words))
}

#[test]
fn fault_05_copies_do_not_lower_the_limit() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    for ratio in ["0.5", "1"] {
        let [once, twice] = ["once", "twice"].map(|name| b.path(&format!("{name}{ratio}")));
        good(&once, 4);
        good(&twice, 4);
        for i in 0..4 {
            let copy = |ending: &str| twice.join(format!("{i:03}_again.{ending}"));
            // The same file, and the same picture in another format.
            match i % 2 {
                0 => drop(fs::copy(twice.join(format!("{i:03}.png")), copy("png")).unwrap()),
                _ => part(i, 72, 72).save(copy("bmp")).unwrap(),
            }
        }
        let [a, z] = ["a.lupe", "z.lupe"].map(|name| b.path(name));
        fitted_on(&once, &a, &["--ratio", ratio]);
        let (_, said) = fitted_on(&twice, &z, &["--ratio", ratio]);
        let note = "4 of the training pictures are the same as others and are left out, 4 are used; the first is 000_again.png, to the network the same as 000.png";
        assert!(said.contains(note), "{said}");
        let (a, z) = (facts(&a), facts(&z));
        assert_eq!((&a["limit"], &a["pixel_limit"]), (&z["limit"], &z["pixel_limit"]), "ratio {ratio}");
        assert!(a["limit"].as_f64().unwrap() > 0.0);
        assert_eq!((z["pictures"].clone(), z["left_out"].as_array().unwrap().len()), (4.into(), 4));
        assert_eq!(z["left_out"][1]["name"], "001_again.bmp");
    }
    // Copies were seen, even in another format: they are not tested with.
    let set = b.path("set");
    data_set(&set, 3, 72, 72);
    fs::copy(set.join("train/good/000.png"), set.join("test/good/seen.png")).unwrap();
    part(1, 72, 72).save(set.join("train/good/zz.bmp")).unwrap();
    fs::copy(set.join("train/good/zz.bmp"), set.join("test/good/zz.bmp")).unwrap();
    let model = b.path("set.lupe");
    done(&mut fit(&set, &model));
    let metrics = json(verb(&["eval"]).arg(&model).arg(&set).arg("-o").arg(b.path("eval")));
    // The four of the training split, the copy that was left out among them, and two in the test split.
    assert_eq!((&metrics["counts"]["test_good"], &metrics["counts"]["skipped_seen"]), (&2.into(), &6.into()));
}

#[test]
fn fault_05_pictures_that_are_all_the_same_have_no_limit_and_nearly_the_same_are_told() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (folder, model) = (b.path("same"), b.path("m.lupe"));
    fs::create_dir(&folder).unwrap();
    for i in 0..3 {
        part(7, 72, 72).save(folder.join(format!("{i}.png"))).unwrap();
    }
    let (out, said) = fitted_on(&folder, &model, &[]);
    assert!(
        said.contains("2 of the training pictures are the same")
            && out.contains("limit     none: there is no second picture"),
        "{out}{said}"
    );
    assert!(facts(&model)["limit"].is_null());
    let flat = |i: u32| RgbImage::from_fn(72, 72, |x, y| Rgb([if (x, y) == (30, 30 + i) { 101 } else { 100 }; 3]));
    (0..3).for_each(|i| flat(i).save(folder.join(format!("{i}.png"))).unwrap());
    let (_, said) = fitted_on(&folder, &model, &["--ratio", "1"]);
    assert!(said.contains("nearly the same to the network"), "{said}");
    good(&b.path("good"), 4);
    let (_, said) = fitted_on(&b.path("good"), &model, &["--ratio", "1"]);
    assert!(!said.contains("nearly the same"), "{said}");
}

/// A folder of 16 good pictures with one that is stained, and the model fitted on it.
fn contaminated(b: &Bench) -> (std::path::PathBuf, std::path::PathBuf, String) {
    let (folder, model) = (b.path("parts"), b.path("part.lupe"));
    good(&folder, 16);
    spoiled(200, 72, 72).0.save(folder.join("stained.png")).unwrap();
    let (out, _) = fitted_on(&folder, &model, &[]);
    (folder, model, out)
}

#[test]
fn fault_20_a_contaminated_training_picture_is_named_and_drawn() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (folder, model, out) = contaminated(&b);
    assert!(
        out.contains("1 training picture stands apart: stained.png (") && out.contains("the others (16) reach"),
        "{out}"
    );
    assert!(out.contains("training scores, 17 pictures") && out.contains("<- limit"), "{out}");
    let said = done(verb(&["limit"]).arg(&model));
    for want in
        ["stands apart: stained.png", "max (now)", "second", "quantile=0.95", "the largest of 17 training scores"]
    {
        assert!(said.contains(want), "{want}: {said}");
    }
    let told = json(verb(&["limit"]).arg(&model));
    assert_eq!((&told["apart"][0], told["training"].as_array().unwrap().len()), (&"stained.png".into(), 17));
    // Both ways out that are offered.
    let second = told["rules"][1]["limit"].as_f64().unwrap();
    assert!(told["limit"].as_f64().unwrap() > 2.0 * second, "{told}");
    let (out, said) = fitted_on(&folder, &b.path("clean.lupe"), &["--drop-outliers"]);
    assert!(said.contains("dropped   stained.png") && !out.contains("stands apart"), "{out}{said}");
    let clean = facts(&b.path("clean.lupe"));
    assert!(clean["limit"].as_f64().unwrap() < 1.2 * second, "{clean}");
    assert_eq!((&clean["pictures"], &clean["left_out"][0]["name"]), (&16.into(), &"stained.png".into()));
    assert!(clean["left_out"][0]["outlier"].as_str().unwrap().parse::<f64>().unwrap() > second, "{clean}");
    // A clean set has nothing to name, and nothing is dropped of it.
    good(&b.path("clean"), 16);
    let (plain, dropped) = (b.path("p.lupe"), b.path("d.lupe"));
    assert!(!fitted_on(&b.path("clean"), &plain, &[]).0.contains("stands apart"));
    fitted_on(&b.path("clean"), &dropped, &["--drop-outliers"]);
    assert_eq!(fs::read(plain).unwrap(), fs::read(dropped).unwrap());
}

#[test]
fn fault_20_a_limit_is_changed_without_fitting_again() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let (before, scores) = (fs::read(&model).unwrap(), |out: &str, model: &Path| {
        done(verb(&["predict", "--no-heatmaps"]).arg(model).arg(data.join("test")).arg("-o").arg(b.path(out)));
        lines(&b.path(out))
    });
    let (max, second) = (scores("max", &model), {
        let said = done(verb(&["limit", "--rule", "second"]).arg(&model).arg("-o").arg(b.path("new/second.lupe")));
        assert!(said.contains("second (now)") && said.contains("wrote     "), "{said}");
        assert_eq!(fs::read(&model).unwrap(), before, "the model itself is untouched");
        scores("second", &b.path("new/second.lupe"))
    });
    for (a, z) in max.iter().zip(&second) {
        assert_eq!(a["score"], z["score"]);
        assert_eq!((&a["limit_rule"], &z["limit_rule"]), (&"max".into(), &"second".into()));
        assert!(a["limit"].as_f64() > z["limit"].as_f64() && a["pixel_limit"].as_f64() >= z["pixel_limit"].as_f64());
        assert_eq!(z["above"], z["score"].as_f64() > z["limit"].as_f64());
    }
    // In place, by hand, and back again to the same bytes.
    let said = done(verb(&["limit", "--rule", "fixed=12.5,3.25"]).arg(&model));
    assert!(
        said.contains("limit 12.5000 for pictures, stated by hand; 3.2500 for pixels")
            || said.contains("limit     12.5000 for pictures, stated by hand; 3.2500 for pixels"),
        "{said}"
    );
    let told = facts(&model);
    let want = (&12.5.into(), &3.25.into(), &"fixed=12.5,3.25".into());
    assert_eq!((&told["limit"], &told["pixel_limit"], &told["limit_rule"]), want);
    let metrics = json(verb(&["eval"]).arg(&model).arg(&data).arg("-o").arg(b.path("eval")));
    let of = |name: &str| &metrics["model"][name];
    assert_eq!((of("limit"), of("pixel_limit"), of("limit_rule")), want);
    assert_eq!(metrics["at_limit"]["limit"], 12.5);
    done(verb(&["limit", "--rule", "max"]).arg(&model));
    assert_eq!(fs::read(&model).unwrap(), before);
    // A rule of the fit is the rule of the file.
    done(fit(&data, &b.path("q.lupe")).args(["--limit", "quantile=0.5"]));
    assert_eq!(facts(&b.path("q.lupe"))["limit_rule"], "quantile=0.5");
    let inspected = done(verb(&["weights", "inspect"]).arg(b.path("q.lupe")));
    assert!(
        inspected.contains("the 0.5 quantile of 6 training scores") && inspected.contains("pixel limit"),
        "{inspected}"
    );
}

#[test]
fn fault_20_rules_that_give_no_limit_are_refused_before_the_work() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (folder, model) = (b.path("one"), b.path("m.lupe"));
    good(&folder, 1);
    for (rule, by) in [("largest", "unknown rule `largest`; expected max"), ("quantile=2", "Q above 0 and at most 1")] {
        refused(fit(&folder, &model).args(["--limit", rule]), 2, &[by]);
    }
    refused(
        fit(&folder, &model).args(["--test-split", "0", "--limit", "second"]),
        2,
        &["rule second: there are 0 training scores", "fixed=SCORE,PIXEL"],
    );
    assert!(!model.exists() && !b.path("m.lupe.features").exists());
    let (out, _) = fitted_on(&folder, &model, &[]);
    assert!(out.contains("limit     none"), "{out}");
    let before = fs::read(&model).unwrap();
    refused(verb(&["limit", "--rule", "max"]).arg(&model), 2, &["0 training scores"]);
    refused(verb(&["limit", "-o", "x.lupe"]).arg(&model), 2, &["--rule"]);
    assert_eq!(fs::read(&model).unwrap(), before);
    // The advice is followed: then pictures are accepted and rejected.
    done(verb(&["limit", "--rule", "fixed=0.001,0.001"]).arg(&model));
    let mut predict = verb(&["predict", "--exit-code", "--masks"]);
    let out = predict.arg(&model).arg(&folder).arg("-o").arg(b.path("r")).output().unwrap();
    assert!(b.path("r/masks/000.png").exists(), "{}", text(&out.stderr));
}

#[test]
fn fault_18_what_a_run_accepts_rejects_misses_and_keeps_aside_is_said() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let said = done(verb(&["predict"]).arg(&model).arg(data.join("test")).arg("-o").arg(b.path("p")));
    assert!(said.contains("accepted  2\nrejected  3\nlimit     ") && said.contains("for pixels"), "{said}");
    let said = done(verb(&["eval"]).arg(&model).arg(&data).arg("-o").arg(b.path("e")));
    let want = [
        "accepted  2, of these 0 of 3 defective pictures (misses)",
        "rejected  3, of these 0 of 2 good pictures (false alarms)",
    ];
    want.iter().for_each(|want| assert!(said.contains(want), "{want}: {said}"));
    done(verb(&["limit", "--rule", "fixed=1e9"]).arg(&model));
    let said = done(verb(&["eval"]).arg(&model).arg(&data).arg("-o").arg(b.path("e")));
    assert!(said.contains("accepted  5, of these 3 of 3 defective pictures (misses)"), "{said}");
    good(&b.path("flat"), 10);
    let (out, _) = both(&mut fit(&b.path("flat"), &model));
    assert!(
        out.contains("aside     2 good pictures, one in 5, are kept to test with (--test-split 0 keeps none)"),
        "{out}"
    );
    let out = done(verb(&["predict", "--format", "csv"]).arg(&model).arg(data.join("test")).arg("-o").arg(b.path("c")));
    let table = fs::read_to_string(b.path("c/results.csv")).unwrap();
    let (head, row) = (table.lines().next().unwrap(), table.lines().nth(1).unwrap());
    assert!(head.ends_with(",limit_rule,pixel_limit") && row.contains(",max,"), "{head}\n{row}\n{out}");
}

#[test]
fn fault_21_the_default_looks_at_the_whole_picture_and_a_crop_says_what_it_leaves_out() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    data_set(&data, 3, 512, 100);
    let say = |words: &[&str]| {
        let fit = done(verb(&["fit", "patchcore"]).arg(&data).arg("-o").arg(&model).args(words));
        let predict = done(verb(&["predict"]).arg(&model).arg(data.join("test")).arg("-o").arg(b.path("p")));
        (fit, predict, done(verb(&["eval"]).arg(&model).arg(&data).arg("-o").arg(b.path("e"))))
    };
    let (fit, predict, eval) = say(&["--size", "64"]);
    for said in [fit, predict, eval] {
        assert!(!said.contains("crop "), "{said}");
    }
    assert!(lines(&b.path("p")).iter().all(|l| l["crop"] == serde_json::json!([0.0, 0.0, 512.0, 100.0])));
    // The defects are at the centre; beside it nothing is seen of one that is moved.
    for n in 0..2 {
        let (picture, mask) = spoiled(200 + n, 100, 100);
        let mut wide = part(n, 512, 100);
        image::imageops::replace(&mut wide, &picture, 0, 0);
        wide.save(data.join(format!("test/spot/{n:03}.png"))).unwrap();
        let mut ground = image::GrayImage::new(512, 100);
        image::imageops::replace(&mut ground, &mask, 0, 0);
        ground.save(data.join(format!("ground_truth/spot/{n:03}_mask.png"))).unwrap();
    }
    let (fit, predict, eval) = say(&SMALL);
    for said in [&fit, &predict, &eval] {
        assert!(
            said.contains("crop      the model looks at the centre of a picture: 15 % of the pixels here"),
            "{said}"
        );
    }
    assert!(eval.contains("67 % of the defect pixels lie outside, and all of those of 2 pictures"), "{eval}");
    let config = Config::default();
    assert!(!config.crop && config.preset == Preset::Official && config.size == 256);
}

/// A part with a round stain; `depth` is how much of the brightness it takes.
fn stained(n: u64, depth: f32) -> RgbImage {
    let mut picture = part(n, 72, 72);
    let (x0, y0, r) = (20.0 + (n % 31) as f32, 20.0 + (n % 29) as f32, 5.0 + (n % 4) as f32);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let far = ((x as f32 - x0).powi(2) + (y as f32 - y0).powi(2)).sqrt();
        let by = 1.0 - depth * (1.0 - far / r).clamp(0.0, 0.5) * 2.0;
        *pixel = Rgb(pixel.0.map(|v| (f32::from(v) * by) as u8));
    }
    picture
}

/// Stains from hardly visible to plain.
fn depth(i: u64) -> f32 {
    0.04 + 0.012 * i as f32
}

fn fit_here(folder: &Path, drop_outliers: bool) -> PatchCore {
    let (network, weights) = models::open(models::EMBEDDED.name, None).unwrap();
    let good = Good { set: &Dataset::open(folder).unwrap(), network, weights: &weights };
    let config = Config { size: 64, ..Config::default() };
    let options = FitOptions { drop_outliers, ..FitOptions::default() };
    pollster::block_on(lupe::methods::patchcore::fit(sweep::gpu(), good, &config, &options, &Unwatched)).unwrap().0
}

fn scores(fitted: &PatchCore, pictures: &[Picture]) -> Vec<f64> {
    let mut scorer = pollster::block_on(Scorer::new(sweep::gpu(), fitted, &RunOptions::default(), false)).unwrap();
    pollster::block_on(scorer.score(pictures)).unwrap().iter().map(|found| found.score).collect()
}

/// What each rule costs in false alarms (of 30 good pictures) and misses (of 30 defective ones), with 0, 1 and 3 of 60 training pictures
/// contaminated. The table of docs/faq.md is this test's.
#[test]
fn what_each_rule_costs() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let open = |picture: RgbImage| Picture::new(72, 72, picture.into_raw());
    let test_good: Vec<Picture> = (0..30).map(|i| open(part(1000 + i, 72, 72))).collect();
    let test_bad: Vec<Picture> = (0..30).map(|i| open(stained(2000 + i, depth(i)))).collect();
    let rules = ["max", "second", "quantile=0.99", "quantile=0.95"].map(|rule| rule.parse::<LimitRule>().unwrap());
    let mut costs = vec![];
    for bad in [0, 1, 3] {
        let folder = b.path(&format!("{bad}"));
        good(&folder, 60 - bad);
        for i in 0..bad {
            stained(3000 + 7 * i, 0.5 + 0.1 * i as f32).save(folder.join(format!("stained{i}.png"))).unwrap();
        }
        for drop in if bad > 0 { &[false, true][..] } else { &[false] } {
            let drop = *drop;
            let fitted = fit_here(&folder, drop);
            let (fine, defective) = (scores(&fitted, &test_good), scores(&fitted, &test_bad));
            let named = limit::apart(&fitted.file.scores).len();
            for rule in &rules {
                let limit = rule.of_scores(&fitted.file.scores).unwrap();
                let alarms = fine.iter().filter(|s| **s > limit).count();
                let misses = defective.iter().filter(|s| **s <= limit).count();
                println!(
                    "{bad} contaminated, drop {drop:5}, {rule:14}: limit {limit:.3}, {alarms} false alarms, {misses} misses; {named} named, {} left out",
                    fitted.file.left_out.len()
                );
                costs.push(((bad, drop, rule.to_string()), (alarms, misses)));
            }
        }
    }
    let cost = |bad: u64, drop: bool, rule: &str| costs.iter().find(|c| c.0 == (bad, drop, rule.into())).unwrap().1;
    let (clean, ruined) = (cost(0, false, "max"), cost(1, false, "max"));
    assert!(ruined.1 >= clean.1 + 5, "one contaminated picture costs misses: {clean:?}, {ruined:?}");
    assert!(cost(1, false, "second").1 <= clean.1 + 2, "the second largest does not mind one");
    assert!(cost(3, false, "second").1 > cost(1, false, "second").1, "it does mind three");
    assert!(cost(3, false, "quantile=0.95").1 <= clean.1 + 2, "the quantile leaves three of 60 out");
    for bad in [1, 3] {
        let dropped = cost(bad, true, "max");
        assert!(dropped.1 <= clean.1 + 2 && dropped.0 <= clean.0 + 2, "without the outliers: {dropped:?}, {clean:?}");
    }
}
