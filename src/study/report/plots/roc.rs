//! Curves of defects found over good pictures rejected: T2 of every data set.

use super::super::cast::{Cast, Member};
use super::super::chart::{Axis, Mark, Panel};
use super::super::figure::Figure;
use super::super::look::Look;
use super::super::text;
use super::super::view::View;
use super::named;
use crate::study::Task;
use crate::study::analysis::{Metric, Roc};

/// Points that carry a method's shape along its curve.
const SHAPES: [f64; 3] = [0.1, 0.3, 0.6];

/// One figure for each data set.
pub fn figures(view: &View, cast: &Cast) -> Vec<Figure> {
    view.places(&[Task::T2]).into_iter().filter_map(|(_, category)| figure(view, cast, category)).collect()
}

fn figure<'a>(view: &View<'a>, cast: &Cast, category: &'a str) -> Option<Figure> {
    let of = |m: &Member| find(view, m, category).map(|roc| (m.look, m.name.clone(), m.method, roc));
    let curves: Vec<(Look, String, usize, &Roc)> = cast.all().filter_map(of).collect();
    let area = |m: usize| view.headline(m, Task::T2, category)?.values.get(&Metric::Auroc).map(text::spread);
    let each = curves.iter().filter_map(|c| Some(format!("{} {}", text::shown(&c.1), area(c.2)?)));
    let about = format!("Areas in percent: {}.", each.collect::<Vec<_>>().join("; "));
    let ticks = || (0..=5u8).map(|t| (f64::from(t) / 5.0, (t * 20).to_string())).collect();
    let x = Axis { label: "good pictures rejected, %".into(), low: -0.01, high: 1.01, ticks: ticks() };
    let y = Axis { label: "defects found, %".into(), low: 0.0, high: 1.015, ticks: ticks() };
    let mut panel = Panel::new(&format!("T2 · {category}"), about, x, y);
    panel.height = panel.height * 9 / 8;
    panel.marks.push(Mark::Guide((0.0, 0.0), (1.0, 1.0), String::new()));
    for (look, _, _, roc) in &curves {
        panel.marks.push(Mark::Line(*look, roc.points.clone()));
        let shapes = SHAPES.iter().filter_map(|x| Some((*x, height(roc, *x)?)));
        panel.marks.extend(shapes.map(|at| Mark::Point(*look, at)));
    }
    let legend = curves.iter().map(|c| (c.0, c.1.clone())).collect();
    let title = "ROC, mean of the repeats' curves".into();
    (!curves.is_empty()).then(|| Figure {
        name: named(view, "roc-T2", None, category),
        title,
        panels: vec![panel],
        legend,
    })
}

/// The curve of a method's headline setting, whatever its limit.
fn find<'a>(view: &View<'a>, member: &Member, category: &'a str) -> Option<&'a Roc> {
    let best = &view.headline(member.method, Task::T2, category)?.setting;
    view.analysis.rocs.iter().filter(|r| r.points.len() > 1).find(|r| {
        let s = &r.setting;
        (s.task, &s.category, s.method, s.good, s.bad, s.all)
            == (best.task, &best.category, best.method, best.good, best.bad, best.all)
    })
}

/// The curve's height at a share of good pictures.
fn height(roc: &Roc, x: f64) -> Option<f64> {
    let after = roc.points.iter().position(|p| p.0 >= x)?;
    let (later, before) = (roc.points.get(after)?, roc.points.get(after.saturating_sub(1))?);
    let across = later.0 - before.0;
    let share = if across > 0.0 { (x - before.0) / across } else { 1.0 };
    Some(before.1 + share * (later.1 - before.1))
}
