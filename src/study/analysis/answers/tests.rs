//! Answers on made-up results: what they say, and what they must not.

use crate::study::analysis::Said;
use crate::study::analysis::made::{EACH, Made, RIGHT, Says, around};
use crate::study::{Family, Task, Variant};

const GOOD: Says = Says { kept: 18, found: 17, named: 12, above: 17 };

fn says(kept: usize, found: usize, above: usize) -> Vec<Says> {
    around(10, Says { kept, found, named: found / 2, above })
}

pub(super) fn answer(made: &Made, question: usize) -> Said {
    made.analysed().answers.remove(question)
}

#[track_caller]
pub(super) fn holds(text: &str, words: &[&str]) {
    words.iter().for_each(|w| assert!(text.contains(w), "no {w:?} in {text:?}"));
}

pub(super) fn because(said: &Said) -> String {
    said.because.join("\n")
}

/// A learner and a detector on T2 of each data set, by how many defects of 20 they rank above.
fn fitness(places: &[(&str, usize, usize)]) -> Made {
    let mut made = Made::new();
    made.0.categories.clear();
    let (learner, detector) =
        (made.learner("proto"), made.method("patchcore", Family::PatchCore, None, Variant::Plain));
    for (name, own, other) in places {
        made = made.with(name, false);
        made.says(learner, (name, Task::T2), (5, 5), &says(18, 17, *own));
        // One moves while the other does not, so that differences have a deviation.
        made.says(detector, (name, Task::T2), (100, 0), &[Says { above: *other, ..GOOD }; 10]);
    }
    made
}

#[test]
fn learners_beside_detectors() {
    let short = |places: &[(&str, usize, usize)]| answer(&fitness(places), 0).short;
    holds(
        &short(&[("bolt", 12, 18)]),
        &[
            "Less fit than a detector, by how often a defective picture scores above a good one (AUROC): on bolt the best learner's, beside the best detector's, ",
            "is lower by 30.0 points (95 % 26.2 to 33.8) (learner 60.0 %, detector 90.0 %)",
        ],
    );
    holds(
        &short(&[("bolt", 18, 12)]),
        &["Fitter than the detectors that were run, by ", "is higher by 30.0 points (95 %"],
    );
    holds(
        &short(&[("bolt", 12, 12)]),
        &["A difference to the best detector could not be shown", "0.0 points (95 % -3.8 to 3.8)"],
    );
    holds(
        &short(&[("a", 12, 18), ("b", 18, 12)]),
        &[
            "It depends on the data, by how often a defective picture scores above a good one (AUROC): the best learner's, beside the best detector's, is lower on a (by ",
            "; higher on b (by ",
            " (learner 60.0 to 90.0 %, detector 60.0 to 90.0 %).",
        ],
    );
    holds(&short(&[("a", 12, 18), ("b", 12, 12)]), &["Less fit than a detector on some data, "]);
    holds(&short(&[("a", 18, 12), ("b", 12, 12)]), &["Fitter than a detector on some data, "]);
    holds(
        &short(&[("a", 9, 18), ("b", 9, 18), ("c", 9, 18), ("d", 9, 18)]),
        &["of 4 data sets ", "is lower on 4; mean differences from -45.0 to -45.0"],
    );
    let mut same = fitness(&[("bolt", 12, 12)]);
    let (_, theirs) = same.0.outcomes.split_at_mut(10);
    let own: Vec<Vec<f64>> = same_scores(10);
    theirs.iter_mut().zip(own).for_each(|(o, scores)| o.answer.scores = scores);
    holds(
        &answer(&same, 0).short,
        &["As fit as the best detector that was run, ", "is practically the same: 0.0 points"],
    );
}

/// The scores of learners in `fitness` with 12 above.
fn same_scores(n: usize) -> Vec<Vec<f64>> {
    let mut made = Made::new();
    let learner = made.learner("proto");
    made.says(learner, ("bolt", Task::T2), (5, 5), &says(18, 17, 12)[..n]);
    made.0.outcomes.into_iter().map(|o| o.answer.scores).collect()
}

#[test]
fn what_learners_and_detectors_rest_on() {
    let mut made = fitness(&[("bolt", 12, 18)]);
    let few = "Detectors from as few good pictures as the best learner had were not run on bolt.";
    holds(&because(&answer(&made, 0)), &[few]);
    made.says(1, ("bolt", Task::T2), (5, 0), &[Says { above: 15, ..GOOD }; 10]);
    let weak = made.method("efficientad", Family::EfficientAd, None, Variant::Plain);
    made.says(weak, ("bolt", Task::T2), (5, 0), &[Says { above: 16, ..GOOD }; 10]);
    let text = because(&answer(&made, 0));
    holds(
        &text,
        &[
            "AUROC is the chance that a defective picture gets a higher score than a good one",
            "bolt: the only learner, proto with 5 good and 5 defective shots, has AUROC 60.0 % (95 % 56.2 to 63.8 by draws; 95 %",
            "bolt: the best of 2 detectors, patchcore from all 100 good pictures that are not kept apart, has AUROC 90.0 %",
            "on the same draws the learner's is lower by 30.0 points",
            "efficientad from 5 good pictures (fewer than it is made for), has AUROC 80.0 %",
            "bolt: as a decision, good or defective, proto calls 87.5 % (",
            "patchcore at a limit from good pictures that were kept apart 95.0 %",
            "the learner's share is lower by 7.5 points",
        ],
    );
    assert!(
        !text.contains("majority") && !text.contains("calling every picture") && !text.contains("guessing."),
        "{text}"
    );
}

#[test]
fn what_is_no_better_than_guessing_is_told() {
    let mut made = Made::new().with("wood", true);
    let learner = made.learner("proto");
    made.says(learner, ("bolt", Task::T2), (5, 5), &says(10, 10, 10));
    made.says(learner, ("wood", Task::T2), (5, 5), &says(18, 18, 18));
    made.without("EfficientAD");
    let said = answer(&made, 0);
    holds(&said.short, &["Whether detectors do better was not asked", "on bolt and ", "on wood (painted defects)."]);
    let text = because(&said);
    holds(
        &text,
        &[
            "bolt: that is not shown to be better than guessing.",
            "bolt: the accuracy of proto, 50.0 % (95 %",
            "is not shown to be above the 50.0 % of calling every picture what most are (guessing: 50.0 %).",
            "bolt: no detector was run beside it.",
            "A detector with a learner behind it that names the defect (T1) was not run beside a learner alone.",
            "The defects of wood are painted by Lupe",
            "say nothing of real ones.",
            "Asked for and not run: EfficientAD.",
        ],
    );
    assert!(
        !text.contains("wood (painted defects): that is not") && !text.contains("wood (painted defects): the accuracy")
    );
    (0..5).for_each(|i| made.without(&format!("m{i}")));
    holds(&because(&answer(&made, 0)), &["Asked for and not run: EfficientAD, m0, m1, m2 and 2 more."]);
}

#[test]
fn one_repeat_has_no_interval() {
    let mut made = fitness(&[("bolt", 12, 18)]);
    made.0.outcomes.retain(|o| o.draw == 0);
    made.0.draws[0].queries.retain(|q| q.label != "good" || q.path.ends_with(['0', '1', '2']));
    let left = made.0.draws[0].queries.len();
    for outcome in &mut made.0.outcomes {
        let cut = |n: usize| if n == 0 { 0 } else { left };
        let (said, scores) = (cut(outcome.answer.said.len()), cut(outcome.answer.scores.len()));
        outcome.answer.said.truncate(said);
        outcome.answer.scores.truncate(scores);
    }
    made.0.draws.truncate(1);
    let said = answer(&made, 0);
    holds(
        &said.short,
        &[
            "A difference to the best detector could not be shown",
            "differs by -",
            "(one repeat, so no interval by draws)",
        ],
    );
    holds(
        &because(&said),
        &[
            "What was repeated once has no interval by draws: another draw of shots may say something else.",
            "bolt: only 6 good pictures are asked about, so that a single one is 16.7 % of them.",
        ],
    );
}

#[test]
fn a_chain_beside_a_learner() {
    let mut made = fitness(&[("bolt", 12, 18)]);
    let chain = made.method("chain", Family::Chain, None, Variant::Plain);
    made.says(0, ("bolt", Task::T1), (5, 5), &says(12, 12, 12));
    made.says(chain, ("bolt", Task::T1), (100, 5), &[RIGHT; 10]);
    holds(
        &because(&answer(&made, 0)),
        &[
            "bolt: asked for the kind as well (T1), the chain (chain) calls 100.0 % (95 % 100.0 to 100.0) right and the best learner alone, proto with 5 shots of \
         each class, 45.0 % (95 %",
            "the chain's accuracy is higher by 55.0 points",
        ],
    );
}

/// A learner on T4 with 5 and 30 good shots.
fn imbalance(few: Vec<Says>, many: Vec<Says>) -> Made {
    let mut made = Made::new();
    let learner = made.learner("proto");
    made.says(learner, ("bolt", Task::T4), (5, 5), &few);
    made.says(learner, ("bolt", Task::T4), (30, 5), &many);
    made
}

#[test]
fn more_good_shots() {
    let fixed = |kept, found, above| vec![Says { kept, found, named: 0, above }; 10];
    let short = |few: Vec<Says>, many: Vec<Says>| answer(&imbalance(few, many), 1).short;
    let moved = short(says(16, 16, 16), fixed(18, 10, 18));
    holds(
        &moved,
        &[
            "With proto on bolt, going from 5 to 30 good shots lowered accuracy by 10.0 points (95 % 6.2 to 13.8) and raised AUROC by 10.0 points",
            ": the threshold moved, not the ranking.",
        ],
    );
    holds(
        &short(says(16, 16, 16), fixed(10, 19, 18)),
        &["lowered accuracy by", ": the threshold moved, not the ranking."],
    );
    let better = short(says(16, 10, 16), fixed(12, 19, 19));
    holds(&better, &["raised accuracy by", "raised AUROC", ": the threshold moved, and the ranking became better."]);
    let rose = short(fixed(16, 10, 16), fixed(12, 19, 16));
    holds(&rose, &["raised accuracy by", "left AUROC practically the same", ": the threshold moved, not the ranking."]);
    let even = short(fixed(16, 12, 16), fixed(12, 16, 18));
    holds(
        &even,
        &[
            "left accuracy practically the same",
            ": the threshold moved, with losses on one kind of picture and gains on the other.",
        ],
    );
    holds(&short(says(16, 16, 16), fixed(12, 12, 18)), &["lowered accuracy by", ": the ranking did not become worse."]);
    holds(&short(says(16, 16, 16), fixed(18, 10, 12)), &["lowered AUROC", ": the ranking became worse as well."]);
    holds(&short(says(12, 12, 12), fixed(18, 18, 18)), &["raised accuracy", ": the ranking became better as well."]);
    holds(
        &short(says(12, 12, 16), fixed(18, 18, 12)),
        &["raised accuracy", "lowered AUROC", ": although the ranking became worse."],
    );
    let open = short(says(16, 16, 16), fixed(16, 16, 16));
    holds(&open, &["showed no effect on accuracy: 0.0 points (95 % -3.8 to 3.8)", "showed no effect on AUROC"]);
    assert!(!open.contains("ranking"), "{open}");
    let same = short(fixed(16, 16, 16), fixed(16, 16, 16));
    holds(&same, &["left accuracy practically the same: 0.0 points (95 % 0.0 to 0.0)"]);
    let once = short(says(16, 16, 16)[..1].to_vec(), fixed(18, 10, 18)[..1].to_vec());
    holds(&once, &["changed accuracy by -15.0 points (one repeat, so no interval by draws)"]);
    assert!(!once.contains("threshold"), "{once}");
}

#[test]
fn what_more_good_shots_rest_on() {
    let made = imbalance(says(16, 16, 16), vec![Says { kept: 18, found: 10, named: 0, above: 18 }; 10]);
    let text = because(&answer(&made, 1));
    holds(
        &text,
        &[
            "bolt, T4 (good or defective, more good shots), proto with 5 defective shots: going from 5 to 30",
            "the step lowered the share of defective pictures that are found by 30.0 points",
            "and raised the share of good ones that are kept by 10.0 points",
            // -30 p + 10 (1 - p) = 0
            "50.0 % of the pictures asked about are defective, and with fewer than about 25.0 % the same change would have raised accuracy.",
            "no corrected twin of it was run.",
            "T5 (good or which defect, more good shots) was not run with two numbers of good shots.",
        ],
    );
}

/// As above, with a twin that is corrected, and another learner that more shots do not change.
fn corrected() -> Made {
    let mut made = imbalance(says(16, 16, 16), vec![Says { kept: 18, found: 10, named: 0, above: 18 }; 10]);
    let other = made.learner("other");
    made.says(other, ("bolt", Task::T4), (5, 5), &says(19, 19, 19));
    made.says(other, ("bolt", Task::T4), (30, 5), &says(19, 19, 19));
    let corrected = made.method("proto corrected", Family::Prototype, Some("squared"), Variant::Corrected);
    made.says(corrected, ("bolt", Task::T4), (5, 5), &says(16, 16, 16));
    made.says(corrected, ("bolt", Task::T4), (30, 5), &[Says { kept: 18, found: 18, named: 0, above: 18 }; 10]);
    made
}

#[test]
fn corrected_shots_and_several_data_sets() {
    let mut made = corrected();
    let said = answer(&made, 1);
    holds(
        &said.short,
        &[
            "With proto on bolt",
            ": the threshold moved, not the ranking; corrected for unequal shots, it raised accuracy by 10.0 points",
        ],
    );
    holds(
        &because(&said),
        &[
            "at 30 good shots, correcting for unequal shots raised accuracy by 20.0 points",
            "of 2 learners as published, accuracy fell with 1 and stayed practically the same with 1. Changes that stand at 5 % after Holm",
        ],
    );
    made.0.methods.iter_mut().for_each(|m| m.family = Family::Pmf);
    holds(&answer(&made, 1).short, &["with a loss in which every class counts the same, it raised accuracy"]);
    let mut made = made.with("nut", false);
    made.says(0, ("nut", Task::T4), (5, 5), &says(16, 16, 16));
    made.says(0, ("nut", Task::T4), (30, 5), &[Says { kept: 18, found: 10, named: 0, above: 18 }; 10]);
    holds(
        &answer(&made, 1).short,
        &[
            "Accuracy with the most good shots, beside the fewest, is lower on bolt (by 10.0 points, 95 % 6.2 to 13.8) and nut (by",
            ": on all of them the threshold moved, not the ranking; corrected for unequal shots, on bolt they raised accuracy",
        ],
    );
    for name in ["screw", "washer"] {
        made = made.with(name, false);
        made.says(0, (name, Task::T4), (5, 5), &says(16, 16, 16));
        made.says(0, (name, Task::T4), (30, 5), &[Says { kept: 18, found: 10, named: 0, above: 18 }; 10]);
    }
    holds(
        &answer(&made, 1).short,
        &[
            "Of 4 data sets accuracy with the most good shots, beside the fewest, is lower on 4; mean differences from -10.0 to -10.0 points; of",
            "on all of them the threshold moved, not the ranking; corrected for unequal shots, on bolt they raised accuracy by 10.0",
        ],
    );
}

#[test]
fn narrower_questions() {
    let mut made = Made::new();
    let learner = made.learner("proto");
    made.says(learner, ("bolt", Task::T1), (5, 5), &says(14, 14, 14));
    let only = |made: &mut Made, task, kept, named| {
        let good = if task == Task::T3 { 0 } else { 5 };
        let says = Says { kept, found: kept, named, above: EACH };
        made.says(learner, ("bolt", task), (good, 5), &around(10, says));
    };
    assert!(answer(&made, 2).short.starts_with("Not run: "));
    only(&mut made, Task::T2, 18, 18);
    let said = answer(&made, 2);
    holds(
        &said.short,
        &[
            "To tell only good from defective: on bolt the mean share of good and of defective pictures told right is higher by 20.0 points (95 %",
            "To name only the kind of defect was not run beside the wider question, which takes T1 and T3.",
        ],
    );
    only(&mut made, Task::T3, 18, 7);
    let said = answer(&made, 2);
    holds(
        &said.short,
        &[
            "To name only the kind of defect: on bolt the share of defects that are named right could not be shown to differ",
        ],
    );
    holds(
        &because(&said),
        &[
            "these differences are not paired",
            "bolt: asked only whether a picture is good or defective (T2), proto with 5 good and 5 defective shots tells 90.0 % (95 %",
            "bolt: asked only which defect it is (T3), proto with 5 shots of each class names 35.0 % (95 %",
        ],
    );
}

#[test]
fn accuracy_and_auroc_are_never_compared_with_one_another() {
    let mut made = fitness(&[("bolt", 12, 18)]);
    made.says(0, ("bolt", Task::T4), (5, 5), &says(16, 16, 16));
    made.says(0, ("bolt", Task::T4), (30, 5), &says(18, 10, 18));
    let analysis = made.analysed();
    // A pair has one metric, and where both stand in a sentence each has its own verb.
    assert!(analysis.pairs.iter().flat_map(|t| &t.1).all(|p| p.one != p.other));
    for said in &analysis.answers {
        for text in said.because.iter().chain([&said.short]) {
            assert!(!text.contains("accuracy than") && !text.contains("AUROC than"), "{text}");
            assert!(text.ends_with('.') && !text.contains("..") && !text.contains("  "), "{text:?}");
        }
    }
}
