//! What more good shots do: T4 and T5 of every data set, four metrics beside each other, plain and corrected.

use super::super::cast::Cast;
use super::super::chart::{Panel, TWICE, WIDTH};
use super::super::figure::Figure;
use super::super::look::Look;
use super::super::text;
use super::super::view::View;
use super::{At, line, named, numbers, over, shares, told};
use crate::study::Task;
use crate::study::analysis::Metric;

/// Lines of a panel at most: with their bands, more are not told apart.
const MOST: usize = 6;

const METRICS: [(Metric, &str); 4] = [
    (Metric::Acc, "accuracy, %"),
    (Metric::Tpr, "TPR: defects found, %"),
    (Metric::Tnr, "TNR: good kept, %"),
    (Metric::Auroc, "AUROC: ranking, %"),
];

/// One figure of four panels for each task and data set.
pub fn figures(view: &View, cast: &Cast) -> Vec<Figure> {
    let places = view.places(&[Task::T4, Task::T5]);
    places.into_iter().filter_map(|(task, category)| figure(view, cast, task, category)).collect()
}

/// Who is drawn: learners, and behind each its corrected form.
fn lines(cast: &Cast) -> Vec<(usize, Look, String)> {
    let both = cast.learners.iter().flat_map(|m| {
        let corrected = m.corrected.as_ref().map(|(method, name)| (*method, m.hollow(), name.clone()));
        [Some((m.method, m.look, m.name.clone())), corrected]
    });
    both.flatten().take(MOST).collect()
}

fn figure<'a>(view: &View<'a>, cast: &Cast, task: Task, category: &'a str) -> Option<Figure> {
    let lines = lines(cast);
    let values = |method, metric| over(view, method, (task, category), metric, |c| c.setting.good as f64);
    let ends = |v: &At| v.ends().map_or([v.mean; 2], |e| [e.0, e.1]);
    // One scale for all four: what falls and what rises is compared by eye.
    let all = lines.iter().flat_map(|l| METRICS.iter().flat_map(|m| values(l.0, m.0)));
    let y = shares("", all.flat_map(|v| ends(&v)));
    let mut panels = vec![];
    let mut legend = vec![];
    for (metric, title) in METRICS {
        let drawn: Vec<_> = lines.iter().map(|l| (l, values(l.0, metric))).filter(|l| !l.1.is_empty()).collect();
        let x = numbers("good shots", drawn.iter().flat_map(|l| &l.1).map(|v| v.x).collect());
        let words = |x: f64| text::count(x as usize, "good shot");
        let about: Vec<String> = drawn.iter().map(|(l, v)| told(&l.2, v, words)).collect();
        let mut panel = Panel::new(title, format!("In percent: {}.", about.join("; ")), x, y.clone());
        (panel.width, panel.left) = (WIDTH * 3 / 4, 40 * TWICE);
        for ((_, look, name), values) in &drawn {
            line(&mut panel, *look, values, drawn.len());
            if !legend.contains(&(*look, name.clone())) {
                legend.push((*look, name.clone()));
            }
        }
        panels.extend((!drawn.is_empty()).then_some(panel));
    }
    let title = format!("{task} · {category}: {}", task.title());
    let name = named(view, "imbalance", Some(task), category);
    (!panels.is_empty()).then_some(Figure { name, title, panels, legend })
}
