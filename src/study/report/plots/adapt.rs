//! Time to adapt against AUROC: the one plot that depends on the machine.

use super::super::cast::{Cast, Member};
use super::super::chart::{Mark, Panel};
use super::super::figure::Figure;
use super::super::look::Look;
use super::super::text;
use super::super::view::View;
use super::{At, powers, shares};
use crate::study::Task;
use crate::study::analysis::{Metric, Setting};

/// The name of its file.
pub const NAME: &str = "time";

/// One figure with a panel for each data set, where times are known.
pub fn figures(view: &View, cast: &Cast) -> Vec<Figure> {
    let mut panels = vec![];
    let mut legend: Vec<(Look, String)> = vec![];
    for (_, category) in view.places(&[Task::T2]) {
        let of = |m: &Member| Some((m.look, m.name.clone(), point(view, m, category)?));
        let points: Vec<(Look, String, At)> = cast.all().filter_map(of).collect();
        panels.extend((!points.is_empty()).then(|| panel(category, &points)));
        for (look, name, _) in points {
            if !legend.contains(&(look, name.clone())) {
                legend.push((look, name));
            }
        }
    }
    let title = "Time to adapt against AUROC, measured on this machine".to_string();
    let figure = Figure { name: NAME.into(), title, panels, legend };
    if figure.panels.is_empty() { vec![] } else { vec![figure] }
}

fn panel(category: &str, points: &[(Look, String, At)]) -> Panel {
    let x = powers("seconds to adapt", points.iter().map(|p| p.2.x));
    let y = shares("AUROC, %", points.iter().map(|p| p.2.mean));
    let each = points.iter().map(|(_, name, at)| {
        let (name, seconds) = (text::shown(name), text::digits(10f64.powf(at.x)));
        format!("{name} {} after {seconds} s", text::percent(at.mean))
    });
    let about = each.collect::<Vec<_>>().join("; ") + ".";
    let mut panel = Panel::new(&format!("T2 · {category}"), about, x, y);
    for (look, _, at) in points {
        let whisker = at.ends().map(|(low, high)| Mark::Whisker(*look, (at.x, low), (at.x, high)));
        panel.marks.extend(whisker);
        panel.marks.push(Mark::Point(*look, (at.x, at.mean)));
    }
    panel
}

/// The AUROC of the setting that stands for a method, at the logarithm of its median time.
fn point<'a>(view: &View<'a>, member: &Member, category: &'a str) -> Option<At> {
    let cell = view.headline(member.method, Task::T2, category)?;
    let seconds = seconds(view, &cell.setting)?.max(1e-6);
    At::of(seconds.log10(), cell, Metric::Auroc)
}

/// The median of seconds to adapt over the repeats of a setting.
fn seconds(view: &View, setting: &Setting) -> Option<f64> {
    let name = &view.method(setting.method)?.name;
    let here = view.results.timing.iter().filter(|t| {
        t.method == *name && t.category == setting.category && t.task == setting.task && t.good == setting.good
    });
    median(here.map(|t| t.adapt_s).collect())
}

/// The median; of an even number the mean of the middle two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|v| v.is_finite());
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let (low, high) = (values.get(n.saturating_sub(1) / 2)?, values.get(n / 2)?);
    Some((low + high) / 2.0)
}
