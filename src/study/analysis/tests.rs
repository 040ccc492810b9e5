//! What follows from made-up results, by hand.

use super::made::{EACH, Made, RIGHT, Says};
use super::{Metric, Table, analyse};
use crate::error::Error;
use crate::study::{Family, Limit, Task, Variant};

fn near(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-12, "{got} instead of {want}");
}

const HALF: Says = Says { kept: 15, found: 12, named: 8, above: 16 };

#[test]
fn metrics_of_a_learner_with_kinds_of_defect() {
    let mut made = Made::new();
    let learner = made.learner("proto");
    made.says(learner, ("bolt", Task::T1), (5, 5), &[HALF]);
    let analysis = made.analysed();
    let [row] = analysis.rows.as_slice() else { panic!("{:?}", analysis.rows) };
    assert_eq!((row.limit, row.queries_good, row.queries_bad), (None, EACH, EACH));
    // Cracks 0 to 9: 8 named, 2 found and called cut. Cuts 10 to 19: 2 found and called crack, 8 called good. Good: 15, 5 called crack.
    let by_hand = [
        (Metric::Acc, 23.0 / 40.0),
        (Metric::BalAcc, (0.8 + 0.0 + 0.75) / 3.0),
        (Metric::MacroF1, (16.0 / 25.0 + 0.0 + 30.0 / 43.0) / 3.0),
        (Metric::Tpr, 12.0 / 20.0),
        (Metric::Tnr, 15.0 / 20.0),
        (Metric::GoodBad, (12.0 + 15.0) / 40.0),
        (Metric::Auroc, 16.0 / 20.0),
        (Metric::DefectAcc, 8.0 / 20.0),
        (Metric::Majority, 0.5),
    ];
    by_hand.into_iter().for_each(|(metric, value)| near(row.values[&metric], value));
    // Ap: 16 first, then 20 good, then 4 at the end. F1Max: 2 16 / (32 + 0 + 4).
    near(row.values[&Metric::Ap], 0.8 + 0.2 * 20.0 / 40.0);
    near(row.values[&Metric::F1Max], 32.0 / 36.0);
    assert_eq!(analysis.confused[0].classes, ["crack", "cut", "good"]);
    assert_eq!(analysis.confused[0].rows, [[8, 2, 0], [2, 0, 8], [5, 0, 15]]);
    assert!(analysis.rocs.is_empty(), "curves are of T2");
    assert!(analysis.cells[0].by_pictures.is_empty(), "so are intervals by pictures");
}

#[test]
fn without_good_there_is_nothing_to_find() {
    let mut made = Made::new();
    let learner = made.learner("proto");
    made.says(learner, ("bolt", Task::T3), (0, 5), &[HALF]);
    let analysis = made.analysed();
    let values = &analysis.rows[0].values;
    // Of the defective queries alone, of which there are 20.
    near(values[&Metric::Acc], 8.0 / 20.0);
    near(values[&Metric::DefectAcc], 8.0 / 20.0);
    let none = [Metric::Tpr, Metric::Tnr, Metric::Auroc, Metric::Ap, Metric::F1Max, Metric::GoodBad];
    assert!(none.iter().all(|m| !values.contains_key(m)), "{values:?}");
}

#[test]
fn a_detector_has_a_row_for_each_limit() {
    let mut made = Made::new();
    let detector = made.method("patchcore", Family::PatchCore, None, Variant::Plain);
    made.says(detector, ("bolt", Task::T2), (100, 0), &[HALF, RIGHT]);
    made.says(detector, ("bolt", Task::T1), (100, 0), &[HALF]);
    let analysis = made.analysed();
    let of = |task: Task, limit: Limit| {
        let cells = analysis.cells.iter();
        let cell = |c: &&super::Cell| c.setting.task == task && c.setting.limit == Some(limit);
        cells.filter(cell).map(|c| &c.values).next().unwrap()
    };
    let held_out = of(Task::T2, Limit::HeldOut);
    near(held_out[&Metric::Acc].mean, (36.0 / 40.0 + 1.0) / 2.0);
    near(held_out[&Metric::Tnr].mean, 1.0);
    near(held_out[&Metric::Tpr].mean, 0.9);
    near(held_out[&Metric::Auroc].mean, 0.9);
    // At the limit, a picture is defective: -2 calls everything so.
    let oracle = of(Task::T2, Limit::Oracle);
    assert_eq!((oracle[&Metric::Tpr].mean, oracle[&Metric::Tnr].mean), (1.0, 0.0));
    assert_eq!(held_out[&Metric::Auroc], oracle[&Metric::Auroc]);
    // Where kinds are classes it finds defects and names none.
    let kinds = of(Task::T1, Limit::HeldOut);
    near(kinds[&Metric::Tpr].mean, 0.8);
    assert!(!kinds.contains_key(&Metric::Acc) && !kinds.contains_key(&Metric::DefectAcc));
    let confused: Vec<_> = analysis.confused.iter().map(|c| (c.setting.task, &c.rows)).collect();
    assert_eq!(confused[0], (Task::T2, &vec![vec![36, 4], vec![0, 40]]));
    assert_eq!(confused.len(), 2);
    let [roc] = analysis.rocs.as_slice() else { panic!("one curve for both limits") };
    assert_eq!((roc.points[0], roc.points[1], roc.points[101]), ((0.0, 0.0), (0.0, 0.9), (1.0, 1.0)));
    // All good pictures tie: between both ends one repeat has 0.8 and the other 1.
    near(roc.points[51].1, 0.9);
}

#[test]
fn pairs_are_of_the_repeats_that_both_have() {
    let mut made = Made::new();
    let squared = made.learner("proto squared");
    let cosine = made.method("proto cosine", Family::Prototype, Some("cosine"), Variant::Plain);
    let stranger = made.method("other cosine", Family::Prototype, Some("cosine"), Variant::Plain);
    let kept = |kept: usize| Says { kept, ..RIGHT };
    made.says(squared, ("bolt", Task::T2), (5, 5), &[18, 10, 17].map(kept));
    made.says(cosine, ("bolt", Task::T2), (5, 5), &[20, 11].map(kept));
    made.says(stranger, ("bolt", Task::T2), (5, 5), &[RIGHT, RIGHT]);
    let analysis = made.analysed();
    let [(title, pairs)] = analysis.pairs.as_slice() else { panic!("{:?}", analysis.pairs) };
    assert_eq!(title, Table::Distances.title());
    let [acc, auroc] = pairs.as_slice() else { panic!("{pairs:?}") };
    assert_eq!((acc.what.as_str(), acc.one.method, acc.other.method), ("cosine - squared", cosine, squared));
    assert_eq!((acc.difference.count, acc.paired), (2, true));
    near(acc.difference.mean, (2.0 / 40.0 + 1.0 / 40.0) / 2.0);
    near(acc.agreement.unwrap(), 77.0 / 80.0);
    assert_eq!((acc.p, acc.p_holm), (Some(0.5), Some(0.5)), "two of two, and the other difference is none");
    assert_eq!((auroc.metric, auroc.p, auroc.p_holm), (Metric::Auroc, None, None));
}

#[test]
fn tables_of_shots_corrections_tasks_and_detectors() {
    let mut made = Made::new();
    let plain = made.learner("proto");
    let corrected = made.method("proto corrected", Family::Prototype, Some("squared"), Variant::Corrected);
    let detector = made.method("patchcore", Family::PatchCore, None, Variant::Plain);
    let chain = made.method("chain", Family::Chain, None, Variant::Plain);
    for good in [5, 10, 30] {
        made.says(plain, ("bolt", Task::T4), (good, 5), &[HALF, RIGHT]);
        made.says(corrected, ("bolt", Task::T4), (good, 5), &[RIGHT, RIGHT]);
    }
    for (task, good, named) in [(Task::T1, 5, 8), (Task::T2, 5, 8), (Task::T3, 0, 6)] {
        made.says(plain, ("bolt", task), (good, 5), &[Says { named, ..HALF }, RIGHT]);
    }
    made.says(chain, ("bolt", Task::T1), (100, 5), &[HALF, RIGHT]);
    [5, 10, 50, 100].into_iter().for_each(|good| made.says(detector, ("bolt", Task::T2), (good, 0), &[RIGHT, RIGHT]));
    let analysis = made.analysed();
    let table = |table: Table| {
        let found = analysis.pairs.iter().find(|t| t.0 == table.title());
        found.map_or(&[][..], |t| &t.1)
    };
    let shots: Vec<_> = table(Table::Shots).iter().map(|p| (p.one.method, p.what.as_str(), p.metric)).collect();
    assert_eq!(shots.len(), 16);
    assert_eq!(shots[0], (plain, "10 - 5 good shots", Metric::Acc));
    assert_eq!(shots[7], (plain, "30 - 5 good shots", Metric::Auroc));
    let goods: Vec<_> = table(Table::Corrections).iter().map(|p| (p.one.method, p.other.method, p.one.good)).collect();
    assert_eq!(goods.len(), 10, "five metrics where shots differ, none where they do not");
    assert!(goods.iter().all(|g| *g == (corrected, plain, 10) || *g == (corrected, plain, 30)));
    // At the learner's five and at all there are; decisions at the limit from good pictures.
    let versus: Vec<_> = table(Table::Detectors).iter().map(|p| (p.other.good, p.metric, p.other.limit)).collect();
    let held_out = Some(Limit::HeldOut);
    let both = |good| [(good, Metric::Auroc, held_out), (good, Metric::BalAcc, held_out)];
    assert_eq!(versus, [both(5), both(100)].concat());
    assert_eq!(table(Table::Chains).iter().map(|p| p.metric).collect::<Vec<_>>(), [Metric::Acc, Metric::BalAcc]);
    let [kinds] = table(Table::Kinds) else { panic!() };
    assert_eq!(
        (kinds.one.task, kinds.other.task, kinds.metric, kinds.paired),
        (Task::T3, Task::T1, Metric::DefectAcc, false)
    );
    near(kinds.difference.mean, (6.0 / 20.0 + 1.0) / 2.0 - (8.0 / 20.0 + 1.0) / 2.0);
    let [collapsed] = table(Table::Collapsed) else { panic!() };
    assert_eq!((collapsed.one.task, collapsed.metric, collapsed.difference.mean), (Task::T2, Metric::GoodBad, 0.0));
    assert!(table(Table::Distances).is_empty());
}

#[test]
fn intervals_by_pictures() {
    let mut made = Made::new();
    let learner = made.learner("proto");
    made.says(learner, ("bolt", Task::T2), (5, 5), &[HALF, HALF]);
    let analysis = made.analysed();
    let by_pictures = &analysis.cells[0].by_pictures;
    // Balanced accuracy is a mean of two shares of 20: their deviations are known, and quantiles are those of a normal but for steps of 1/40.
    let deviation = |share: f64| (share * (1.0 - share) / 20.0).sqrt();
    let expected = 1.96 * (deviation(0.75).powi(2) + deviation(0.6).powi(2)).sqrt() / 2.0;
    for metric in [Metric::Acc, Metric::BalAcc] {
        let [low, high] = by_pictures[&metric];
        assert!(((high - low) / 2.0 - expected).abs() < 0.026, "{metric:?}: {low} to {high}, {expected} expected");
        assert!(low < 0.675 && 0.675 < high);
    }
    let [low, high] = by_pictures[&Metric::Auroc];
    let expected = 1.96 * deviation(0.8);
    assert!(((high - low) / 2.0 - expected).abs() < 0.03, "{low} to {high}, {expected} expected");
    assert_eq!(made.analysed(), analysis, "the same twice");
    let mut seed = |seed: u64| {
        made.0.facts.seed = seed;
        made.analysed().cells.remove(0).by_pictures
    };
    assert!((1..9).any(|s| seed(s) != *by_pictures), "another seed draws others");
}

#[test]
fn what_contradicts_itself_is_refused() {
    let mut made = Made::new();
    let learner = made.learner("proto");
    made.says(learner, ("bolt", Task::T2), (5, 5), &[HALF]);
    let refused = |change: &dyn Fn(&mut Made)| {
        let mut wrong = Made(made.0.clone());
        change(&mut wrong);
        analyse(&wrong.0).unwrap_err()
    };
    let place = "proto, T2 of bolt, repeat 0";
    let said = |error: Error, words: &str| {
        assert!(matches!(error, Error::Input(_)), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    };
    said(refused(&|m| m.0.outcomes[0].method = 7), "outcome 0 of the study: its method is number 7 of 1");
    said(refused(&|m| m.0.outcomes[0].draw = 7), "its draw is number 7 of 1");
    said(
        refused(&|m| m.0.outcomes[0].answer.said.truncate(39)),
        &format!("{place}: 39 calls and 40 scores of 40 queries"),
    );
    said(refused(&|m| m.0.outcomes[0].answer = Default::default()), "0 calls and 0 scores");
    said(refused(&|m| m.0.outcomes[0].answer.said[3] = 2), &format!("{place}: class number 2 of 2"));
    said(refused(&|m| m.0.draws[0].queries[3].class = 9), "class number 9 of 2");
    said(
        refused(&|m| m.0.outcomes.push(m.0.outcomes[0].clone())),
        &format!("{place}: there twice with 5 good and 5 other"),
    );
    let nan = refused(&|m| m.0.outcomes[0].answer.scores[0] = f64::NAN);
    assert!(matches!(&nan, Error::Numeric(what) if what.contains(place)), "{nan:?}");
    let nothing = Made::new().analysed();
    assert!(nothing.rows.is_empty() && nothing.cells.is_empty() && nothing.pairs.is_empty());
    assert!(nothing.answers.iter().all(|a| a.short.starts_with("Not run:")), "{:?}", nothing.answers);
}
