//! How a method looks wherever it is drawn: a colour, a shape, and whether it is hollow and dashed.

use super::chart;
use super::theme::Paint;
use crate::error::Result;
use plotters::coord::{CoordTranslate, Shift};
use plotters::element::{EmptyElement, PathElement, Polygon};
use plotters::prelude::{DrawingArea, SVGBackend};
use plotters::style::{Color, ShapeStyle};

/// Width and height of a [`Look::swatch`], as drawn.
pub const SWATCH: (u32, u32) = (60, 28);

/// How a method looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its colour.
    pub paint: Paint,
    /// The number of its shape.
    pub shape: u8,
    /// Whether its points are hollow and its lines dashed: of two that belong together, the corrected one.
    pub hollow: bool,
}

/// Corners of shapes, within 10 to every side of a point: circle, square, triangles, diamond, cross, star, hourglass.
const SHAPES: [&[(i32, i32)]; 8] = [
    &[(9, 0), (8, 5), (5, 8), (0, 9), (-5, 8), (-8, 5), (-9, 0), (-8, -5), (-5, -8), (0, -9), (5, -8), (8, -5)],
    &[(-8, -8), (8, -8), (8, 8), (-8, 8)],
    &[(0, -10), (10, 8), (-10, 8)],
    &[(0, -11), (11, 0), (0, 11), (-11, 0)],
    &[(0, 10), (10, -8), (-10, -8)],
    &[
        (-3, -10),
        (3, -10),
        (3, -3),
        (10, -3),
        (10, 3),
        (3, 3),
        (3, 10),
        (-3, 10),
        (-3, 3),
        (-10, 3),
        (-10, -3),
        (-3, -3),
    ],
    &[(0, -11), (3, -4), (11, -4), (5, 2), (7, 10), (0, 5), (-7, 10), (-5, 2), (-11, -4), (-3, -4)],
    &[(-9, -9), (9, -9), (2, 0), (9, 9), (-9, 9), (-2, 0)],
];

impl Look {
    /// The look of the method with this number among those that are drawn.
    pub fn of(number: u8) -> Look {
        Look { paint: Paint::Hue(number), shape: number, hollow: false }
    }

    /// Its line.
    pub fn stroke(&self) -> ShapeStyle {
        let color = if self.hollow { self.paint.dashed() } else { self.paint.whole() };
        color.stroke_width(4)
    }

    /// Draws its point.
    pub(super) fn put<'a, C: CoordTranslate>(
        &self,
        area: &DrawingArea<SVGBackend<'a>, C>,
        at: C::From,
    ) -> std::result::Result<(), String>
    where
        C::From: Clone,
    {
        let corners = SHAPES.get(usize::from(self.shape) % SHAPES.len()).copied().unwrap_or_default().to_vec();
        let inside = if self.hollow { Paint::Paper } else { self.paint };
        let edge: Vec<(i32, i32)> = corners.iter().chain(corners.first()).copied().collect();
        let point = EmptyElement::at(at)
            + Polygon::new(corners, inside.whole().filled())
            + PathElement::new(edge, self.paint.whole().stroke_width(3));
        area.draw(&point).map_err(|e| e.to_string())
    }

    /// A line with a point: the inside of an SVG picture of the size [`SWATCH`].
    pub fn swatch(&self) -> Result<String> {
        chart::inside(SWATCH, |root: &DrawingArea<SVGBackend<'_>, Shift>| {
            let line = PathElement::new(vec![(2, 14), (58, 14)], self.stroke());
            root.draw(&line).map_err(|e| e.to_string())?;
            self.put(root, (30, 14))
        })
    }
}
