//! AUROC against the number of good pictures: detectors as lines, learners, which also had defective ones, as points.

use super::super::cast::Cast;
use super::super::chart::{Axis, Mark, Panel};
use super::super::figure::Figure;
use super::super::text;
use super::super::view::View;
use super::{At, line, named, over, powers, shares, told};
use crate::study::Task;
use crate::study::analysis::Metric;

/// One figure for each data set and task that has detectors, or T2 where none took part.
pub fn figures(view: &View, cast: &Cast) -> Vec<Figure> {
    let places = view.places(&[Task::T2, Task::T4]);
    let detected = |task: Task, category| view.cells(task, category).iter().any(|c| view.detects(c.setting.method));
    let places = places.into_iter().filter(|&(task, category)| task == Task::T2 || detected(task, category));
    places.filter_map(|(t, c)| figure(view, cast, t, c)).collect()
}

fn figure<'a>(view: &View<'a>, cast: &Cast, task: Task, category: &'a str) -> Option<Figure> {
    let by_good = |m| over(view, m, (task, category), Metric::Auroc, |c| (c.setting.good.max(1) as f64).log10());
    let drawn: Vec<_> = cast.all().map(|m| (m, by_good(m.method))).filter(|d| !d.1.is_empty()).collect();
    let values = || drawn.iter().flat_map(|d| &d.1);
    let x = chosen(powers("good pictures learned from", values().map(|v| v.x)), values());
    let ends = |v: &At| v.ends().map_or([v.mean; 2], |e| [e.0, e.1]);
    let y = shares("AUROC, %", values().flat_map(ends));
    let words = |x: f64| text::count(10f64.powf(x).round() as usize, "good picture");
    let about: Vec<String> = drawn.iter().map(|(m, v)| told(&m.name, v, words)).collect();
    let mut panel = Panel::new(&format!("{task} · {category}"), about.join("; ") + ".", x, y);
    for (member, values) in &drawn {
        if view.detects(member.method) {
            line(&mut panel, member.look, values, drawn.len());
        } else {
            for v in values {
                let whisker = v.ends().map(|(low, high)| Mark::Whisker(member.look, (v.x, low), (v.x, high)));
                panel.marks.extend(whisker.into_iter().chain([Mark::Point(member.look, (v.x, v.mean))]));
            }
        }
    }
    let legend = drawn.iter().map(|(m, _)| (m.look, m.name.clone())).collect();
    let name = named(view, "good-pictures", Some(task), category);
    let title = format!("AUROC against the number of good pictures, {task}");
    (!drawn.is_empty()).then_some(Figure { name, title, panels: vec![panel], legend })
}

/// Labels at the numbers that were chosen, as far as they have room.
fn chosen<'a>(axis: Axis, values: impl Iterator<Item = &'a At>) -> Axis {
    let mut places: Vec<f64> = values.map(|v| v.x).collect();
    places.sort_by(f64::total_cmp);
    let room = (axis.high - axis.low) / 14.0;
    let mut ticks: Vec<(f64, String)> = vec![];
    for x in places {
        if ticks.last().is_none_or(|t| x - t.0 > room) {
            ticks.push((x, format!("{:.0}", 10f64.powf(x))));
        }
    }
    Axis { ticks, ..axis }
}
