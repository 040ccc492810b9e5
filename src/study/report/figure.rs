//! A figure: panels and who is in them, as a file of its own and as a part of the page. Both have the same drawing.

use super::chart::{Panel, TWICE, WIDTH};
use super::look::{Look, SWATCH};
use super::{text, theme};
use crate::error::Result;
use maud::{Markup, PreEscaped, html};
use std::fmt::Write;

/// Space between panels of a file.
const GAP: u32 = 12;
/// Height of a line of a file's legend.
const ROW: u32 = 22;

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The name of its file, without folder and extension.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What is drawn.
    pub panels: Vec<Panel>,
    /// Who is drawn, and how.
    pub legend: Vec<(Look, String)>,
}

impl Figure {
    /// A picture that stands alone.
    ///
    /// # Errors
    /// [`crate::Error::Output`] where it cannot be drawn: a bug.
    pub fn file(&self) -> Result<String> {
        let columns = self.panels.len().clamp(1, 2) as u32;
        let each = self.panels.iter().map(|p| p.width).max().unwrap_or(WIDTH) / TWICE;
        let across = columns * each + (columns + 1) * GAP;
        let (body, bottom) = self.panels_of_file(columns, each)?;
        let (legend, tall) = self.legend_of_file(across, bottom)?;
        let total = bottom + tall + GAP;
        let (size, most) = if columns > 1 { (15, 88) } else { (13, 52) };
        let title = escaped(&self.title);
        let about: Vec<String> = self.panels.iter().map(|p| escaped(&format!("{}: {}", p.title, p.about))).collect();
        Ok([
            format!("<svg class=\"plot\" width=\"{across}\" height=\"{total}\" viewBox=\"0 0 {across} {total}\" role=\"img\" "),
            format!("aria-label=\"{title}\" xmlns=\"http://www.w3.org/2000/svg\">\n<title>{title}</title>\n"),
            format!("<desc>{}</desc>\n<style>\n{}</style>\n", about.join(" "), theme::css()),
            format!("<rect class=\"f-paper\" width=\"{across}\" height=\"{total}\" fill=\"#fdfdfb\"/>\n"),
            line_of_text(GAP + 4, 23, size, true, &text::short(&self.title, most)),
            body,
            legend,
            "</svg>\n".into(),
        ]
        .concat())
    }

    /// The panels of a file in so many columns, and where they end.
    fn panels_of_file(&self, columns: u32, each: u32) -> Result<(String, u32)> {
        let mut body = String::new();
        let mut top = 34;
        for row in self.panels.chunks(columns as usize) {
            for (column, panel) in (0..).zip(row) {
                let (x, w, h) = (GAP + column * (each + GAP), panel.width, panel.height);
                let size = format!("width=\"{}\" height=\"{}\" viewBox=\"0 0 {w} {h}\"", w / TWICE, h / TWICE);
                let _ = write!(body, "<svg x=\"{x}\" y=\"{top}\" {size}>\n{}</svg>\n", panel.inside()?);
            }
            top += row.iter().map(|p| p.height / TWICE).max().unwrap_or(0) + GAP;
        }
        Ok((body, top))
    }

    /// The legend of a file: as many columns as panels, top to bottom.
    fn legend_of_file(&self, across: u32, top: u32) -> Result<(String, u32)> {
        let columns = (across / 360).max(1);
        let each = across / columns;
        let rows = (self.legend.len() as u32).div_ceil(columns);
        let mut out = String::new();
        for (i, (look, name)) in (0u32..).zip(&self.legend) {
            let (x, y) = (GAP + 4 + i / rows * each, top + i % rows * ROW);
            let (w, h) = SWATCH;
            let _ = write!(
                out,
                "<svg x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {w} {h}\">\n{}</svg>\n{}",
                w / TWICE,
                h / TWICE,
                look.swatch()?,
                line_of_text(x + w / TWICE + 8, y + 12, 12, false, &text::short(name, 52))
            );
        }
        Ok((out, rows * ROW))
    }

    /// A part of the page.
    ///
    /// # Errors
    /// As [`Figure::file`].
    pub fn page(&self) -> Result<Markup> {
        let mut panels = vec![];
        for panel in &self.panels {
            panels.push((panel, panel.inside()?));
        }
        let one = panels.len() == 1;
        Ok(html! {
            figure .several[!one] .many[panels.len() > 3] {
                @if !one { figcaption { (text::shown(&self.title)) } }
                div .panels {
                    @for (panel, inside) in &panels {
                        svg .plot viewBox={ "0 0 " (panel.width) " " (panel.height) } role="img"
                            aria-label={ (text::shown(&self.title)) ". " (panel.title) ". " (panel.about) } {
                            title { (text::shown(&self.title)) ": " (panel.title) }
                            (PreEscaped(inside))
                        }
                    }
                }
            }
        })
    }
}

/// A list of who is drawn in figures, each once.
///
/// # Errors
/// As [`Figure::file`].
pub fn legend(figures: &[Figure]) -> Result<Markup> {
    let mut known: Vec<&(Look, String)> = vec![];
    for entry in figures.iter().flat_map(|f| &f.legend) {
        if !known.contains(&entry) {
            known.push(entry);
        }
    }
    let mut entries = vec![];
    for (look, name) in known {
        entries.push((look.swatch()?, name));
    }
    let (w, h) = SWATCH;
    Ok(html! {
        @if !entries.is_empty() {
            ul .legend {
                @for (swatch, name) in &entries {
                    li {
                        svg .plot.swatch viewBox={ "0 0 " (w) " " (h) } aria-hidden="true" { (PreEscaped(swatch)) }
                        span { (text::shown(name)) }
                    }
                }
            }
        }
    })
}

/// For XML: what plotters does with text that it draws.
fn escaped(text: &str) -> String {
    html! { (text::shown(text)) }.into_string()
}

fn line_of_text(x: u32, y: u32, size: u32, bold: bool, words: &str) -> String {
    let bold = if bold { " font-weight=\"bold\"" } else { "" };
    format!(
        "<text x=\"{x}\" y=\"{y}\" font-family=\"sans-serif\" font-size=\"{size}\"{bold} fill=\"#1d1f23\" class=\"f-ink\">{}</text>\n",
        escaped(words)
    )
}
