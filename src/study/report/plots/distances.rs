//! Euclid beside cosine: a point for every setting in which a network took part with both.

use super::super::cast::Cast;
use super::super::chart::{Axis, Mark, Panel};
use super::super::figure::Figure;
use super::super::look::Look;
use super::super::text;
use super::super::theme::HUES;
use super::super::view::View;
use super::{At, shares};
use crate::study::analysis::{Cell, Metric};
use crate::study::{Method, Variant};

/// A group's points.
struct Points<'a> {
    group: &'a str,
    look: Look,
    at: Vec<(f64, f64)>,
}

/// The figure, where there is a point.
pub fn figures(view: &View, cast: &Cast) -> Vec<Figure> {
    let groups = points(view, cast);
    let all = || groups.iter().flat_map(|g| &g.at);
    if all().count() == 0 {
        return vec![];
    }
    let axis = |label: &str| shares(label, all().flat_map(|p| [p.0, p.1]));
    let (x, y) = (axis("accuracy by Euclidean distance, %"), axis("accuracy by cosine, %"));
    let each = groups.iter().map(|g| {
        let mean = g.at.iter().map(|p| p.1 - p.0).sum::<f64>() / g.at.len().max(1) as f64;
        let settings = text::count(g.at.len(), "setting");
        format!("{}: cosine less Euclid {} points on average of {settings}", text::shown(g.group), text::percent(mean))
    });
    let about = each.collect::<Vec<_>>().join("; ") + ".";
    let mut panel = Panel::new("Both accuracies", about, x, y);
    panel.height = panel.height * 5 / 4;
    let (low, high) = (panel.x.low, panel.x.high);
    panel.marks.push(Mark::Guide((low, low), (high, high), String::new()));
    for group in &groups {
        panel.marks.extend(group.at.iter().map(|&at| Mark::Point(group.look, at)));
    }
    let legend = groups.iter().map(|g| (g.look, g.group.to_string())).collect();
    let panels = vec![panel, differences(&groups)];
    let title = "Euclidean distance beside cosine: a point for each setting, the mean of its repeats".into();
    vec![Figure { name: "distances".into(), title, panels, legend }]
}

/// The same points, but upwards only what cosine has more: differences are too small to be seen beside the diagonal.
fn differences(groups: &[Points]) -> Panel {
    let all = || groups.iter().flat_map(|g| &g.at);
    let most = all().map(|p| 100.0 * (p.1 - p.0).abs()).fold(1.0, f64::max).ceil();
    let step = if most > 4.0 { (most / 2.0).ceil() } else { 1.0 };
    let steps = (most / step).ceil() as i32;
    let tick = |i: i32| (f64::from(i) * step / 100.0, format!("{:+}", f64::from(i) * step).replace("+0", "0"));
    let ticks: Vec<(f64, String)> = (-steps..=steps).map(tick).collect();
    let end = f64::from(steps) * step / 100.0;
    let y = Axis { label: "cosine less Euclid, points".into(), low: -1.04 * end, high: 1.04 * end, ticks };
    let x = shares("accuracy by Euclidean distance, %", all().map(|p| p.0));
    let mean = all().map(|p| p.1 - p.0).sum::<f64>() / all().count().max(1) as f64;
    let about = format!("On average of all settings, cosine less Euclid is {} points.", text::percent(mean));
    let mut panel = Panel::new("Their difference", about, x, y);
    panel.height = panel.height * 5 / 4;
    panel.marks.push(Mark::Guide((panel.x.low, 0.0), (panel.x.high, 0.0), String::new()));
    for group in groups {
        panel.marks.extend(group.at.iter().map(|&(x, y)| Mark::Point(group.look, (x, y - x))));
    }
    panel
}

fn points<'a>(view: &View<'a>, cast: &Cast) -> Vec<Points<'a>> {
    let mut groups: Vec<Points> = vec![];
    let plain = |m: &&Method| m.variant == Variant::Plain;
    for (number, method) in view.results.methods.iter().enumerate().filter(|(_, m)| plain(m)) {
        let euclid = matches!(method.distance.as_deref(), Some("squared" | "euclidean"));
        let partner = |m: &Method| plain(&m) && m.group == method.group && m.distance.as_deref() == Some("cosine");
        let Some(cosine) = view.results.methods.iter().position(partner).filter(|_| euclid) else { continue };
        // Squared and plain Euclidean distance give the same nearest class: once is enough.
        if groups.iter().any(|g| g.group == method.group) {
            continue;
        }
        let at = pairs(view, number, cosine);
        if !at.is_empty() {
            groups.push(Points { group: &method.group, look: Look::of(groups.len() as u8 % HUES), at });
        }
    }
    for group in &mut groups {
        let drawn = cast.learners.iter().find(|m| view.method(m.method).is_some_and(|m| m.group == group.group));
        group.look = drawn.map_or(group.look, |m| m.look);
    }
    apart(&mut groups, cast);
    groups
}

/// Groups that are not drawn elsewhere take the looks that are left.
fn apart(groups: &mut [Points], cast: &Cast) {
    let taken: Vec<Look> = cast.learners.iter().map(|m| m.look).collect();
    let mut free = (0..HUES).map(Look::of).filter(|l| !taken.contains(l)).collect::<Vec<_>>().into_iter().cycle();
    let mut seen: Vec<Look> = vec![];
    for group in groups {
        if seen.contains(&group.look) || !taken.contains(&group.look) {
            group.look = free.next().unwrap_or(group.look);
        }
        seen.push(group.look);
    }
}

/// Accuracies by both distances in each setting.
fn pairs(view: &View, euclid: usize, cosine: usize) -> Vec<(f64, f64)> {
    let same = |a: &Cell, b: &Cell| {
        let (a, b) = (&a.setting, &b.setting);
        (a.task, &a.category, a.good, a.bad, a.all) == (b.task, &b.category, b.good, b.bad, b.all)
    };
    let of = |method| view.analysis.cells.iter().filter(move |c| c.setting.method == method);
    let both = of(euclid).filter_map(|a| {
        let b = of(cosine).find(|b| same(a, b))?;
        Some((At::of(0.0, a, Metric::Acc)?.mean, At::of(0.0, b, Metric::Acc)?.mean))
    });
    both.collect()
}
