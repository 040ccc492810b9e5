//! The pictures that were asked for: heat maps, raw maps, masks, patch vectors.

use super::fitted::Fitted;
use super::looking::Looked;
use super::scorer::Scored;
use crate::data::Preprocess;
use crate::error::Result;
use crate::files::save;
use crate::report::{Canvas, contour, full_map, mask_png, npy, overlay, tiff};
use crate::tensor::Tensor;
use std::path::{Path, PathBuf};

/// How raw maps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapFormat {
    /// TIFF, as MVTec's evaluation code reads it.
    Tiff,
    /// NumPy's format.
    Npy,
}

/// What is drawn of every picture, into folders of these names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Draw {
    /// Heat maps over the pictures.
    pub heatmaps: bool,
    /// Raw maps at the pictures' own size.
    pub maps: Option<MapFormat>,
    /// Masks of what is above the limit.
    pub masks: bool,
    /// Patch vectors of the pictures, as .npy.
    pub features: bool,
}

impl Draw {
    /// Folders that are written.
    pub fn folders(&self) -> Vec<&'static str> {
        let Draw { heatmaps, maps, masks, features } = *self;
        let all = [("heatmaps", heatmaps), ("maps", maps.is_some()), ("masks", masks), ("features", features)];
        all.into_iter().filter(|f| f.1).map(|f| f.0).collect()
    }
}

/// What is drawn, and how; the same for all pictures of a run.
pub(super) struct Drawing {
    out: PathBuf,
    draw: Draw,
    preprocess: Preprocess,
    scale: [f32; 2],
    limit: Option<f32>,
}

/// An anomaly map at its picture's own size, made when it is first needed.
struct Full<'a> {
    map: &'a Tensor,
    area: [f64; 4],
    size: [usize; 2],
    full: Option<Vec<f32>>,
}

impl Full<'_> {
    fn get(&mut self) -> &[f32] {
        let ([rows, columns], [w, h]) = (sides(self.map), self.size);
        self.full.get_or_insert_with(|| full_map(&self.map.data, columns, rows, self.area, w, h))
    }
}

/// Rows and columns of a map.
pub(super) fn sides(map: &Tensor) -> [usize; 2] {
    [map.shape.dim(0), map.shape.last()]
}

impl Drawing {
    /// Into the folder `out`. Without a limit there are no masks: an empty one would claim that the picture is good.
    pub fn new(fitted: &dyn Fitted, draw: Draw, out: &Path) -> Drawing {
        let limit = fitted.map_limit().map(|l| l as f32);
        let draw = Draw { masks: draw.masks && limit.is_some(), ..draw };
        Drawing { out: out.into(), draw, preprocess: fitted.preprocess(), scale: fitted.scale(), limit }
    }

    /// Draws one picture; `name` is the name of its files, without extension.
    pub fn draw(&self, name: &str, looked: &Looked, scored: &Scored) -> Result<()> {
        if let Some(map) = &scored.finding.map {
            self.map(name, looked, map)?;
        }
        match &scored.features {
            Some(features) if self.draw.features => {
                let [places, d] = [features.shape.dim(0), features.shape.dim(1)];
                save(&self.file("features", name, "npy"), &npy(&features.data, d, places)?)
            }
            _ => Ok(()),
        }
    }

    fn file(&self, folder: &str, name: &str, extension: &str) -> PathBuf {
        self.out.join(folder).join(format!("{name}.{extension}"))
    }

    /// All that is drawn of an anomaly map.
    fn map(&self, name: &str, looked: &Looked, map: &Tensor) -> Result<()> {
        let (w, h) = (looked.picture.width, looked.picture.height);
        let area = self.preprocess.area(w, h);
        let mut full = Full { map, area, size: [w, h], full: None };
        let above = |map: &[f32]| map.iter().map(|&v| self.limit.is_some_and(|l| v > l)).collect::<Vec<bool>>();
        if self.draw.heatmaps {
            let canvas = Canvas { width: w, height: h, rgb: looked.picture.rgb8().into_owned() };
            let mut picture = overlay(&canvas, full.get(), area, self.scale, self.limit);
            contour(&mut picture, &above(full.get()), [0, 0, w, h], [255; 3]);
            save(&self.file("heatmaps", name, "png"), &picture.png()?)?;
        }
        match self.draw.maps {
            Some(MapFormat::Tiff) => save(&self.file("maps", name, "tiff"), &tiff(full.get(), w, h)?)?,
            Some(MapFormat::Npy) => save(&self.file("maps", name, "npy"), &npy(full.get(), w, h)?)?,
            None => {}
        }
        if self.draw.masks {
            save(&self.file("masks", name, "png"), &mask_png(&above(full.get()), w, h)?)?;
        }
        Ok(())
    }
}
