//! The plots of a study. Each group is a function of the study and of who is drawn; what it has no numbers for it leaves out.

pub mod adapt;
pub mod confusion;
pub mod distances;
pub mod imbalance;
pub mod pictures;
pub mod roc;
pub mod shots;
pub mod two_way;

use super::chart::{Axis, Mark, Panel};
use super::look::Look;
use super::text;
use super::view::View;
use crate::study::Task;
use crate::study::analysis::{Cell, Metric};

/// A value with its interval, at a place of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At {
    /// Where.
    pub x: f64,
    /// The mean.
    pub mean: f64,
    /// Half the width of its interval.
    pub half: Option<f64>,
}

impl At {
    fn of(x: f64, cell: &Cell, metric: Metric) -> Option<At> {
        let s = cell.values.get(&metric)?;
        (x.is_finite() && s.mean.is_finite()).then_some(At { x, mean: s.mean, half: s.interval })
    }

    /// The ends of the interval, within what a share can be.
    fn ends(&self) -> Option<(f64, f64)> {
        self.half.map(|h| ((self.mean - h).max(0.0), (self.mean + h).min(1.0)))
    }
}

/// An axis of shares in percent, wide enough for all of `values`, by tens or fifths.
fn shares(label: &str, values: impl Iterator<Item = f64>) -> Axis {
    let (low, high) = values.fold((1.0f64, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
    let from = ((low * 10.0 - 0.2).floor().clamp(0.0, 9.0)) as usize;
    let to = ((high * 10.0).ceil().max(from as f64 + 1.0).min(10.0)) as usize;
    let step = if to - from > 5 { 2 } else { 1 };
    // From a whole step, so that the lowest line is an axis.
    let from = from / step * step;
    let ticks = (from..=to).step_by(step).map(|t| (t as f64 / 10.0, format!("{}", t * 10))).collect();
    // A little room above: a line at 100 % is seen whole.
    Axis { label: label.into(), low: from as f64 / 10.0, high: to as f64 / 10.0 + 0.012, ticks }
}

/// An axis of numbers that were chosen: a label at each.
fn numbers(label: &str, mut values: Vec<f64>) -> Axis {
    values.sort_by(f64::total_cmp);
    values.dedup();
    let (low, high) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(1.0));
    let pad = if high > low { 0.06 * (high - low) } else { 1.0 };
    let ticks = values.into_iter().map(|v| (v, format!("{v}"))).collect();
    Axis { label: label.into(), low: low - pad, high: high + pad, ticks }
}

/// An axis of logarithms to the base 10, labelled at powers of it and, where there are few of these, at 2 and 5 times them.
fn powers(label: &str, values: impl Iterator<Item = f64>) -> Axis {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = if low <= high { (low - 0.12, high + 0.12) } else { (0.0, 1.0) };
    let (from, to) = (low.floor() as i32, high.ceil() as i32);
    let steps: &[f64] = if high - low <= 2.6 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let all = (from..=to).flat_map(|power| steps.iter().map(move |s| (power, s * 10f64.powi(power))));
    let inside = all.filter(|(_, v)| (low..=high).contains(&v.log10()));
    let ticks = inside.map(|(power, v)| (v.log10(), format!("{v:.*}", (-power).clamp(0, 9) as usize))).collect();
    Axis { label: label.into(), low, high, ticks }
}

/// Draws values as a line with their band, and a point at each; `lines` is how many lines the panel has: where there are many, and bands
/// lie on each other, each is weaker.
fn line(panel: &mut Panel, look: Look, values: &[At], lines: usize) {
    let opacity = if lines > 4 { 0.07 } else { 0.14 };
    let band: Vec<(f64, f64, f64)> = values.iter().filter_map(|v| v.ends().map(|(l, h)| (v.x, l, h))).collect();
    if let [only] = band.as_slice() {
        panel.marks.push(Mark::Whisker(look, (only.0, only.1), (only.0, only.2)));
    } else if band.len() > 1 {
        panel.marks.push(Mark::Band(look, band, opacity));
    }
    if values.len() > 1 {
        panel.marks.push(Mark::Line(look, values.iter().map(|v| (v.x, v.mean)).collect()));
    }
    panel.marks.extend(values.iter().map(|v| Mark::Point(look, (v.x, v.mean))));
}

/// A line in words: `NAME 61.0 at 1, 70.2 at 3`.
fn told(name: &str, values: &[At], at: impl Fn(f64) -> String) -> String {
    let each: Vec<String> = values.iter().map(|v| format!("{} at {}", text::percent(v.mean), at(v.x))).collect();
    format!("{} {}", text::shown(name), each.join(", "))
}

/// Values of a method in a task and a data set over something that is read off cells, in its order, each once.
fn over<'a>(
    view: &View<'a>,
    method: usize,
    (task, category): (Task, &'a str),
    metric: Metric,
    x: impl Fn(&Cell) -> f64,
) -> Vec<At> {
    let cells = view.of(method, task, category).iter();
    let mut values: Vec<At> = cells.filter_map(|c| At::of(x(c), c, metric)).collect();
    values.sort_by(|a, b| a.x.total_cmp(&b.x));
    values.dedup_by(|later, kept| later.x == kept.x);
    values
}

/// The mean accuracy of calling everything what is commonest, of a task and a data set.
fn majority(cells: &[&Cell]) -> Option<f64> {
    cells.iter().find_map(|c| c.values.get(&Metric::Majority)).map(|s| s.mean)
}

/// The name of a file: names of data sets may be anything, also alike once they are made fit, so its number is in it.
fn named(view: &View, kind: &str, task: Option<Task>, category: &str) -> String {
    let task = task.map(|t| format!("-{t}")).unwrap_or_default();
    let slug = text::slug(category);
    let same = |other: &&&str| text::slug(other).eq_ignore_ascii_case(&slug);
    let known = view.categories();
    let before = known.iter().take_while(|c| **c != category).filter(same).count();
    let again = if before > 0 { format!("~{}", before + 1) } else { String::new() };
    format!("{kind}{task}-{slug}{again}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_what_is_drawn() {
        let axis = shares("", [0.52, 0.97].into_iter());
        assert_eq!((axis.low, axis.ticks.len(), axis.ticks[0].1.as_str()), (0.5, 6, "50"));
        let axis = shares("", [0.33, 1.0].into_iter());
        assert_eq!(
            (axis.low, axis.ticks.iter().map(|t| t.1.as_str()).collect::<Vec<_>>()),
            (0.2, vec!["20", "40", "60", "80", "100"])
        );
        assert_eq!(shares("", std::iter::empty()).ticks.len(), 6);
        assert_eq!(numbers("", vec![5.0, 1.0, 5.0]).ticks.len(), 2);
        assert!(numbers("", vec![3.0]).low < 3.0 && numbers("", vec![]).high > 0.0);
        let axis = powers("", [0.0, 2.2].into_iter());
        assert_eq!(
            axis.ticks.iter().map(|t| t.1.as_str()).collect::<Vec<_>>(),
            ["1", "2", "5", "10", "20", "50", "100", "200"]
        );
        let axis = powers("", [-2.0, 3.0].into_iter());
        assert_eq!(axis.ticks.first().map(|t| t.1.as_str()), Some("0.01"));
    }
}
