//! What an imbalance of shots does to prototypes, on drawn Gaussians and through the whole of the study's analysis: the simulation of its
//! protocol, and what is said of it in words.

use lupe::methods::episodes::Learner;
use lupe::methods::labelled::{best, log_odds_against};
use lupe::methods::metrics::Spread;
use lupe::methods::prototype::head::{Distance, Head};
use lupe::random::at;
use lupe::study::analysis::{Analysis, Metric, analyse};
use lupe::study::{Answer, Category, Draw, Facts, Family, Method, Outcome, Pool, Query, Results, Task, Variant};

const TRIALS: usize = 1500;
const D: usize = 64;
const SHOTS: [usize; 4] = [5, 10, 15, 30];
const GOOD: usize = 20;
const BAD: usize = 63;

/// A standard normal number: position `i` of stream `seed`.
fn normal(seed: u64, i: u64) -> f32 {
    let uniform = |at: u64| ((at >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let (a, b) = (uniform(at(seed, 2 * i)), uniform(at(seed, 2 * i + 1)));
    ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()) as f32
}

/// `n` vectors around a mean that lies `apart` from the origin, from stream `seed`.
fn cloud(seed: u64, n: usize, apart: f32) -> Vec<Vec<f32>> {
    let value = |row: usize, i: usize| normal(seed, (row * D + i) as u64) + if i == 0 { apart } else { 0.0 };
    (0..n).map(|row| (0..D).map(|i| value(row, i)).collect()).collect()
}

fn rows(cloud: &[Vec<f32>]) -> Vec<&[f32]> {
    cloud.iter().map(Vec::as_slice).collect()
}

/// What each head says in one trial with each number of good shots; class 0 is `bad`, as in a study.
fn trial(number: usize, heads: &mut [Head]) -> Vec<Outcome> {
    let seed = |cloud: u64| at(at(0x5EED, number as u64), cloud);
    let (good, bad) = (cloud(seed(0), 30, 0.0), cloud(seed(1), 5, 4.0));
    let queries = [cloud(seed(3), BAD, 4.0), cloud(seed(2), GOOD, 0.0)].concat();
    let mut outcomes = vec![];
    for (method, head) in heads.iter_mut().enumerate() {
        for shots in SHOTS {
            let logits = head.logits(&[rows(&bad), rows(&good[..shots])], &rows(&queries)).unwrap();
            let said = logits.iter().map(|l| best(l).unwrap().0).collect();
            let scores = logits.iter().map(|l| log_odds_against(l, 1).unwrap()).collect();
            let answer = Answer { said, scores, limits: vec![], lengths: vec![] };
            outcomes.push(Outcome { method, draw: number, good: shots, bad: 5, all: false, answer });
        }
    }
    outcomes
}

fn draw(repeat: usize) -> Draw {
    let query =
        |kind: &str, i: usize, class: usize| Query { path: format!("{kind}/{i:02}"), label: kind.into(), class };
    let bad = (0..BAD).map(|i| query("apart", i, 0));
    Draw {
        category: "gaussians".into(),
        task: Task::T4,
        pool: Pool::AdAligned,
        repeat,
        seed: format!("gaussians|{repeat}"),
        classes: vec!["bad".into(), "good".into()],
        support: vec![vec![], vec![]],
        queries: bad.chain((0..GOOD).map(|i| query("good", i, 1))).collect(),
    }
}

fn results() -> Results {
    let method = |variant: Variant, name: &str| Method {
        name: name.into(),
        family: Family::Prototype,
        backbone: "none".into(),
        distance: Some("squared".into()),
        variant,
        group: "prototypes".into(),
        note: String::new(),
        settings: name.into(),
    };
    let plain = Head::new(Distance::Squared);
    let mut heads = [plain, Head { shot_correction: true, ..plain }];
    let facts = Facts {
        name: "gaussians".into(),
        seed: 0,
        pool: Pool::AdAligned,
        stratified_bad: false,
        fixed_queries: true,
        excluded: vec![],
        version: "0".into(),
        plan: "0".into(),
    };
    let defects = vec![("apart".into(), BAD + 5)];
    Results {
        facts,
        categories: vec![Category { name: "gaussians".into(), train: 30, good: GOOD, defects, painted: false }],
        methods: vec![method(Variant::Plain, "prototypes"), method(Variant::Corrected, "prototypes, corrected")],
        left_out: vec![],
        draws: (0..TRIALS).map(draw).collect(),
        outcomes: (0..TRIALS).flat_map(|number| trial(number, &mut heads)).collect(),
        timing: vec![],
    }
}

fn value(analysis: &Analysis, method: usize, good: usize, metric: Metric) -> Spread {
    let own = |c: &&lupe::study::analysis::Cell| c.setting.method == method && c.setting.good == good;
    analysis.cells.iter().find(own).unwrap().values[&metric]
}

/// Two simulations of 1500 trials differ by chance: each comparison is held to the 99 % interval of their difference, and to the rounding of
/// the table. (20,000 trials gave an accuracy of 0.8795 where the table has 0.877, and of 0.9177 where it has 0.916.)
fn agrees(analysis: &Analysis, method: usize, metric: Metric, table: [f64; 4]) {
    for (good, wanted) in SHOTS.into_iter().zip(table) {
        let found = value(analysis, method, good, metric);
        let most = 2.58 * found.deviation.unwrap() / (TRIALS as f64).sqrt() * 2f64.sqrt() + 5e-4;
        println!(
            "{metric:?}, {good} good shots, method {method}: {:.4}, in the table {wanted} ± {most:.4}",
            found.mean
        );
        assert!((found.mean - wanted).abs() <= most, "{metric:?}, {good} good shots, method {method}: {}", found.mean);
    }
}

/// More good shots lower the accuracy of plain distances, since the class with fewer shots looks farther away, although they rank better; and
/// raise that of corrected ones.
#[test]
fn the_threshold_moves_and_not_the_ranking() {
    let analysis = analyse(&results()).unwrap();
    agrees(&analysis, 0, Metric::Acc, [0.877, 0.825, 0.794, 0.754]);
    agrees(&analysis, 0, Metric::Auroc, [0.957, 0.970, 0.974, 0.978]);
    agrees(&analysis, 0, Metric::Tpr, [0.876, 0.780, 0.735, 0.679]);
    agrees(&analysis, 0, Metric::Tnr, [0.880, 0.966, 0.979, 0.990]);
    agrees(&analysis, 1, Metric::Acc, [0.877, 0.901, 0.910, 0.916]);
    for good in SHOTS {
        // A corrected distance shifts all scores of a trial alike: their order stays.
        let [plain, corrected] = [0, 1].map(|method| value(&analysis, method, good, Metric::Auroc).mean);
        assert!((plain - corrected).abs() < 1e-9, "{good} good shots: {plain} and {corrected}");
    }
    let said = &analysis.answers[1];
    println!("{}\n{}", said.short, said.because.join("\n"));
    let words = [
        "With prototypes on gaussians, going from 5 to 30 good shots lowered accuracy by 12.",
        " and raised AUROC by 2.",
        ": the threshold moved, not the ranking; corrected for unequal shots, it raised accuracy by 3.",
    ];
    words.iter().for_each(|w| assert!(said.short.contains(w), "no {w:?} in {}", said.short));
    let because = said.because.join("\n");
    let words = [
        "lowered the share of defective pictures that are found by 19.",
        "raised the share of good ones that are kept by 11.",
        "75.9 % of the pictures asked about are defective, and with fewer than about 36.",
        "at 30 good shots, correcting for unequal shots raised accuracy by 15.",
    ];
    words.iter().for_each(|w| assert!(because.contains(w), "no {w:?} in {because}"));
    let other = [&analysis.answers[0], &analysis.answers[2], &analysis.answers[3]];
    assert!(other.iter().all(|a| a.short.starts_with("Not run: ")), "{other:?}");
}
