//! The pictures that were asked for: heat maps, raw maps, masks, patch vectors.

use super::fitted::Fitted;
use super::looking::Looked;
use super::scorer::Scored;
use crate::data::Preprocess;
use crate::error::Result;
use crate::files::save;
use crate::lock::lock;
use crate::report::{Canvas, contour, full_map, mask_png, npy, overlay, tiff};
use crate::tensor::Tensor;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

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
    /// What raw maps hold where the picture was not looked at, instead of negative infinity.
    pub outside: Option<f32>,
    /// Masks of what is above the limit.
    pub masks: bool,
    /// Patch vectors of the pictures, as .npy.
    pub features: bool,
}

impl Draw {
    /// The files that may be written of a picture whose files are called `name`.
    pub(super) fn files(&self, name: &str) -> impl Iterator<Item = String> {
        let maps = self.maps.map(|format| if format == MapFormat::Tiff { "tiff" } else { "npy" });
        let kinds = [
            ("heatmaps", self.heatmaps.then_some("png")),
            ("maps", maps),
            ("masks", self.masks.then_some("png")),
            ("features", self.features.then_some("npy")),
        ];
        kinds.into_iter().filter_map(move |(folder, ending)| Some(format!("{folder}/{name}.{}", ending?)))
    }
}

/// What is drawn, and how; the same for all pictures of a run.
pub(super) struct Drawing {
    out: PathBuf,
    draw: Draw,
    view: Preprocess,
    scale: [f32; 2],
    limit: Option<f32>,
    /// What was written, below `out`.
    written: Mutex<BTreeSet<String>>,
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

    /// The map itself, which is not needed any more.
    fn take(mut self) -> Vec<f32> {
        self.get();
        self.full.unwrap_or_default()
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
        Drawing {
            out: out.into(),
            draw,
            view: fitted.map_view(),
            scale: fitted.scale(),
            limit,
            written: Mutex::default(),
        }
    }

    /// Draws one picture; `name` is the name of its files, without extension.
    pub fn draw(&self, name: &str, looked: &Looked, scored: &Scored) -> Result<()> {
        if let Some(map) = &scored.finding.map {
            let area = scored.finding.area(&self.view, looked.picture.width, looked.picture.height);
            self.map(name, looked, (map, area))?;
        }
        match &scored.features {
            Some(features) if self.draw.features => {
                let [places, d] = [features.shape.dim(0), features.shape.dim(1)];
                self.save("features", name, "npy", &npy(&features.data, d, places)?)
            }
            _ => Ok(()),
        }
    }

    fn save(&self, folder: &str, name: &str, extension: &str, bytes: &[u8]) -> Result<()> {
        let file = format!("{folder}/{name}.{extension}");
        save(&self.out.join(&file), bytes)?;
        lock(&self.written).insert(file);
        Ok(())
    }

    /// The files that were written, and forgets them.
    pub fn written(&self) -> BTreeSet<String> {
        std::mem::take(&mut *lock(&self.written))
    }

    /// All that is drawn of an anomaly map.
    fn map(&self, name: &str, looked: &Looked, (map, area): (&Tensor, [f64; 4])) -> Result<()> {
        let (w, h) = (looked.picture.width, looked.picture.height);
        let mut full = Full { map, area, size: [w, h], full: None };
        let above = |map: &[f32]| map.iter().map(|&v| self.limit.is_some_and(|l| v > l)).collect::<Vec<bool>>();
        if self.draw.heatmaps {
            let canvas = Canvas { width: w, height: h, rgb: looked.picture.rgb8().into_owned() };
            let mut picture = overlay(&canvas, full.get(), area, self.scale, self.limit);
            contour(&mut picture, &above(full.get()), [0, 0, w, h], [255; 3]);
            self.save("heatmaps", name, "png", &picture.png()?)?;
        }
        if self.draw.masks {
            self.save("masks", name, "png", &mask_png(&above(full.get()), w, h)?)?;
        }
        let Some(format) = self.draw.maps else { return Ok(()) };
        let mut values = full.take();
        if let Some(outside) = self.draw.outside {
            values.iter_mut().filter(|v| **v == f32::NEG_INFINITY).for_each(|v| *v = outside);
        }
        match format {
            MapFormat::Tiff => self.save("maps", name, "tiff", &tiff(&values, w, h)?)?,
            MapFormat::Npy => self.save("maps", name, "npy", &npy(&values, w, h)?)?,
        }
        Ok(())
    }
}
