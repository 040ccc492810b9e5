//! Pictures of three classes: tiles of the photographs of bricks, grass and gravel. No two of them share a pixel.

use super::{BRICK, FOREIGN, TILE, tile};
use crate::data::{Limits, Picture};
use crate::error::Result;
use crate::random;

/// Tiles of each class that are learnt from.
const SHOTS: usize = 5;

/// One tile.
#[derive(Clone, Debug)]
pub struct Tile {
    /// What it shows.
    pub class: &'static str,
    /// Whether it is one of those to learn from.
    pub support: bool,
    /// Where in the photograph it is, in tiles from the left and from above.
    pub place: [usize; 2],
    /// The picture.
    pub picture: Picture,
}

/// All tiles: of each class 5 to learn from, drawn at random, and 11 others.
///
/// # Errors
/// None, as long as the program is intact.
pub fn tiles() -> Result<Vec<Tile>> {
    let [grass, gravel] = FOREIGN;
    let mut all = vec![];
    for (class, bytes) in [("brick", BRICK), ("grass", grass), ("gravel", gravel)] {
        let whole = Picture::decode(bytes, class, Limits::default())?;
        let (columns, rows) = (whole.width / TILE, whole.height / TILE);
        let support = random::distinct(class, SHOTS, columns * rows);
        all.extend((0..columns * rows).map(|i| {
            let [x, y] = [i % columns, i / columns];
            let picture = tile(&whole, [x * TILE, y * TILE, TILE, TILE]);
            Tile { class, support: support.contains(&i), place: [x, y], picture }
        }));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_of_sixteen_tiles_of_each_class_are_learnt_from() {
        let tiles = tiles().expect("tiles");
        for class in ["brick", "grass", "gravel"] {
            let of = || tiles.iter().filter(|t| t.class == class);
            assert_eq!((of().count(), of().filter(|t| t.support).count()), (16, 5), "{class}");
            let mut places: Vec<[usize; 2]> = of().map(|t| t.place).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), 16, "{class}: no tile twice");
        }
    }
}
