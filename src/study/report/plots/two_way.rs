//! Good or defective, everyone beside each other: bars for every data set.

use super::super::cast::{Cast, Member};
use super::super::chart::{Axis, Lines, Mark, Panel, Place, TWICE};
use super::super::figure::Figure;
use super::super::look::Look;
use super::super::text;
use super::super::view::View;
use super::{At, named};
use crate::study::analysis::{Cell, Metric};
use crate::study::{Limit, Task};

/// A bar.
struct Bar {
    name: String,
    look: Look,
    value: At,
}

/// One figure of two panels for each data set.
pub fn figures(view: &View, cast: &Cast) -> Vec<Figure> {
    view.places(&[Task::T2]).into_iter().filter_map(|(_, category)| figure(view, cast, category)).collect()
}

fn figure<'a>(view: &View<'a>, cast: &Cast, category: &'a str) -> Option<Figure> {
    let panels = [
        panel("Balanced accuracy, %", balanced(view, cast, category)),
        panel("AUROC, %", ranking(view, cast, category)),
    ];
    let panels: Vec<Panel> = panels.into_iter().flatten().collect();
    let title = format!("{category}: good or defective (T2), most shots of each");
    let legend = cast.all().map(|m| (m.look, m.name.clone())).collect();
    (!panels.is_empty()).then(|| Figure { name: named(view, "two-way", None, category), title, panels, legend })
}

/// Of learners the one number; of detectors one for each way of finding a limit.
fn balanced<'a>(view: &View<'a>, cast: &Cast, category: &'a str) -> Vec<Bar> {
    let mut bars = vec![];
    for member in cast.all() {
        let Some(best) = view.headline(member.method, Task::T2, category) else { continue };
        if !view.detects(member.method) {
            bars.extend(bar(member.name.clone(), member.look, best, Metric::BalAcc));
            continue;
        }
        let same = |c: &Cell| {
            let (a, b) = (&c.setting, &best.setting);
            (a.method, a.good, a.bad, a.all) == (b.method, b.good, b.bad, b.all)
        };
        for cell in view.of(member.method, Task::T2, category).iter().filter(|c| same(c)) {
            let how = cell.setting.limit.map(short).unwrap_or_default();
            // The upper bound is hollow: nobody gets it without the answers.
            let hollow = cell.setting.limit == Some(Limit::Oracle);
            let name = format!("{}, {how}", text::short(&member.name, 13));
            bars.extend(bar(name, Look { hollow, ..member.look }, cell, Metric::BalAcc));
        }
    }
    bars
}

fn short(limit: Limit) -> &'static str {
    match limit {
        Limit::HeldOut => "held-out",
        Limit::Support => "by shots",
        Limit::Oracle => "oracle",
    }
}

fn ranking<'a>(view: &View<'a>, cast: &Cast, category: &'a str) -> Vec<Bar> {
    let of = |m: &Member| {
        let cell = view.headline(m.method, Task::T2, category)?;
        bar(m.name.clone(), m.look, cell, Metric::Auroc)
    };
    cast.all().filter_map(of).collect()
}

fn bar(name: String, look: Look, cell: &Cell, metric: Metric) -> Option<Bar> {
    Some(Bar { name, look, value: At::of(0.0, cell, metric)? })
}

fn panel(title: &str, bars: Vec<Bar>) -> Option<Panel> {
    let n = bars.len() as f64;
    let names = bars.iter().enumerate().map(|(i, b)| (n - 0.5 - i as f64, text::short(&b.name, 23)));
    let y = Axis { label: String::new(), low: 0.0, high: n.max(1.0), ticks: names.collect() };
    let ticks = [0, 25, 50, 75, 100].map(|t| (f64::from(t) / 100.0, t.to_string())).to_vec();
    let x = Axis { label: String::new(), low: 0.0, high: 1.16, ticks };
    let each = bars.iter().map(|b| format!("{} {}", text::shown(&b.name), text::within(b.value.mean, b.value.half)));
    let about = each.collect::<Vec<_>>().join("; ") + ".";
    let mut panel = Panel::new(title, about, x, y);
    panel.lines = Lines::Upwards;
    panel.left = 166 * TWICE;
    panel.height = (62 + 21 * bars.len() as u32) * TWICE;
    panel.marks.push(Mark::Guide((0.5, 0.0), (0.5, n.max(1.0)), String::new()));
    for (i, bar) in bars.iter().enumerate() {
        let middle = n - 0.5 - i as f64;
        let opacity = if bar.look.hollow { 1.0 } else { 0.8 };
        let (from, to) = ((0.0, middle + 0.36), (bar.value.mean, middle - 0.36));
        panel.marks.push(Mark::Block(bar.look, from, to, opacity));
        let mut end = bar.value.mean;
        if let Some((low, high)) = bar.value.ends() {
            let ink = Look { paint: super::super::theme::Paint::Ink, ..bar.look };
            panel.marks.push(Mark::Whisker(ink, (low, middle), (high, middle)));
            end = end.max(high);
        }
        panel.marks.push(Mark::Text((end + 0.02, middle), text::percent(bar.value.mean), Place::Right));
    }
    (!bars.is_empty()).then_some(panel)
}
