//! What was taken for what, with most shots: for each balanced task and data set the best learners.

use super::super::cast::{Cast, Member};
use super::super::chart::{Axis, Lines, Mark, Panel, Place, TWICE, WIDTH};
use super::super::figure::Figure;
use super::super::look::Look;
use super::super::text;
use super::super::view::View;
use super::named;
use crate::study::Task;
use crate::study::analysis::Confused;

/// Matrices of a task and a data set at most.
const MOST: usize = 3;
/// Room for names of classes.
const LEFT: u32 = 124;

/// One figure for each task and data set.
pub fn figures(view: &View, cast: &Cast) -> Vec<Figure> {
    let places = view.places(&[Task::T1, Task::T2, Task::T3]);
    places.into_iter().filter_map(|(task, category)| figure(view, cast, task, category)).collect()
}

fn figure<'a>(view: &View<'a>, cast: &Cast, task: Task, category: &'a str) -> Option<Figure> {
    let of = |m: &Member| {
        let setting = &view.headline(m.method, task, category)?.setting;
        let found = view.analysis.confused.iter().find(|c| c.setting == *setting)?;
        (!found.classes.is_empty()).then(|| panel(&m.name, found))
    };
    let panels: Vec<Panel> = cast.learners.iter().filter_map(of).take(MOST).collect();
    let title = format!("{task} · {category}: what each row's pictures were called, %");
    let name = named(view, "confusion", Some(task), category);
    (!panels.is_empty()).then_some(Figure { name, title, panels, legend: vec![] })
}

/// Classes as letters: `A` to `Z`, then numbers.
fn letter(i: usize) -> String {
    u8::try_from(i).ok().filter(|i| *i < 26).map_or_else(|| (i + 1).to_string(), |i| char::from(b'A' + i).to_string())
}

fn panel(name: &str, confused: &Confused) -> Panel {
    let n = confused.classes.len();
    let tick = |i: usize, text: String| (i as f64 + 0.5, text);
    let names = confused.classes.iter().enumerate();
    let y = names.clone().map(|(i, c)| tick(n - 1 - i, format!("{}  {}", text::short(c, 15), letter(i)))).collect();
    let x = (0..n).map(|i| tick(i, letter(i))).collect();
    let axis = |label: &str, ticks| Axis { label: label.into(), low: 0.0, high: n as f64, ticks };
    let rows = confused.rows.iter().zip(names).map(|(row, (i, class))| {
        let all: usize = row.iter().sum();
        let right = row.get(i).copied().unwrap_or(0);
        format!("{} {} of {all} right", text::shown(class), right)
    });
    let about = rows.collect::<Vec<_>>().join("; ") + ".";
    let mut panel = Panel::new(name, about, axis("was called", x), axis("", y));
    panel.lines = Lines::Nowhere;
    panel.left = LEFT * TWICE;
    // Tiles are square, but no higher than need be.
    panel.height = (78 * TWICE) + (WIDTH - (LEFT + 20) * TWICE) * (n.clamp(2, 9) as u32 + 1) / 12;
    for (i, row) in confused.rows.iter().enumerate() {
        let all = row.iter().sum::<usize>().max(1) as f64;
        for (j, count) in row.iter().enumerate() {
            let share = *count as f64 / all;
            let (x, y) = (j as f64, (n - 1 - i.min(n - 1)) as f64);
            // Either so weak that ink is read on it, or so strong that paper is.
            let (opacity, place) =
                if share > 0.5 { (0.7 + 0.3 * share, Place::OnColor) } else { (0.04 + 0.4 * share, Place::Middle) };
            let tile = Mark::Block(Look::of(0), (x + 0.02, y + 0.98), (x + 0.98, y + 0.02), opacity);
            panel.marks.push(tile);
            panel.marks.push(Mark::Text((x + 0.5, y + 0.5), format!("{:.0}", 100.0 * share), place));
        }
    }
    panel
}
