//! Photographs that ship with Lupe: three materials, cut into crops that do not overlap.

use super::{Limits, Picture};
use crate::error::Result;

/// Material and file.
const PHOTOGRAPHS: [(&str, &[u8]); 3] = [
    ("brick", include_bytes!("photographs/brick.png")),
    ("grass", include_bytes!("photographs/grass.png")),
    ("gravel", include_bytes!("photographs/gravel.png")),
];

/// Edge of a crop.
const EDGE: usize = 256;

/// One crop of a photograph.
#[derive(Clone, Debug)]
pub struct Crop {
    /// What it shows.
    pub material: &'static str,
    /// The crop itself.
    pub picture: Picture,
}

/// Every crop of every photograph, four a material.
///
/// # Errors
/// None, as long as the program is whole.
pub fn crops() -> Result<Vec<Crop>> {
    let mut all = vec![];
    for (material, bytes) in PHOTOGRAPHS {
        let whole = Picture::decode(bytes, material, Limits::default())?;
        for y in 0..whole.height / EDGE {
            for x in 0..whole.width / EDGE {
                all.push(Crop { material, picture: part(&whole, x * EDGE, y * EDGE) });
            }
        }
    }
    Ok(all)
}

fn part(whole: &Picture, left: usize, top: usize) -> Picture {
    let rgb = whole.rgb8();
    let rows = rgb.chunks_exact(whole.width * 3).skip(top).take(EDGE);
    Picture::new(EDGE, EDGE, rows.flat_map(|row| row.iter().skip(left * 3).take(EDGE * 3).copied()).collect())
}
