//! Position embeddings at another grid than the one they were trained for: cubic convolution along both axes, as two small matrices, in
//! each of the ways that publishers' programs do it.

use crate::engine::Var;
use crate::tensor::Tensor;
use std::sync::Arc;

/// How an axis of `from` positions becomes one of `to`. The ways move tokens by a tenth, so the one of a fit is the one to predict with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Positions {
    /// At `(o + 0.5) from / (to + 0.1) - 0.5`, A = -0.75, not antialiased: DINO, DINOv2 without registers, P>M>F.
    Offset,
    /// At `(o + 0.5) from / to - 0.5`, A = -0.75, not antialiased: Hugging Face's DINOv2, anomalib.
    Size,
    /// The same place with A = -0.5, the kernel widened where the grid shrinks: timm, DINOv2 with registers.
    SizeAntialiased,
}

impl Positions {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Positions::Offset => "offset",
            Positions::Size => "size",
            Positions::SizeAntialiased => "size_aa",
        }
    }

    /// The way of that name.
    pub fn named(name: &str) -> Option<Positions> {
        [Positions::Offset, Positions::Size, Positions::SizeAntialiased].into_iter().find(|p| p.name() == name)
    }

    /// The matrix `[to, from]` of one axis.
    pub fn matrix(self, from: usize, to: usize) -> Tensor {
        let row = |o| match self {
            Positions::Offset => four_taps(from, (o as f64 + 0.5) * from as f64 / (to as f64 + 0.1) - 0.5),
            Positions::Size => four_taps(from, (o as f64 + 0.5) * from as f64 / to as f64 - 0.5),
            Positions::SizeAntialiased => widened(from, to, o),
        };
        Tensor::new([to, from], (0..to).flat_map(row).map(|w| w as f32).collect())
    }

    /// Positions `[grid * grid, d]`, row by row, at `to`, rows and columns: `[rows * columns, d]`. On the grid itself they are taken as
    /// they are, whichever the way.
    pub fn resampled(self, of: Var<'_>, grid: usize, [rows, columns]: [usize; 2]) -> Var<'_> {
        if [rows, columns] == [grid; 2] {
            return of;
        }
        let d = of.dim(1);
        let axis = |to: usize| {
            let name = format!("positions.{}.{grid}to{to}", self.name());
            of.graph().weight(&name, Arc::new(self.matrix(grid, to)))
        };
        let vertical = axis(rows);
        let horizontal = if rows == columns { vertical } else { axis(columns) };
        let down = vertical.matmul(of.reshape([grid, grid * d])).reshape([rows, grid, d]);
        let across = horizontal.matmul(down.permute(&[1, 0, 2]).reshape([grid, rows * d]));
        across.reshape([columns, rows, d]).permute(&[1, 0, 2]).reshape([rows * columns, d])
    }
}

/// Keys' cubic convolution kernel (1981).
fn cubic(a: f64, u: f64) -> f64 {
    let u = u.abs();
    match u {
        _ if u < 1.0 => ((a + 2.0) * u - (a + 3.0)) * u * u + 1.0,
        _ if u < 2.0 => (((u - 5.0) * u + 8.0) * u - 4.0) * a,
        _ => 0.0,
    }
}

/// Weights of `from` positions for the place `at`: four neighbours, those beyond the border being the border's.
fn four_taps(from: usize, at: f64) -> Vec<f64> {
    const A: f64 = -0.75;
    let mut row = vec![0.0; from];
    let first = at.floor();
    for tap in -1..=2 {
        let place = first as i64 + tap;
        let inside = place.clamp(0, from as i64 - 1) as usize;
        if let Some(weight) = row.get_mut(inside) {
            *weight += cubic(A, at - place as f64);
        }
    }
    row
}

/// Weights of `from` positions for position `o` of `to`: those inside the border alone, adding up to 1.
fn widened(from: usize, to: usize, o: usize) -> Vec<f64> {
    const A: f64 = -0.5;
    let scale = from as f64 / to as f64;
    let (stretch, centre) = (scale.max(1.0), (o as f64 + 0.5) * scale);
    let [low, high] = [centre - 2.0 * stretch, centre + 2.0 * stretch].map(|edge| (edge + 0.5).max(0.0) as usize);
    let weight = |i: usize| match (low..high).contains(&i) {
        true => cubic(A, (i as f64 - centre + 0.5) / stretch),
        false => 0.0,
    };
    let all: Vec<f64> = (0..from).map(weight).collect();
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|w| w / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAYS: [Positions; 3] = [Positions::Offset, Positions::Size, Positions::SizeAntialiased];

    #[test]
    fn weights_add_up_and_the_same_grid_stays() {
        for way in WAYS {
            assert_eq!(Positions::named(way.name()), Some(way));
            for (from, to) in [(14, 8), (14, 14), (14, 28), (37, 16), (16, 37), (5, 1), (1, 3)] {
                let matrix = way.matrix(from, to);
                for row in matrix.data.chunks(from) {
                    assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{way:?} {from} to {to}: {row:?}");
                }
            }
            let same = way.matrix(6, 6);
            let identity = Tensor::from_fn([6, 6], |i| if i / 6 == i % 6 { 1.0 } else { 0.0 });
            assert_eq!(same.data == identity.data, way != Positions::Offset, "{way:?}");
        }
        assert_eq!(Positions::named("bilinear"), None);
    }
}
