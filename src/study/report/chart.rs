//! A panel: axes and what is drawn between them, as the inside of an SVG picture.

use super::look::Look;
use super::text;
use super::theme::{Paint, themed};
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A panel is drawn at twice the size at which it is shown, since plotters knows whole pixels only.
pub const TWICE: u32 = 2;
/// Width of a panel: on a phone it is shrunk by a tenth only, and text stays readable.
pub const WIDTH: u32 = 400 * TWICE;
/// Height of most panels.
pub const HEIGHT: u32 = 280 * TWICE;
/// Size of labels; plotters divides it by 1.24.
const SIZE: f64 = 12.0 * 1.24 * TWICE as f64;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Axes = Cartesian2d<Axis, Axis>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Axes>;

/// An axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What is along it; may be empty.
    pub label: String,
    /// Where it begins.
    pub low: f64,
    /// Where it ends, beyond `low`.
    pub high: f64,
    /// Where there are labels, and these.
    pub ticks: Vec<(f64, String)>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { vec![] } else { self.ticks.iter().map(|t| t.0).collect() }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

/// Something that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// An interval along a line, as x, low, high, of this opacity.
    Band(Look, Vec<(f64, f64, f64)>, f64),
    /// A line.
    Line(Look, Vec<(f64, f64)>),
    /// A point.
    Point(Look, (f64, f64)),
    /// An interval upwards at x, or to the right at y.
    Whisker(Look, (f64, f64), (f64, f64)),
    /// A dashed line, with a word at its end.
    Guide((f64, f64), (f64, f64), String),
    /// A bar or tile from a corner to the other, of this opacity.
    Block(Look, (f64, f64), (f64, f64), f64),
    /// Text, in the middle of a point or to the right of it.
    Text((f64, f64), String, Place),
}

/// Where text stands, and what it lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the middle of a point.
    Middle,
    /// In the middle of a point, on a strong colour.
    OnColor,
    /// To the right of it.
    Right,
}

/// A panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What stands above it.
    pub title: String,
    /// In words, for those who do not see it.
    pub about: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// In the order in which it is drawn.
    pub marks: Vec<Mark>,
    /// Width, as drawn.
    pub width: u32,
    /// Height, as drawn.
    pub height: u32,
    /// Room for labels on the left, as drawn.
    pub left: u32,
    /// Lines across: at ticks of `y`, or of `x`, or none.
    pub lines: Lines,
}

/// Where a panel has lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Across, at ticks of y.
    Across,
    /// Upwards, at ticks of x.
    Upwards,
    /// Nowhere.
    Nowhere,
}

impl Panel {
    /// A panel of the usual size.
    pub fn new(title: &str, about: String, x: Axis, y: Axis) -> Panel {
        let title = text::short(title, 46);
        Panel {
            title,
            about,
            x,
            y,
            marks: vec![],
            width: WIDTH,
            height: HEIGHT,
            left: 54 * TWICE,
            lines: Lines::Across,
        }
    }

    /// What is inside of its SVG element.
    ///
    /// # Errors
    /// [`Error::Output`] where it cannot be drawn: a bug.
    pub fn inside(&self) -> Result<String> {
        inside((self.width, self.height), |root| self.draw(root))
    }

    fn draw(&self, root: &Area) -> std::result::Result<(), String> {
        let title = words(SIZE * 1.08, Paint::Ink).pos(Pos::new(HPos::Left, VPos::Top));
        let title = TextStyle { font: title.font.style(FontStyle::Bold), ..title };
        root.draw(&Text::new(self.title.clone(), (16, 10), title)).map_err(told)?;
        let mut builder = ChartBuilder::on(root);
        builder.margin_top(30 * TWICE).margin_right(16 * TWICE).margin_bottom(6 * TWICE).margin_left(4 * TWICE);
        let below = if self.x.label.is_empty() { 22 } else { 37 };
        builder.x_label_area_size(below * TWICE).y_label_area_size(self.left);
        let mut chart = builder.build_cartesian_2d(self.x.clone(), self.y.clone()).map_err(told)?;
        self.mesh(&mut chart)?;
        self.marks.iter().try_for_each(|mark| draw(&mut chart, mark))
    }

    fn mesh(&self, chart: &mut Chart) -> std::result::Result<(), String> {
        let label =
            |axis: &Axis, at: f64| axis.ticks.iter().find(|t| t.0 == at).map(|t| t.1.clone()).unwrap_or_default();
        let (x, y) = (|v: &f64| label(&self.x, *v), |v: &f64| label(&self.y, *v));
        let mut mesh = chart.configure_mesh();
        if self.lines != Lines::Upwards {
            mesh.disable_x_mesh();
        }
        if self.lines != Lines::Across {
            mesh.disable_y_mesh();
        }
        mesh.x_label_formatter(&x).y_label_formatter(&y).label_style(words(SIZE, Paint::Quiet));
        mesh.x_desc(self.x.label.as_str()).y_desc(self.y.label.as_str()).axis_desc_style(words(SIZE, Paint::Quiet));
        mesh.bold_line_style(Paint::Rule.whole().stroke_width(2)).axis_style(Paint::Quiet.whole().stroke_width(2));
        mesh.light_line_style(TRANSPARENT).set_all_tick_mark_size(6);
        mesh.draw().map_err(told)
    }
}

/// The inside of an SVG picture on which something draws.
pub fn inside(size: (u32, u32), draw: impl FnOnce(&Area) -> std::result::Result<(), String>) -> Result<String> {
    let mut drawn = String::new();
    let root = SVGBackend::with_string(&mut drawn, size).into_drawing_area();
    draw(&root)
        .and_then(|()| root.present().map_err(told))
        .map_err(|e| Error::Output(format!("a plot cannot be drawn: {e}")))?;
    drop(root);
    let body = drawn.split_once('\n').map_or("", |parts| parts.1);
    let body = body.trim_end().strip_suffix("</svg>").unwrap_or(body);
    Ok(themed(&tidy(body)))
}

/// Without line ends around text and spaces behind points, which plotters writes.
fn tidy(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    for line in body.split_inclusive('\n') {
        out.push_str(if line.starts_with("<text ") { line.trim_end_matches('\n') } else { line });
    }
    out.replace(" \"/>", "\"/>").replace("\n</text>", "</text>").replace(" opacity=\"1\"", "")
}

fn told(e: impl std::fmt::Display) -> String {
    e.to_string()
}

/// A style of text.
pub fn words(size: f64, paint: Paint) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&paint.whole())
}

fn draw(chart: &mut Chart, mark: &Mark) -> std::result::Result<(), String> {
    let area = chart.plotting_area();
    match mark {
        Mark::Band(look, points, opacity) => {
            let low = points.iter().map(|&(x, low, _)| (x, low));
            let high = points.iter().rev().map(|&(x, _, high)| (x, high));
            let edge: Vec<(f64, f64)> = low.chain(high).collect();
            area.draw(&Polygon::new(edge, look.paint.whole().mix(*opacity))).map_err(told)
        }
        Mark::Line(look, points) => area.draw(&PathElement::new(points.clone(), look.stroke())).map_err(told),
        Mark::Point(look, at) => look.put(area, *at).map_err(told),
        Mark::Whisker(look, from, to) => {
            area.draw(&PathElement::new(vec![*from, *to], look.paint.whole().stroke_width(3))).map_err(told)
        }
        Mark::Guide(from, to, word) => {
            let style = Paint::Quiet.dashed().stroke_width(3);
            area.draw(&PathElement::new(vec![*from, *to], style)).map_err(told)?;
            // Its word stands inside: a line to the left has it on the left.
            let across = if to.0 < from.0 { HPos::Left } else { HPos::Right };
            let place = words(SIZE * 0.9, Paint::Quiet).pos(Pos::new(across, VPos::Bottom));
            area.draw(&Text::new(word.clone(), *to, place)).map_err(told)
        }
        Mark::Block(look, from, to, opacity) => {
            let style = look.paint.whole().mix(*opacity);
            if look.hollow {
                let edge = vec![*from, (from.0, to.1), *to, (to.0, from.1), *from];
                return area.draw(&PathElement::new(edge, style.stroke_width(3))).map_err(told);
            }
            area.draw(&Rectangle::new([*from, *to], style.filled())).map_err(told)
        }
        Mark::Text(at, text, place) => {
            let paint = if *place == Place::OnColor { Paint::Paper } else { Paint::Ink };
            let across = if *place == Place::Right { HPos::Left } else { HPos::Center };
            let style = words(SIZE * 0.94, paint).pos(Pos::new(across, VPos::Center));
            area.draw(&Text::new(text.clone(), *at, style)).map_err(told)
        }
    }
}
