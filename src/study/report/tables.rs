//! The tables of a study, but for those of published numbers and of times.

use super::table::{Entry, Table};
use super::text;
use super::view::{Mean, View, shots, shots_of};
use crate::study::analysis::{Cell, Metric, Pair, Setting};
use crate::study::{Limit, Pool, Task, Variant};

/// What `±` means.
pub const INTERVALS: &str = "All numbers in percent: mean ± half of the 95 % interval over repeats, which tells the noise of drawing shots \
     from these pictures, nothing of new pictures. Where there is one repeat, there is no interval.";

fn heads(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| n.to_string()).collect()
}

fn value(cell: &Cell, metric: Metric) -> Entry {
    cell.values.get(&metric).map_or_else(Entry::none, |s| Entry::value(s.mean, text::spread(s)))
}

fn mean(mean: Option<Mean>) -> Entry {
    mean.map_or_else(Entry::none, |m| Entry::value(m.mean, text::within(m.mean, m.half)))
}

fn limit(limit: Option<Limit>) -> Entry {
    limit.map_or_else(Entry::none, |l| Entry::words(l.words()))
}

/// Every setting of a task and a data set, a table for each.
pub fn means(view: &View) -> Vec<Table> {
    let table = |(task, category): (Task, _)| {
        let row = |c: &&Cell| {
            let s = &c.setting;
            let count = c.values.values().map(|v| v.count).max().unwrap_or(0);
            let good = if s.all { format!("all {}", s.good) } else { s.good.to_string() };
            let facts = [
                Entry::words(view.name(s.method)),
                limit(s.limit),
                Entry::value(s.good as f64, good),
                Entry::number(s.bad),
                Entry::number(count),
            ];
            facts.into_iter().chain(Metric::ALL.iter().map(|m| value(c, *m))).collect()
        };
        let first =
            heads(&["method", "limit by", "good", if task.pools_defects() { "defective" } else { "of each defect" }]);
        let rest = ["repeats"].into_iter().chain(Metric::ALL.iter().map(|m| m.title())).map(String::from);
        Table {
            title: format!("{task} · {category}: {}", task.title()),
            note: String::new(),
            heads: first.into_iter().chain(rest).collect(),
            rows: view.cells(task, category).iter().map(row).collect(),
        }
        .filled()
    };
    view.places(&Task::ALL).into_iter().map(table).collect()
}

/// Methods by their mean over data sets, a table for each task; detectors with the limit that needs no defective picture.
pub fn rankings(view: &View) -> Vec<Table> {
    let tables = Task::ALL.iter().map(|&task| ranking(view, task));
    tables.filter(|t| !t.rows.is_empty()).collect()
}

fn ranking(view: &View, task: Task) -> Table {
    let over = |m: usize, metric| view.over_categories(m, task, metric);
    let part = |m: &usize| Metric::ALL.iter().any(|&x| over(*m, x).is_some());
    let mut methods: Vec<usize> = (0..view.results.methods.len()).filter(part).collect();
    let key = |m: usize| over(m, Metric::BalAcc).or_else(|| over(m, Metric::Auroc)).map_or(-1.0, |v| v.mean);
    methods.sort_by(|a, b| key(*b).total_cmp(&key(*a)));
    let categories = view.categories();
    let row = |m: &usize| {
        let first = categories.iter().find_map(|c| view.headline(*m, task, c));
        let setting = first.map(|c| &c.setting);
        let of = mean(over(*m, Metric::BalAcc));
        let facts = [
            Entry::words(view.name(*m)),
            Entry::words(shots_of(view, *m, task)),
            setting.map_or_else(Entry::none, |s| limit(s.limit)),
            of,
            mean(over(*m, Metric::Acc)),
            mean(over(*m, Metric::Auroc)),
        ];
        let each = categories.iter().map(|c| match view.headline(*m, task, c) {
            Some(cell) => value(cell, Metric::BalAcc),
            None => Entry::none(),
        });
        let each: Vec<Entry> = if categories.len() > 1 { each.collect() } else { vec![] };
        facts.into_iter().chain(each).collect()
    };
    let names = categories.iter().filter(|_| categories.len() > 1).map(|c| format!("balanced, {c}"));
    let first = heads(&["method", "learned from", "limit by", "balanced accuracy", "accuracy", "AUROC"]);
    Table {
        title: format!("{task}: {}", task.title()),
        note: format!("Most shots of each method, mean of {}.", text::count(categories.len(), "data set")),
        heads: first.into_iter().chain(names).collect(),
        rows: methods.iter().map(row).collect(),
    }
    .filled()
}

/// The headline numbers once more with intervals over the pictures that are asked about.
pub fn by_pictures(view: &View) -> Table {
    let places = view.places(&[Task::T2]);
    let all = || 0..view.results.methods.len();
    let cells = places.iter().flat_map(|&(task, c)| all().filter_map(move |m| view.headline(m, task, c)));
    let row = |c: &Cell| {
        let with = |metric: Metric| match (c.values.get(&metric), c.by_pictures.get(&metric)) {
            (Some(s), Some([low, high])) => {
                let bounds = format!("{} [{}, {}]", text::percent(s.mean), text::percent(*low), text::percent(*high));
                Entry::value(s.mean, bounds)
            }
            _ => Entry::none(),
        };
        let facts =
            [Entry::words(view.name(c.setting.method)), Entry::words(&c.setting.category), limit(c.setting.limit)];
        let metrics = [Metric::BalAcc, Metric::Acc, Metric::Auroc].map(with);
        facts.into_iter().chain(metrics).collect()
    };
    let rows: Vec<Vec<Entry>> = cells.filter(|c| !c.by_pictures.is_empty()).map(row).collect();
    Table {
        title: "T2: intervals over pictures".into(),
        note: "Percent, with the 95 % interval of a bootstrap over the pictures that are asked about: what other pictures of the same kind \
               might have given."
            .into(),
        heads: heads(&["method", "data set", "limit by", "balanced accuracy", "accuracy", "AUROC"]),
        rows,
    }
    .filled()
}

/// Differences, by the titles of their tables.
pub fn pairs(view: &View) -> Vec<Table> {
    let table = |(title, pairs): &(String, Vec<Pair>)| Table {
        title: text::shown(title),
        note: String::from(if pairs.iter().any(|p| p.paired) { PAIRED } else { APART }),
        heads: heads(&PAIR),
        rows: pairs.iter().map(|p| pair(view, p)).collect(),
    };
    view.analysis.pairs.iter().map(table).map(Table::filled).filter(|t| !t.rows.is_empty()).collect()
}

/// Heads of a table of differences.
const PAIR: [&str; 9] =
    ["compared", "first", "second", "metric", "difference", "repeats", "p", "p (Holm)", "same answers, %"];
const PAIRED: &str = "Points: the first less the second on the same draws, mean ± half of the 95 % interval; p of Wilcoxon's signed-rank \
     test, also after Holm's correction over this table.";
const APART: &str = "Points: the first less the second, which were asked on other draws: interval and p are Welch's, p also after Holm's \
     correction over this table.";

fn pair(view: &View, pair: &Pair) -> Vec<Entry> {
    let p = |p: Option<f64>| p.map_or_else(Entry::none, |p| Entry::value(p, text::p(p)));
    let same = pair.agreement.map_or_else(Entry::none, |a| Entry::value(a, text::percent(a)));
    vec![
        Entry::words(text::shown(&pair.what)),
        Entry::words(setting(view, &pair.one)),
        Entry::words(setting(view, &pair.other)),
        Entry::words(pair.metric.title()),
        Entry::value(pair.difference.mean, text::points(&pair.difference)),
        Entry::number(pair.difference.count),
        p(pair.p),
        p(pair.p_holm),
        same,
    ]
}

/// A setting in words.
fn setting(view: &View, s: &Setting) -> String {
    let limit = s.limit.map(|l| format!(", limit by {}", l.words())).unwrap_or_default();
    format!("{} on {} of {}, {}{limit}", view.name(s.method), s.task, text::shown(&s.category), shots(s))
}

/// Detectors by the number of good pictures.
pub fn detectors(view: &View) -> Table {
    let of = |c: &&Cell| view.detects(c.setting.method);
    let cells = view.analysis.cells.iter().filter(of);
    let row = |c: &Cell| {
        let s = &c.setting;
        let good = if s.all { format!("all {}", s.good) } else { s.good.to_string() };
        let facts = [
            Entry::words(view.name(s.method)),
            Entry::words(&s.category),
            Entry::words(s.task.to_string()),
            Entry::value(s.good as f64, good),
            limit(s.limit),
        ];
        let metrics = [Metric::Auroc, Metric::BalAcc, Metric::Tpr, Metric::Tnr];
        facts.into_iter().chain(metrics.map(|m| value(c, m))).collect()
    };
    Table {
        title: "Detectors by number of good pictures".into(),
        note: "AUROC needs no limit. The oracle looks at the answers and is an upper bound only.".into(),
        heads: heads(&["method", "data set", "task", "good", "limit by", "AUROC", "balanced accuracy", "TPR", "TNR"]),
        rows: cells.map(row).collect(),
    }
    .filled()
}

/// Who took part, with everything that was chosen.
pub fn methods(view: &View) -> Table {
    let row = |m: &crate::study::Method| {
        let or = |text: &str| if text.is_empty() { Entry::none() } else { Entry::words(text) };
        vec![
            Entry::words(&m.name),
            Entry::words(m.family.title()),
            or(&m.backbone),
            m.distance.as_deref().map_or_else(Entry::none, or),
            Entry::words(if m.variant == Variant::Plain { "plain" } else { "corrected" }),
            or(&m.note),
            or(&m.settings),
        ]
    };
    Table {
        title: "Methods".into(),
        note: "Corrected methods allow for unequal numbers of shots. Settings: the first half of the SHA-256 of every choice, weights among them."
            .into(),
        heads: heads(&["method", "kind", "network", "distance", "variant", "choices", "settings"]),
        rows: view.results.methods.iter().map(row).collect(),
    }
    .filled()
}

/// Which pictures there were.
pub fn categories(view: &View) -> Table {
    let row = |c: &crate::study::Category| {
        let kinds: Vec<String> = c.defects.iter().map(|(name, n)| format!("{name} {n}")).collect();
        vec![
            Entry::words(&c.name),
            Entry::number(c.train),
            Entry::number(c.good),
            Entry::number(c.defects.iter().map(|d| d.1).sum()),
            Entry::words(kinds.join(", ")),
            Entry::words(if c.painted { "painted by Lupe" } else { "real" }),
        ]
    };
    Table {
        title: "Pictures".into(),
        note: String::new(),
        heads: heads(&[
            "data set",
            "good to learn from",
            "good to test with",
            "defective",
            "kinds of defect",
            "defects are",
        ]),
        rows: view.results.categories.iter().map(row).collect(),
    }
}

/// What was drawn: a row for each data set and task.
pub fn draws(view: &View) -> Table {
    let mut rows = vec![];
    for category in &view.results.categories {
        for task in Task::ALL {
            let here: Vec<_> =
                view.results.draws.iter().filter(|d| d.category == category.name && d.task == task).collect();
            let Some(first) = here.first() else { continue };
            let good = first.queries.iter().filter(|q| q.label == crate::data::dataset::GOOD).count();
            rows.push(vec![
                Entry::words(&category.name),
                Entry::words(task.to_string()),
                Entry::words(pool(first.pool)),
                Entry::number(here.len()),
                Entry::words(first.classes.join(", ")),
                Entry::number(good),
                Entry::number(first.queries.len() - good),
                Entry::words(&first.seed),
            ]);
        }
    }
    Table {
        title: "Draws".into(),
        note: "Queries and seed are those of the first repeat; all are in episodes.jsonl.".into(),
        heads: heads(&["data set", "task", "pool", "repeats", "classes", "good queries", "defective queries", "seed"]),
        rows,
    }
}

/// A pool as in a plan.
pub fn pool(pool: Pool) -> &'static str {
    match pool {
        Pool::AdAligned => "ad-aligned",
        Pool::Author => "author",
    }
}
