//! Published numbers beside one's own: marked as published, and as not comparable where they measure something else.

use super::table::{Entry, Table};
use super::text;
use super::view::View;
use crate::study::analysis::{Cell, Metric};
use crate::study::{Family, Task};

/// How many good pictures a published number is for.
#[derive(Clone, Copy, PartialEq)]
enum Good {
    Few(usize),
    All,
}

/// What of one's own stands beside it.
#[derive(Clone, Copy, PartialEq)]
enum Own {
    /// AUROC on T2 of a detector of the family.
    Detector(Family),
    /// The accuracy of prototypes on a ResNet-50 on a data set called bottle.
    Bottle(Task),
    /// Nothing: Lupe does not have the method.
    Nothing,
}

struct Anchor {
    who: &'static str,
    what: &'static str,
    good: Good,
    published: &'static str,
    on: &'static str,
    own: Own,
}

const MVTEC: &str = "MVTec AD, mean of 15 categories";

/// From the papers of PatchCore, WinCLIP (which also has few-shot PatchCore, SPADE and PaDiM) and EfficientAD, and from the thesis that
/// asked this study's questions.
const ANCHORS: [Anchor; 15] = [
    detector("PatchCore", Good::Few(1), "83.4 ± 3.0", Own::Detector(Family::PatchCore)),
    detector("PatchCore", Good::Few(2), "86.3", Own::Detector(Family::PatchCore)),
    detector("PatchCore", Good::Few(4), "88.8 ± 2.6", Own::Detector(Family::PatchCore)),
    detector("PatchCore, ensemble", Good::All, "99.6", Own::Detector(Family::PatchCore)),
    detector("PatchCore, one wide ResNet-50", Good::All, "99.1", Own::Detector(Family::PatchCore)),
    detector("WinCLIP+", Good::Few(1), "93.1 ± 2.0", Own::Nothing),
    detector("WinCLIP+", Good::Few(2), "94.4", Own::Nothing),
    detector("WinCLIP+", Good::Few(4), "95.2 ± 1.3", Own::Nothing),
    detector("SPADE", Good::Few(1), "81.0", Own::Nothing),
    detector("PaDiM", Good::Few(1), "76.6", Own::Nothing),
    detector("EfficientAD, stopped early", Good::All, "99.8", Own::Detector(Family::EfficientAd)),
    detector("EfficientAD-S", Good::All, "98.8", Own::Detector(Family::EfficientAd)),
    detector("EfficientAD-M", Good::All, "99.1", Own::Detector(Family::EfficientAd)),
    thesis("75", "accuracy, T1, 5 shots", Task::T1),
    thesis("81", "accuracy, T2, best of 1, 3, 5 shots", Task::T2),
];

const fn detector(who: &'static str, good: Good, published: &'static str, own: Own) -> Anchor {
    Anchor { who, what: "image AUROC", good, published, on: MVTEC, own }
}

const fn thesis(published: &'static str, what: &'static str, task: Task) -> Anchor {
    let (who, on) = ("thesis: ResNet-50, mean vectors", "MVTec AD bottle, all other pictures as queries");
    Anchor { who, what, good: Good::Few(5), published, on, own: Own::Bottle(task) }
}

/// The table.
pub fn table(view: &View) -> Table {
    let row = |a: &Anchor| {
        let good = match (a.good, a.own) {
            (_, Own::Bottle(_)) => "5 + 5 of each".into(),
            (Good::All, _) => "all".into(),
            (Good::Few(n), _) => n.to_string(),
        };
        let own = own(view, a).unwrap_or_else(|| match a.own {
            Own::Nothing => "not a method of Lupe".into(),
            Own::Detector(_) => "not measured with so many good pictures".into(),
            Own::Bottle(_) => "no data set called bottle with a ResNet-50".into(),
        });
        // Accuracy and AUROC are never set beside each other.
        let comparable = match a.own {
            Own::Bottle(_) => "no: other draws; accuracy is not AUROC",
            Own::Detector(_) => "only in kind: other pictures, other draws",
            Own::Nothing => "no",
        };
        let words = [a.who, a.what].map(Entry::words);
        let rest = [good, a.published.into(), own, comparable.into(), a.on.into()];
        words.into_iter().chain(rest.map(Entry::words)).collect()
    };
    Table {
        title: "Published elsewhere, beside what this study measured".into(),
        note: "Numbers of papers, in percent, on other pictures than this study's: an orientation, no comparison."
            .into(),
        heads: ["method", "metric", "good pictures", "published", "this study", "comparable", "published on"]
            .map(String::from)
            .to_vec(),
        rows: ANCHORS.iter().map(row).collect(),
    }
}

/// One's own number and what it is of.
fn own(view: &View, anchor: &Anchor) -> Option<String> {
    match anchor.own {
        Own::Nothing => None,
        Own::Detector(family) => {
            let fits = |c: &&Cell| {
                let s = &c.setting;
                let good = if anchor.good == Good::All { s.all } else { !s.all && anchor.good == Good::Few(s.good) };
                good && s.task == Task::T2 && view.method(s.method).is_some_and(|m| m.family == family)
            };
            best(view, view.analysis.cells.iter().filter(fits).collect(), Metric::Auroc)
        }
        Own::Bottle(task) => {
            let network = |m: usize| {
                let method = view.method(m).filter(|m| m.family == Family::Prototype)?;
                let plain: String = method.backbone.chars().filter(char::is_ascii_alphanumeric).collect();
                Some(plain.to_ascii_lowercase().starts_with("resnet50"))
            };
            let fits = |c: &&Cell| {
                let s = &c.setting;
                let shots = task == Task::T2 && s.bad <= 5 || s.bad == 5;
                s.task == task && shots && s.category.eq_ignore_ascii_case("bottle") && network(s.method) == Some(true)
            };
            best(view, view.analysis.cells.iter().filter(fits).collect(), Metric::Acc)
        }
    }
}

/// The best method's numbers, one for each data set.
fn best(view: &View, cells: Vec<&Cell>, metric: Metric) -> Option<String> {
    let value = |c: &&Cell| c.values.get(&metric).map_or(-1.0, |s| s.mean);
    let top = cells.iter().max_by(|a, b| value(a).total_cmp(&value(b)))?;
    let mut told: Vec<String> = vec![];
    for category in view.categories().iter().copied() {
        let same = |c: &&&Cell| c.setting.method == top.setting.method && c.setting.category == category;
        let Some(cell) = cells.iter().filter(same).max_by(|a, b| value(a).total_cmp(&value(b))) else { continue };
        if let Some(s) = cell.values.get(&metric) {
            told.push(format!("{} {}", text::short(category, 20), text::spread(s)));
        }
    }
    Some(format!("{} ({})", told.join(", "), view.name(top.setting.method)))
}
