//! The roofline: every dispatch by FLOP per byte and GFLOP/s, under the ceilings of memory and arithmetic, both axes logarithmic.

use super::ceilings::Ceilings;
use super::profile::Row;

/// The plane that the points are in.
struct Plane {
    x: [f64; 2],
    y: [f64; 2],
    copy: f64,
    arithmetic: f64,
}

impl Plane {
    /// Wide enough for all rows that compute, and the ridge.
    fn around(rows: &[Row], ceilings: &Ceilings) -> Plane {
        let (copy, arithmetic) = (ceilings.copy.rate.max(1e-9), ceilings.arithmetic.rate.max(1e-9));
        let points: Vec<[f64; 2]> = rows.iter().filter_map(point).collect();
        let range = |axis: usize, with: f64| {
            let values = points.iter().map(|p| p[axis]).chain([with]);
            let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
            [(low / 2.0).log10(), (high * 2.0).log10()]
        };
        Plane { x: range(0, arithmetic / copy), y: range(1, arithmetic), copy, arithmetic }
    }

    /// From 0 to 1, to the right and upwards.
    fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let at = |v: f64, [low, high]: [f64; 2]| ((v.max(1e-12).log10() - low) / (high - low)).clamp(0.0, 1.0);
        [at(x, self.x), at(y, self.y)]
    }

    fn roof(&self, x: f64) -> f64 {
        (x * self.copy).min(self.arithmetic)
    }
}

/// FLOP per byte and GFLOP/s; `None` for dispatches that only move data.
fn point(row: &Row) -> Option<[f64; 2]> {
    (row.flops > 0 && row.us > 0.0).then(|| [row.flops as f64 / row.bytes.max(1) as f64, row.gflops])
}

/// The plot in characters: `o` is a dispatch, `*` several, `-` and `/` are the ceilings.
pub fn text(rows: &[Row], ceilings: &Ceilings) -> String {
    const W: usize = 72;
    const H: usize = 14;
    let plane = Plane::around(rows, ceilings);
    let mut grid = vec![vec![' '; W]; H];
    let cell =
        |[x, y]: [f64; 2]| [(x * (W - 1) as f64).round() as usize, ((1.0 - y) * (H - 1) as f64).round() as usize];
    for column in 0..W {
        let log = plane.x[0] + (plane.x[1] - plane.x[0]) * column as f64 / (W - 1) as f64;
        let x = 10f64.powf(log);
        let roof = plane.roof(x);
        let [c, r] = cell(plane.place([x, roof]));
        let mark = if roof < plane.arithmetic { '/' } else { '-' };
        grid.get_mut(r).and_then(|row| row.get_mut(c)).into_iter().for_each(|g| *g = mark);
    }
    for p in rows.iter().filter_map(point) {
        let [c, r] = cell(plane.place(p));
        let seen = grid.get_mut(r).and_then(|row| row.get_mut(c));
        seen.into_iter().for_each(|g| *g = if matches!(g, 'o' | '*') { '*' } else { 'o' });
    }
    let mut lines = vec![format!("{:>9.1} GFLOP/s", 10f64.powf(plane.y[1]))];
    lines.extend(grid.into_iter().map(|row| format!("  | {}", row.into_iter().collect::<String>().trim_end())));
    lines.push(format!("  +-{}", "-".repeat(W)));
    let (low, high) = (10f64.powf(plane.x[0]), 10f64.powf(plane.x[1]));
    lines.push(format!("    {low:<12.2}{:^48}{high:>12.1}", "FLOP per byte"));
    lines.join("\n")
}

/// The plot as SVG that takes its colours from the page; `escape` makes text safe.
pub fn svg(rows: &[Row], ceilings: &Ceilings, escape: impl Fn(&str) -> String) -> String {
    const W: f64 = 720.0;
    const H: f64 = 360.0;
    const EDGE: f64 = 48.0;
    let plane = Plane::around(rows, ceilings);
    let at = |p: [f64; 2]| {
        let [x, y] = plane.place(p);
        [EDGE + x * (W - 2.0 * EDGE), H - EDGE - y * (H - 2.0 * EDGE)]
    };
    let [left, ridge, right] = [10f64.powf(plane.x[0]), plane.arithmetic / plane.copy, 10f64.powf(plane.x[1])];
    let corners = [left, ridge, right].map(|x| at([x, plane.roof(x)]));
    let path: Vec<String> = corners.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
    let mut parts = vec![
        format!(r#"<svg viewBox="0 0 {W} {H}" role="img" aria-label="roofline"><g class="axis">"#),
        grid(&plane, at, [W, H, EDGE]),
        format!(r#"</g><polyline class="roof" points="{}"/>"#, path.join(" ")),
    ];
    for row in rows {
        let Some(p) = point(row) else { continue };
        let ([x, y], title) = (at(p), escape(&format!("{}: {:.0} us, {:.1} GFLOP/s", row.node, row.us, row.gflops)));
        let radius = 3.0 + 14.0 * row.share.sqrt();
        parts.push(format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}"><title>{title}</title></circle>"#));
    }
    parts.push("</svg>".into());
    parts.join("\n")
}

/// Lines at powers of ten with their numbers, and what the axes mean.
fn grid(plane: &Plane, at: impl Fn([f64; 2]) -> [f64; 2], [w, h, edge]: [f64; 3]) -> String {
    let powers = |[low, high]: [f64; 2]| (low.ceil() as i32..=high.floor() as i32).map(|e| 10f64.powi(e));
    let mut parts = vec![];
    for v in powers(plane.x) {
        let x = at([v, 1.0])[0];
        parts.push(format!(r#"<line x1="{x:.1}" x2="{x:.1}" y1="{edge}" y2="{:.1}"/>"#, h - edge));
        parts.push(format!(r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{v}</text>"#, h - edge + 16.0));
    }
    for v in powers(plane.y) {
        let y = at([1.0, v])[1];
        parts.push(format!(r#"<line x1="{edge}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/>"#, w - edge));
        parts.push(format!(r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{v}</text>"#, edge - 6.0, y + 4.0));
    }
    parts.push(format!(r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">FLOP per byte</text>"#, w / 2.0, h - 8.0));
    parts.push(format!(r#"<text x="{edge}" y="{:.1}">GFLOP/s</text>"#, edge - 12.0));
    parts.join("\n")
}
