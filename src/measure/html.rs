//! A profile as one page that needs nothing else: no script, style, font or picture from anywhere.

use super::ceilings::Ceilings;
use super::profile::{Profile, Row, together};
use super::roofline::svg;

/// What is shown above the tables.
#[derive(Debug, Default)]
pub struct PageHead {
    /// What was profiled.
    pub title: String,
    /// Lines about device, driver and conditions.
    pub lines: Vec<String>,
    /// What limits it.
    pub sentence: String,
    /// Name and p50, p95, p99 in milliseconds of the parts of a run.
    pub latency: Vec<(String, [f64; 3])>,
    /// Name and milliseconds of what happened once, up to the first result, in its order.
    pub start: Vec<(&'static str, f64)>,
}

impl PageHead {
    /// Milliseconds up to the first result.
    pub fn started(&self) -> f64 {
        self.start.iter().map(|part| part.1).sum()
    }
}

/// The page.
pub fn page(profile: &Profile, ceilings: &Ceilings, head: &PageHead) -> String {
    let lines: String = head.lines.iter().map(|l| format!("<p class=\"quiet\">{}</p>\n", escape(l))).collect();
    let section = |title: &str, rows: &[Row]| format!("<h2>{title}</h2>\n{}", table(rows));
    let by = |name: fn(&Row) -> &str| together(&profile.rows, ceilings, name);
    [
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">".into(),
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">".into(),
        // An icon of its own, so that the browser requests none.
        "<link rel=\"icon\" href=\"data:,\">".into(),
        format!("<title>{}</title><style>\n{}</style></head><body>", escape(&head.title), include_str!("profile.css")),
        format!("<h1>{}</h1>\n{lines}<p class=\"sentence\">{}</p>", escape(&head.title), escape(&head.sentence)),
        latency(&head.latency),
        start(head),
        format!("<h2>Roofline</h2>\n{}", svg(&profile.rows, ceilings, escape)),
        section("By node", &profile.rows),
        section("By op", &by(|r| &r.op)),
        section("By shader", &by(|r| &r.shader)),
        format!("<script>\n{}</script></body></html>\n", include_str!("profile.js")),
    ]
    .join("\n")
}

fn latency(rows: &[(String, [f64; 3])]) -> String {
    let row = |(name, p): &(String, [f64; 3])| {
        let cells: String = p.iter().map(|v| format!("<td>{v:.3}</td>")).collect();
        format!("<tr><td>{}</td>{cells}</tr>", escape(name))
    };
    let body: String = rows.iter().map(row).collect();
    format!(
        "<h2>A run, milliseconds</h2>\n<div class=\"wide\"><table><thead><tr>{}</tr></thead><tbody>{body}</tbody></table></div>",
        heads(&["part", "p50", "p95", "p99"])
    )
}

fn start(head: &PageHead) -> String {
    let all = head.started().max(1e-9);
    let row = |(name, ms): &(&str, f64)| {
        let percent = 100.0 * ms / all;
        let share =
            format!("<td class=\"share\" data-v=\"{percent}\" style=\"--part:{percent:.1}%\">{percent:.1} %</td>");
        format!("<tr><td class=\"words\">{}</td><td>{ms:.1}</td>{share}</tr>", escape(name))
    };
    let body: String = head.start.iter().map(row).collect();
    format!(
        "<h2>To the first result, {all:.1} milliseconds</h2>\n<div class=\"wide\"><table><thead><tr>{}</tr></thead><tbody>{body}</tbody></table></div>",
        heads(&["part", "ms", "share"])
    )
}

fn table(rows: &[Row]) -> String {
    let names =
        ["node", "calls", "µs", "p95", "share", "GFLOP/s", "GB/s", "% of ceiling", "ceiling", "shape", "kernel"];
    let body: String = rows.iter().map(line).collect();
    format!("<div class=\"wide\"><table><thead><tr>{}</tr></thead><tbody>\n{body}</tbody></table></div>", heads(&names))
}

fn heads(names: &[&str]) -> String {
    let text = |n: &&str| if matches!(*n, "ceiling" | "shape" | "kernel") { " class=\"text\"" } else { "" };
    names.iter().map(|n| format!("<th{}><button>{n}</button></th>", text(n))).collect()
}

fn line(r: &Row) -> String {
    let number = |v: f64, digits: usize| format!("<td data-v=\"{v}\">{v:.digits$}</td>");
    let shape: Vec<String> = r.shape.iter().map(usize::to_string).collect();
    let percent = 100.0 * r.share;
    [
        format!("<tr><td>{}</td><td>{}</td>", escape(&r.node), r.calls),
        number(r.us, 1),
        number(r.us_p95, 1),
        format!("<td class=\"share\" data-v=\"{percent}\" style=\"--part:{percent:.1}%\">{percent:.1} %</td>"),
        number(r.gflops, 1),
        number(r.gbs, 1),
        number(100.0 * r.of_ceiling, 0),
        format!("<td class=\"text\">{}</td><td class=\"text\">{}</td>", r.bound, shape.join("x")),
        format!("<td class=\"text\">{}</td></tr>\n", escape(&r.kernel)),
    ]
    .concat()
}

/// Names come from untrusted files.
fn escape(text: &str) -> String {
    let safe = |c: char| match c {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        '\'' => "&#39;".into(),
        c => c.to_string(),
    };
    text.chars().map(safe).collect()
}
