//! A made-up study with numbers as they might be: what a report is made of, without running anything.

use lupe::methods::metrics::Spread;
use lupe::study::analysis::{Analysis, Cell, Confused, Metric, Pair, Roc, Row, Said, Setting};
use lupe::study::{
    Answer, Category, Draw, Facts, Family, LeftOut, Limit, Method, Outcome, Pool, Query, Results, Task, Timing, Variant,
};
use std::collections::BTreeMap;

/// What a study is made up from.
pub struct Made {
    /// Data sets, with names and numbers of defective pictures.
    pub categories: Vec<Category>,
    /// Who takes part, and how good it is: the share of errors that a shot more leaves.
    pub methods: Vec<(Method, f64)>,
    /// Which tasks.
    pub tasks: Vec<Task>,
    /// How many repeats.
    pub repeats: usize,
}

pub fn category(name: &str, train: usize, good: usize, defects: &[(&str, usize)]) -> Category {
    let defects = defects.iter().map(|(d, n)| (d.to_string(), *n)).collect();
    Category { name: name.into(), train, good, defects, painted: false }
}

pub fn method(name: &str, family: Family, backbone: &str) -> Method {
    Method {
        name: name.into(),
        family,
        backbone: backbone.into(),
        distance: None,
        variant: Variant::Plain,
        group: name.into(),
        note: String::new(),
        settings: format!("{:032x}", name.bytes().fold(7u128, |h, b| h.wrapping_mul(0x1000_0000_01b3) ^ u128::from(b))),
    }
}

/// A network's prototypes with both distances, plain and corrected.
fn prototypes(network: &str, quality: f64) -> Vec<(Method, f64)> {
    let mut all = vec![];
    for (distance, less) in [("squared", 0.0), ("cosine", 0.012)] {
        for variant in [Variant::Plain, Variant::Corrected] {
            let end = if variant == Variant::Corrected { ", corrected" } else { "" };
            let name = format!("prototypes {network}, {distance}{end}");
            let group = format!("prototypes {network}");
            let bare = method(&name, Family::Prototype, network);
            all.push((Method { distance: Some(distance.into()), variant, group, ..bare }, quality - less));
        }
    }
    all
}

impl Made {
    /// Two categories of real pictures, a painted one, and every kind of method.
    pub fn usual() -> Made {
        let cable = [("bent_wire", 13), ("cable_swap", 12), ("combined", 11), ("cut_inner_insulation", 14)];
        let rest = [("cut_outer_insulation", 10), ("missing_cable", 12), ("missing_wire", 10), ("poke_insulation", 10)];
        let bottle = [("broken_large", 20), ("broken_small", 22), ("contamination", 21)];
        let brick = category("brick", 60, 24, &[("crack", 12), ("scratch", 12), ("spot", 8)]);
        let mut methods = vec![];
        for (network, quality) in
            [("resnet18", 0.42), ("resnet50-v2", 0.5), ("wide_resnet50_2", 0.53), ("dino-vits16", 0.6)]
        {
            methods.extend(prototypes(network, quality));
        }
        let tuned =
            Method { note: "fine-tuned, 50 steps".into(), ..method("P>M>F, fine-tuned", Family::Pmf, "dino-vits16") };
        let group = tuned.name.clone();
        let balanced =
            Method { variant: Variant::Corrected, group, ..method("P>M>F, balanced", Family::Pmf, "dino-vits16") };
        let others = [
            (method("CAML", Family::Caml, "clip-vit-b16"), 0.48),
            (tuned, 0.66),
            (balanced, 0.66),
            (method("PatchCore", Family::PatchCore, "wide_resnet50_2"), 0.9),
            (method("EfficientAD-S", Family::EfficientAd, "pdn-s"), 0.86),
            (method("AnomalyDINO", Family::AnomalyDino, "dinov2-vits14"), 0.94),
            (method("SubspaceAD", Family::SubspaceAd, "dinov2-vits14"), 0.92),
            (method("PatchCore, then prototypes dino-vits16", Family::Chain, "wide_resnet50_2"), 0.8),
        ];
        methods.extend(others);
        let categories = vec![
            category("bottle", 209, 20, &bottle),
            category("cable", 224, 58, &[cable.as_slice(), &rest].concat()),
            Category { painted: true, ..brick },
        ];
        Made { categories, methods, tasks: Task::ALL.to_vec(), repeats: 12 }
    }

    pub fn build(&self) -> (Results, Analysis) {
        let mut analysis =
            Analysis { rows: vec![], cells: vec![], pairs: vec![], confused: vec![], rocs: vec![], answers: answers() };
        let mut results = self.results();
        let first = results.draws.iter().filter(|d| d.repeat == 0).cloned().collect::<Vec<_>>();
        for draw in &first {
            for (number, (method, quality)) in self.methods.iter().enumerate() {
                for setting in settings(draw, number, method) {
                    self.fill(&mut results, &mut analysis, draw, &setting, method, *quality);
                }
            }
        }
        analysis.pairs = vec![("Cosine less squared, T2".into(), self.pairs(&analysis))];
        (results, analysis)
    }

    fn results(&self) -> Results {
        let facts = Facts {
            name: "Few-shot learners beside detectors".into(),
            seed: 20250131,
            pool: Pool::AdAligned,
            stratified_bad: true,
            fixed_queries: true,
            excluded: vec![],
            version: "0.1.0".into(),
            plan: "4f0c9a52a8d1e7b3c6f5d4e3a2b1908f7e6d5c4b3a29181706f5e4d3c2b1a090".into(),
        };
        let places = self.categories.iter().flat_map(|c| self.tasks.iter().map(move |t| (c, *t)));
        let draws = places.flat_map(|(c, t)| (0..self.repeats).map(move |r| draw(c, t, r))).collect();
        let left_out = vec![LeftOut {
            what: "EfficientAD-M".into(),
            why: "its teacher's weights are not in weights/".into(),
            command: Some("lupe weights pull efficientad-m".into()),
        }];
        let methods = self.methods.iter().map(|m| m.0.clone()).collect();
        let categories = self.categories.clone();
        Results { facts, categories, methods, left_out, draws, outcomes: vec![], timing: vec![] }
    }

    fn fill(
        &self,
        results: &mut Results,
        analysis: &mut Analysis,
        draw: &Draw,
        setting: &Setting,
        method: &Method,
        quality: f64,
    ) {
        let values = values(draw, setting, method, quality);
        let spread = |v: f64, i: usize| {
            let many = self.repeats > 1;
            let deviation =
                many.then_some(0.012 + 0.05 / (1.0 + setting.bad.max(setting.good) as f64) + 0.002 * i as f64);
            let interval = deviation.map(|d| 2.045 * d / (self.repeats as f64).sqrt());
            Spread { count: self.repeats, mean: v, deviation, interval }
        };
        let spreads = values.iter().enumerate().map(|(i, (m, v))| (*m, spread(*v, i))).collect();
        let wide = |m: Metric| values.get(&m).map(|v| (m, [(v - 0.04).max(0.0), (v + 0.04).min(1.0)]));
        let by_pictures = [Metric::Acc, Metric::BalAcc, Metric::Auroc].into_iter().filter_map(wide).collect();
        analysis.cells.push(Cell { setting: setting.clone(), values: spreads, by_pictures });
        self.outcomes(results, analysis, draw, setting, method, &values);
        if !method.family.detects() && !draw.task.imbalanced() {
            analysis.confused.push(confused(draw, setting, values.get(&Metric::Acc).copied().unwrap_or(0.5)));
        }
        if let Some(area) = values.get(&Metric::Auroc).filter(|_| draw.task == Task::T2) {
            // (1 - x)^a has the area that is wanted.
            let power = (1.0 - area).max(1e-3) / area.max(1e-3);
            let points = (0..=20).map(|i| f64::from(i) / 20.0).map(|x| (x, x.powf(power))).collect();
            analysis.rocs.push(Roc { setting: setting.clone(), points });
        }
    }

    fn outcomes(
        &self,
        results: &mut Results,
        analysis: &mut Analysis,
        draw: &Draw,
        setting: &Setting,
        method: &Method,
        values: &BTreeMap<Metric, f64>,
    ) {
        let (good, bad): (Vec<&Query>, Vec<&Query>) = draw.queries.iter().partition(|q| q.label == "good");
        let here = results.draws.iter().enumerate().filter(|(_, d)| same(d, draw));
        for i in here.map(|(i, _)| i).collect::<Vec<_>>() {
            let (good_shots, bad_shots) = (setting.good, setting.bad);
            let outcome = results.outcomes.len();
            let answer = Answer::default();
            let of =
                Outcome { method: setting.method, draw: i, good: good_shots, bad: bad_shots, all: setting.all, answer };
            results.outcomes.push(of);
            let (queries_good, queries_bad) = (good.len(), bad.len());
            analysis.rows.push(Row {
                outcome,
                limit: setting.limit,
                queries_good,
                queries_bad,
                values: values.clone(),
            });
            let slow = if method.family == Family::EfficientAd { 900.0 } else { 0.2 + 0.05 * setting.good as f64 };
            let (method, category, task, repeat) =
                (method.name.clone(), draw.category.clone(), draw.task, i % self.repeats);
            let adapt_s = slow * (1.0 + 0.01 * repeat as f64);
            results.timing.push(Timing { method, category, task, good: good_shots, repeat, adapt_s, infer_ms: 31.4 });
        }
    }

    fn pairs(&self, analysis: &Analysis) -> Vec<Pair> {
        let is = |c: &&Cell, d: &str| {
            let m = &self.methods[c.setting.method].0;
            c.setting.task == Task::T2 && m.distance.as_deref() == Some(d) && m.variant == Variant::Plain
        };
        let squared = analysis.cells.iter().filter(|c| is(c, "squared"));
        let pair = |a: &Cell| {
            let group = &self.methods[a.setting.method].0.group;
            let b = analysis.cells.iter().filter(|c| is(c, "cosine")).find(|c| {
                self.methods[c.setting.method].0.group == *group
                    && (&c.setting.category, c.setting.bad) == (&a.setting.category, a.setting.bad)
            })?;
            let mean = b.values[&Metric::Acc].mean - a.values[&Metric::Acc].mean;
            let many = (self.repeats > 1).then_some(0.004);
            Some(Pair {
                what: "cosine - squared".into(),
                one: b.setting.clone(),
                other: a.setting.clone(),
                metric: Metric::Acc,
                paired: true,
                difference: Spread { count: self.repeats, mean, deviation: many.map(|h| 2.7 * h), interval: many },
                p: Some(0.04),
                p_holm: Some(0.21),
                agreement: Some(0.953),
            })
        };
        squared.filter_map(pair).collect()
    }
}

fn same(a: &Draw, b: &Draw) -> bool {
    (&a.category, a.task) == (&b.category, b.task)
}

fn draw(category: &Category, task: Task, repeat: usize) -> Draw {
    let kinds = category.defects.iter().map(|d| d.0.clone());
    let mut classes: Vec<String> = if task.pools_defects() { vec!["bad".into()] } else { kinds.collect() };
    if task.has_good() {
        classes.push("good".into());
    }
    classes.sort();
    let mut queries = vec![];
    for (label, n) in
        category.defects.iter().cloned().chain(task.has_good().then(|| ("good".to_string(), category.good)))
    {
        let name = if task.pools_defects() && label != "good" { "bad" } else { label.as_str() };
        let class = classes.iter().position(|c| c == name).unwrap_or(0);
        queries.extend((5..n).map(|i| Query { path: format!("test/{label}/{i:03}.png"), label: label.clone(), class }));
    }
    let of = |c: &String| (0..5).map(|i| format!("test/{c}/{i:03}.png")).collect();
    let support = classes.iter().map(of).collect();
    let seed = format!("20250131|{}|{task}|ad-aligned|{repeat}", category.name);
    Draw { category: category.name.clone(), task, pool: Pool::AdAligned, repeat, seed, classes, support, queries }
}

/// Settings of a method in a task.
fn settings(draw: &Draw, method: usize, facts: &Method) -> Vec<Setting> {
    let task = draw.task;
    let of = |good, bad, all, limit| Setting { category: draw.category.clone(), task, method, good, bad, all, limit };
    if facts.family.detects() {
        if task != Task::T2 {
            return vec![];
        }
        let all = [(1, false), (3, false), (5, false), (10, false), (15, false), (30, false), (167, true)];
        let least = if facts.family == Family::EfficientAd { 15 } else { 1 };
        let limits = [Limit::HeldOut, Limit::Support, Limit::Oracle];
        let numbers = all.into_iter().filter(|n| n.0 >= least);
        return numbers.flat_map(|(n, all)| limits.map(|l| of(n, 0, all, Some(l)))).collect();
    }
    match task {
        Task::T4 | Task::T5 if facts.family == Family::Chain => vec![],
        Task::T4 | Task::T5 => [5, 10, 15, 30].map(|g| of(g, 5, false, None)).to_vec(),
        _ if facts.variant == Variant::Corrected => vec![],
        Task::T3 => [1, 3, 5].map(|k| of(0, k, false, None)).to_vec(),
        _ => [1, 3, 5].map(|k| of(k, k, false, None)).to_vec(),
    }
}

/// Metrics as they might be: better with quality and shots, harder with classes.
fn values(draw: &Draw, s: &Setting, method: &Method, quality: f64) -> BTreeMap<Metric, f64> {
    let chance = 1.0 / draw.classes.len().max(1) as f64;
    let shift = draw.category.bytes().map(usize::from).sum::<usize>() as f64 % 7.0 * 0.01;
    let of_class = |i: usize| draw.queries.iter().filter(|q| q.class == i).count();
    let most = (0..draw.classes.len()).map(of_class).max().unwrap_or(0) as f64 / draw.queries.len().max(1) as f64;
    let mut values = BTreeMap::from([(Metric::Majority, most)]);
    if method.family.detects() {
        values.extend(detected(s, quality, shift));
        return values;
    }
    let mut put = |m, v: f64| values.insert(m, v.clamp(0.0, 1.0));
    let ease = 0.8 * quality + 0.07 * (s.bad as f64).ln() - if draw.task.pools_defects() { 0.02 } else { 0.1 } - shift;
    let acc = chance + (1.0 - chance) * ease.clamp(0.05, 0.97);
    let more = if draw.task.imbalanced() { (s.good as f64 / 5.0).ln() } else { 0.0 };
    let plain = method.variant == Variant::Plain;
    let moved = if plain { -0.05 * more } else { 0.018 * more };
    put(Metric::Acc, acc + moved);
    put(Metric::BalAcc, acc + 0.4 * moved + 0.01);
    put(Metric::MacroF1, acc + moved - 0.02);
    if draw.good().is_some() {
        put(Metric::Tpr, acc + if plain { -0.1 * more } else { 0.005 * more });
        put(Metric::Tnr, acc + if plain { 0.09 * more } else { 0.03 * more });
        if method.family != Family::Chain {
            put(Metric::Auroc, acc + 0.04 + 0.015 * more);
            put(Metric::Ap, acc + 0.07);
            put(Metric::F1Max, acc + 0.03);
        }
    }
    if !draw.task.pools_defects() {
        put(Metric::DefectAcc, acc - 0.04);
    }
    values
}

/// A detector's metrics: ever better with more good pictures, and as good as its limit.
fn detected(s: &Setting, quality: f64, shift: f64) -> [(Metric, f64); 5] {
    let area = 1.0 - 0.5 * (1.0 - quality).powf(0.8) / (1.0 + s.good as f64).powf(0.3) - shift;
    let loss = match s.limit {
        Some(Limit::HeldOut) => 0.13,
        Some(Limit::Support) => 0.09,
        _ => 0.02,
    };
    let balanced = (area.min(0.99) - loss / (1.0 + 0.1 * s.good as f64)).clamp(0.5, 0.94);
    let rest = [(Metric::Acc, -0.01), (Metric::BalAcc, 0.0), (Metric::Tpr, -0.05), (Metric::Tnr, 0.05)];
    let [acc, bal, tpr, tnr] = rest.map(|(m, more)| (m, balanced + more));
    [acc, bal, tpr, tnr, (Metric::Auroc, area.clamp(0.0, 1.0))]
}

fn confused(draw: &Draw, setting: &Setting, acc: f64) -> Confused {
    let n = draw.classes.len();
    let row = |i: usize| {
        let all = draw.queries.iter().filter(|q| q.class == i).count() * 12;
        let right = (all as f64 * (acc + 0.03 * (i % 3) as f64).min(1.0)) as usize;
        let wrong = (all - right) / n.saturating_sub(1).max(1);
        (0..n).map(|j| if i == j { right } else { wrong + (i + 2 * j) % 3 * wrong / 4 }).collect()
    };
    Confused { setting: setting.clone(), classes: draw.classes.clone(), rows: (0..n).map(row).collect() }
}

fn answers() -> Vec<Said> {
    let said = |question: &str, short: &str, because: &[&str]| Said {
        question: question.into(),
        short: short.into(),
        because: because.iter().map(|b| b.to_string()).collect(),
    };
    vec![
        said(
            "Is few-shot learning fit for finding defects?",
            "Not beside a detector: the best learner's AUROC was 6.8 points (95 % 5.9 to 7.7) below AnomalyDINO's.",
            &[
                "With 5 good and 5 defective shots, P>M>F reached an AUROC of 91.2 ± 0.7 % on T2, AnomalyDINO 98.0 ± 0.2 % with all good pictures.",
                "From one good picture alone AnomalyDINO had 93.1 ± 1.1 %.",
                "It names defects where a detector cannot: 62.4 ± 1.0 % of T3.",
            ],
        ),
        said(
            "What does an imbalance of good and defective shots do?",
            "More good shots lowered accuracy by 6.1 points (95 % 4.0 to 8.2) and raised AUROC by 1.3: the threshold moved, not the ranking.",
            &["Corrected for the number of shots, accuracy rose by 3.9 points (2.8 to 5.0)."],
        ),
        said(
            "Is it easier to find defects than to name them?",
            "Yes: good or defective was right 11.2 points (10.1 to 12.3) more often than good or which defect.",
            &["T1's answers, taken as good or defective, were right in 83.0 ± 0.9 %."],
        ),
        said(
            "Euclidean distance or cosine?",
            "Practically the same: cosine was 0.9 points (0.4 to 1.4) below, and both gave the same answer to 95 % of the pictures.",
            &[],
        ),
    ]
}
