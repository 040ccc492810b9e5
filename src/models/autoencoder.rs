//! EfficientAD's autoencoder (arXiv 2303.14535): the whole picture through a few numbers, and from these back to a map of a PDN's outputs.

use crate::engine::{Scope, Var};

/// An autoencoder of any widths, for the maps of a PDN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autoencoder {
    /// Channels of the encoder's layers; the last are the numbers that a picture becomes.
    pub encoder: [usize; 6],
    /// Channels of the decoder's layers but the last.
    pub decoder: usize,
    /// Channels of the map.
    pub outputs: usize,
    /// Whether the PDN is padded: its maps are larger then.
    pub padded: bool,
}

/// The published one, the same for both sizes of PDN.
pub const AUTOENCODER: Autoencoder =
    Autoencoder { encoder: [32, 32, 64, 64, 64, 64], decoder: 64, outputs: 384, padded: false };

/// Rows and columns of the smallest picture: what five layers halve is then 8x8, which the sixth takes whole.
pub const LEAST: usize = 256;

/// Layers of the decoder that dropout follows.
pub const DROPS: usize = 6;

/// Share of the values that dropout sets to zero.
pub const DROPPED: f32 = 0.2;

impl Autoencoder {
    /// The same with all widths divided.
    pub fn narrow(self, by: usize) -> Autoencoder {
        let by = by.max(1);
        Autoencoder {
            encoder: self.encoder.map(|w| w / by),
            decoder: self.decoder / by,
            outputs: self.outputs / by,
            ..self
        }
    }

    /// The map `[n, h, w, outputs]` for pictures `x` `[n, h, w, 3]`, preprocessed; in training `drop` is what is done to the values after
    /// each of the first [`DROPS`] layers of the decoder, told by their number.
    pub fn map<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>, drop: &dyn Fn(usize, Var<'g>) -> Var<'g>) -> Var<'g> {
        self.decoded(self.code(x, p), [x.dim(1), x.dim(2)], p, drop)
    }

    /// What pictures `x` become: `[n, 1, 1, c]` at 256x256, more places at larger sizes.
    pub fn code<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>) -> Var<'g> {
        let [inner @ .., last] = self.encoder;
        let half =
            |x: Var<'g>, (i, co): (usize, &usize)| conv(x, p, &format!("enconv{}", i + 1), [*co, 4, 2, 1]).relu();
        conv(inner.iter().enumerate().fold(x, half), p, "enconv6", [last, 8, 1, 0])
    }

    /// The map of codes, for pictures of these rows and columns.
    pub fn decoded<'g>(
        &self,
        code: Var<'g>,
        [h, w]: [usize; 2],
        p: &Scope<'g, '_>,
        drop: &dyn Fn(usize, Var<'g>) -> Var<'g>,
    ) -> Var<'g> {
        let (rows, columns) = (steps(h), steps(w));
        let step = |y: Var<'g>, (i, (rows, columns)): (usize, (usize, usize))| {
            let y = y.resize_bilinear(rows, columns);
            drop(i, conv(y, p, &format!("deconv{}", i + 1), [self.decoder, 4, 1, 2]).relu())
        };
        let y = rows.into_iter().zip(columns).enumerate().fold(code, step);
        let y = y.resize_bilinear(self.side(h), self.side(w));
        let y = conv(y, p, "deconv7", [self.decoder, 3, 1, 1]).relu();
        conv(y, p, "deconv8", [self.outputs, 3, 1, 1])
    }

    /// Rows of the map of a picture of so many, as those of the PDN.
    fn side(&self, size: usize) -> usize {
        let all = size.div_ceil(4);
        if self.padded { all } else { all.saturating_sub(8) }
    }
}

/// To how many rows each of the decoder's layers resizes what it reads, for a picture of so many: anomalib's rule, at 256 as published.
fn steps(size: usize) -> [usize; DROPS] {
    let less = |n: usize| n.saturating_sub(1);
    [less(size / 64), size / 32, less(size / 16), size / 8, less(size / 4), less(size / 2)]
}

/// A square convolution with its bias: outputs, kernel, stride, padding.
fn conv<'g>(x: Var<'g>, p: &Scope<'g, '_>, name: &str, [co, k, stride, pad]: [usize; 4]) -> Var<'g> {
    let p = p.at(name);
    x.conv2d(p.param("weight", [co, x.dim(3), k, k]), stride, pad) + p.param("bias", [co])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Graph, Named, Problem};
    use std::cell::RefCell;

    #[test]
    fn sizes_and_weights_as_published() {
        let (graph, none, dropped) = (Graph::new(), Named::new(), RefCell::new(vec![]));
        let p = Scope::new(&graph, &none);
        let map = AUTOENCODER.map(graph.input("x", [2, 256, 256, 3]), &p, &|i, y| {
            dropped.borrow_mut().push((i, y.dim(1)));
            y
        });
        graph.nodes().unwrap();
        assert_eq!(map.shape().dims(), [2, 56, 56, 384]);
        assert_eq!(*dropped.borrow(), [(0, 4), (1, 9), (2, 16), (3, 33), (4, 64), (5, 128)]);
        let asked = graph.requested().problems(&none, &[]).into_iter();
        let weights = asked.map(|p| if let Problem::Missing { wanted, .. } = p { wanted.len() } else { 0 });
        assert_eq!(weights.sum::<usize>(), 1_096_320);
    }

    #[test]
    fn maps_are_of_the_size_of_the_pdns() {
        for (h, w) in [(256, 256), (257, 300), (512, 320), (1023, 256)] {
            for padded in [false, true] {
                let (graph, none) = (Graph::new(), Named::new());
                let (p, x) = (Scope::new(&graph, &none), graph.input("x", [1, h, w, 3]));
                let pdn = crate::models::pdn::Pdn { padded, ..crate::models::pdn::SMALL };
                let autoencoder = Autoencoder { padded, ..AUTOENCODER };
                let maps = [pdn.map(x, &p.at("pdn")), autoencoder.map(x, &p.at("ae"), &|_, y| y)];
                graph.nodes().unwrap();
                assert_eq!(maps[0].shape(), maps[1].shape(), "{h}x{w}");
            }
        }
        let (graph, none) = (Graph::new(), Named::new());
        AUTOENCODER.code(graph.input("x", [1, 255, 256, 3]), &Scope::new(&graph, &none));
        assert!(graph.nodes().is_err(), "a smaller picture has no code");
    }
}
