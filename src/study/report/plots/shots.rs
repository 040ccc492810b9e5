//! Accuracy against shots: T1, T2, T3 of every data set.

use super::super::cast::Cast;
use super::super::chart::{Mark, Panel};
use super::super::figure::Figure;
use super::super::text;
use super::super::view::View;
use super::{At, line, majority, named, numbers, over, shares, told};
use crate::study::Task;
use crate::study::analysis::Metric;

/// One figure for each task and data set.
pub fn figures(view: &View, cast: &Cast) -> Vec<Figure> {
    let places = view.places(&[Task::T1, Task::T2, Task::T3]);
    places.into_iter().filter_map(|(task, category)| figure(view, cast, task, category)).collect()
}

fn figure<'a>(view: &View<'a>, cast: &Cast, task: Task, category: &'a str) -> Option<Figure> {
    let by_shots = |method| over(view, method, (task, category), Metric::Acc, |c| c.setting.bad as f64);
    let lines: Vec<_> = cast.learners.iter().map(|m| (m, by_shots(m.method))).filter(|l| !l.1.is_empty()).collect();
    let values = || lines.iter().flat_map(|l| &l.1);
    let alone = [majority(view.cells(task, category)), view.classes(task, category).map(|n| 1.0 / n as f64)];
    let guides: Vec<(f64, &str)> =
        alone.into_iter().zip(["commonest class", "chance"]).filter_map(|(v, word)| Some((v?, word))).collect();
    let ends = |v: &At| v.ends().map_or([v.mean; 2], |e| [e.0, e.1]);
    let x = numbers("shots of each class", values().map(|v| v.x).collect());
    let y = shares("accuracy, %", values().flat_map(ends).chain(guides.iter().map(|g| g.0)));
    let about: Vec<String> = lines.iter().map(|(m, v)| told(&m.name, v, |x| text::count(x as usize, "shot"))).collect();
    let guided = guides.iter().map(|(v, word)| format!("{word} {}", text::percent(*v)));
    let about = about.into_iter().chain(guided).collect::<Vec<_>>().join("; ");
    let title = format!("{task} · {category}");
    let mut panel = Panel::new(&title, format!("Accuracy in percent: {about}."), x, y);
    let ends: Vec<[f64; 2]> = lines.iter().filter_map(|l| Some([l.1.first()?.mean, l.1.last()?.mean])).collect();
    guide(&mut panel, &guides, &ends);
    for (member, values) in &lines {
        line(&mut panel, member.look, values, lines.len());
    }
    let legend = lines.iter().map(|(m, _)| (m.look, m.name.clone())).collect();
    let title = format!("Accuracy against shots, {task}: {}", task.title());
    let name = named(view, "shots", Some(task), category);
    (!lines.is_empty()).then_some(Figure { name, title, panels: vec![panel], legend })
}

/// Dashed lines across, their words apart where the lines are close, and at the end where less is drawn just above.
fn guide(panel: &mut Panel, guides: &[(f64, &str)], ends: &[[f64; 2]]) {
    let close = matches!(guides, [a, b] if (a.0 - b.0).abs() < 0.06 * (panel.y.high - panel.y.low));
    let both = guides.iter().map(|g| g.1).collect::<Vec<_>>().join(", ");
    let (low, high) = (panel.x.low, panel.x.high);
    for (i, (v, word)) in guides.iter().enumerate() {
        let word = match (close, i) {
            (false, _) => word.to_string(),
            (true, 0) => both.clone(),
            (true, _) => String::new(),
        };
        let room = |end: fn(&[f64; 2]) -> f64| {
            let above = panel.y.high - panel.y.low;
            ends.iter().map(|e| (end(e) - v - 0.03 * above).abs()).fold(f64::INFINITY, f64::min)
        };
        let (from, to) = if room(|e| e[0]) > 1.5 * room(|e| e[1]) { (high, low) } else { (low, high) };
        panel.marks.push(Mark::Guide((from, *v), (to, *v), word));
    }
}
