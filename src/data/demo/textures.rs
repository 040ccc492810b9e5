//! The pictures of the small study: tiles of three photographs, good ones and three kinds of painted defect for each. No two pictures of a
//! texture share a pixel of its photograph, so that no query shows what a shot showed.

use super::paint::{Defect, paint};
use super::{BRICK, DemoPart, FOREIGN, tile};
use crate::data::dataset::GOOD;
use crate::data::{Limits, Picture};
use crate::error::Result;

/// Edge of a tile in the photograph: 64 of them.
const TILE: usize = 64;

/// The kinds of defect.
const KINDS: [Defect; 3] = [Defect::Foreign, Defect::Scratch, Defect::Stain];

/// A texture with its pictures.
#[derive(Clone, Debug)]
pub struct Texture {
    /// Its name.
    pub name: &'static str,
    /// Its pictures: 32 good ones to learn from, 8 good ones to test with, 8 of each kind of defect.
    pub parts: Vec<DemoPart>,
}

/// All textures.
///
/// # Errors
/// None, as long as the program is intact.
pub fn textures() -> Result<Vec<Texture>> {
    let [grass, gravel] = FOREIGN;
    let named = [("brick", BRICK), ("grass", grass), ("gravel", gravel)];
    let wholes =
        named.iter().map(|n| Picture::decode(n.1, n.0, Limits::default())).collect::<Result<Vec<Picture>>>()?;
    // What lies on a texture is cut from the next one.
    let next = wholes.iter().cycle().skip(1).map(|w| tile(w, [w.width / 3, w.height / 3, 2 * TILE, 2 * TILE]));
    Ok(named.iter().zip(&wholes).zip(next).map(|((n, whole), body)| texture(n.0, whole, &body)).collect())
}

/// A chessboard pattern decides which tiles are learned from; of the others one in four stays good.
fn texture(name: &'static str, whole: &Picture, body: &Picture) -> Texture {
    let (columns, rows) = (whole.width / TILE, whole.height / TILE);
    let (mut parts, mut tested) = (vec![], 0);
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let (area, train) = ([column * TILE, row * TILE, TILE, TILE], (row + column) % 2 == 0);
        let good = DemoPart { area, train, label: GOOD, picture: tile(whole, area), mask: None };
        // In turns that do not follow the columns, since light may.
        let turn = (tested + row) % (KINDS.len() + 1);
        parts.push(match KINDS.get(turn).filter(|_| !train) {
            Some(&defect) => {
                let (picture, mask) = paint(&good.picture, defect, body, &format!("{name}.{column}.{row}"));
                DemoPart { label: defect.name(), picture, mask: Some(mask), ..good }
            }
            None => good,
        });
        tested += usize::from(!train);
    }
    Texture { name, parts }
}

impl Texture {
    /// The file name of one of its pictures, without extension: column and row of the tile.
    pub fn stem(part: &DemoPart) -> String {
        let [left, top, ..] = part.area;
        format!("tile_{}_{}", left / TILE, top / TILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_texture_has_good_tiles_and_three_kinds_of_defect() {
        for texture in textures().expect("textures") {
            let mut counts: BTreeMap<(bool, &str), usize> = BTreeMap::new();
            texture.parts.iter().for_each(|p| *counts.entry((p.train, p.label)).or_default() += 1);
            let expected = [((false, "foreign"), 8), ((false, "good"), 8), ((false, "scratch"), 8)];
            let more = [((false, "stain"), 8), ((true, "good"), 32)];
            assert_eq!(counts.into_iter().collect::<Vec<_>>(), [&expected[..], &more].concat(), "{}", texture.name);
            let stems: std::collections::BTreeSet<String> = texture.parts.iter().map(Texture::stem).collect();
            assert_eq!(stems.len(), 64);
            let changed = texture.parts.iter().filter_map(|p| p.mask.as_ref());
            assert!(changed.clone().count() == 24 && changed.flat_map(|m| &m.bits).any(|b| *b));
        }
    }
}
