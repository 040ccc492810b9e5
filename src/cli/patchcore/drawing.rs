//! The pictures that were asked for: heat maps, raw maps, masks, patch vectors.

use super::args::{Common, MapFormat};
use super::features::Looked;
use super::predict::Opened;
use super::results::save;
use crate::data::Preprocess;
use crate::data::render::{Canvas, contour, full_map, mask_png, npy, overlay, tiff};
use crate::error::Result;
use crate::methods::patchcore::score::Scored;
use std::path::{Path, PathBuf};

/// What is drawn, and how; the same for all pictures of a run.
pub struct Drawing {
    out: PathBuf,
    heatmaps: bool,
    maps: Option<MapFormat>,
    masks: bool,
    features: bool,
    preprocess: Preprocess,
    scale: [f32; 2],
    limit: Option<f32>,
}

/// An anomaly map at its picture's own size, made when it is first wanted.
struct Full<'a> {
    scored: &'a Scored,
    area: [f64; 4],
    size: [usize; 2],
    map: Option<Vec<f32>>,
}

impl Full<'_> {
    fn get(&mut self) -> &[f32] {
        let (side, [w, h]) = (self.scored.map.shape.last(), self.size);
        self.map.get_or_insert_with(|| full_map(&self.scored.map.data, side, side, self.area, w, h))
    }
}

impl Drawing {
    /// As the flags say, into `out`.
    pub fn new(opened: &Opened, common: &Common, out: &Path) -> Drawing {
        let limit = opened.model.map_limit().map(|l| l as f32);
        Drawing {
            out: out.into(),
            heatmaps: !common.no_heatmaps,
            maps: common.maps,
            masks: common.masks && limit.is_some(), // an empty mask would be a verdict
            features: common.dump_features,
            preprocess: opened.preprocess,
            scale: opened.scale,
            limit,
        }
    }

    /// Draws one picture; `name` is that of its files, without extension.
    pub fn draw(&self, name: &str, looked: &Looked, scored: &Scored) -> Result<()> {
        let (w, h) = (looked.picture.width, looked.picture.height);
        let area = self.preprocess.area(w, h);
        let mut full = Full { scored, area, size: [w, h], map: None };
        let above = |map: &[f32]| map.iter().map(|&v| self.limit.is_some_and(|l| v > l)).collect::<Vec<bool>>();
        let file = |folder: &str, extension: &str| self.out.join(folder).join(format!("{name}.{extension}"));
        if self.heatmaps {
            let side = scored.map.shape.last();
            let canvas = Canvas { width: w, height: h, rgb: looked.picture.rgb8().into_owned() };
            let mut picture = overlay(&canvas, &scored.map.data, side, side, area, self.scale, self.limit);
            contour(&mut picture, &above(full.get()), [0, 0, w, h], [255; 3]);
            save(&file("heatmaps", "png"), &picture.png()?)?;
        }
        match self.maps {
            Some(MapFormat::Tiff) => save(&file("maps", "tiff"), &tiff(full.get(), w, h)?)?,
            Some(MapFormat::Npy) => save(&file("maps", "npy"), &npy(full.get(), w, h)?)?,
            None => {}
        }
        if self.masks {
            save(&file("masks", "png"), &mask_png(&above(full.get()), w, h)?)?;
        }
        if self.features {
            let [places, d] = [looked.rows.shape.dim(0), looked.rows.shape.dim(1)];
            save(&file("features", "npy"), &npy(&looked.rows.data, d, places)?)?;
        }
        Ok(())
    }
}
