//! The demo's pictures: a photograph of bricks, cut into tiles. A chessboard pattern decides which are trained on and which are tested
//! on, so that no pixel serves both. Every test tile is there as it is, and again with defects painted on it.

pub mod few_shot;
mod paint;
pub mod textures;

use super::dataset::GOOD;
use super::{Filter, Limits, Mask, Picture, resize};
use crate::error::Result;
use paint::{DEFECTS, paint};

/// What the parts are cut from.
const BRICK: &[u8] = include_bytes!("../photographs/brick.png");

/// What foreign bodies are cut from. As parts these two would show nothing: stones and blades lie at random, and 8 tiles of gravel
/// leave good ones with scores up to 22.5, while a dent has 21.6.
const FOREIGN: [&[u8]; 2] = [include_bytes!("../photographs/grass.png"), include_bytes!("../photographs/gravel.png")];

/// Edge of a tile in the photograph.
const TILE: usize = 128;
/// Edge of a picture: a tile enlarged, so that people see something and the network's view is filled.
const EDGE: usize = 256;

/// One picture of the demo.
#[derive(Clone, Debug)]
pub struct DemoPart {
    /// The area of the photograph that it shows: left, top, width and height in pixels.
    pub area: [usize; 4],
    /// Whether it is for training.
    pub train: bool,
    /// `good`, or the kind of the painted defect.
    pub label: &'static str,
    /// The picture.
    pub picture: Picture,
    /// The pixels in which it differs from the good picture of the same area, if a defect is painted.
    pub mask: Option<Mask>,
}

impl DemoPart {
    /// Its file name without extension, as in `tile_2_1`: column and row.
    pub fn stem(&self) -> String {
        let [left, top, ..] = self.area;
        format!("tile_{}_{}", left / TILE, top / TILE)
    }
}

/// Every picture: 8 tiles to train on; 8 others to test on, and 4 of these for each kind of defect.
///
/// # Errors
/// None, as long as the program is intact.
pub fn parts() -> Result<Vec<DemoPart>> {
    let whole = Picture::decode(BRICK, "brick", Limits::default())?;
    let body = |bytes: &&[u8]| {
        let whole = Picture::decode(bytes, "foreign", Limits::default())?;
        Ok(tile(&whole, [whole.width / 3, whole.height / 3, TILE, TILE]))
    };
    let bodies = FOREIGN.iter().map(body).collect::<Result<Vec<Picture>>>()?;
    let (columns, rows) = (whole.width / TILE, whole.height / TILE);
    let (mut all, mut tested) = (vec![], 0);
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let (area, train) = ([column * TILE, row * TILE, TILE, TILE], (row + column) % 2 == 0);
        let good = DemoPart { area, train, label: GOOD, picture: tile(&whole, area), mask: None };
        // Every second kind of defect on one tile, the others on the next.
        let kinds = DEFECTS.iter().enumerate().filter(|(kind, _)| !train && (kind + tested) % 2 == 0);
        for ((_, &defect), body) in kinds.zip(bodies.iter().cycle().skip(tested / 2)) {
            let (picture, mask) = paint(&good.picture, defect, body, &good.stem());
            all.push(DemoPart { label: defect.name(), picture, mask: Some(mask), ..good.clone() });
        }
        all.push(good);
        tested += usize::from(!train);
    }
    Ok(all)
}

/// An area of a photograph, enlarged.
fn tile(whole: &Picture, [left, top, width, height]: [usize; 4]) -> Picture {
    let rgb = whole.rgb8();
    let rows = rgb.chunks_exact(whole.width * 3).skip(top).take(height);
    let rgb = rows.flat_map(|row| row.iter().skip(left * 3).take(width * 3).copied()).collect();
    resize(&Picture::new(width, height, rgb), EDGE, EDGE, Filter::Bicubic)
}
