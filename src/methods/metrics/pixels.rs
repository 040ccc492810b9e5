//! Metrics of all pixels of a test set in one pool: those of their ranking, and the overlap with each region.

use super::ranking::{Ranking, counted, rank, ties};
use super::score::ordered;
use super::{MetricValue, NO_DEFECT_FREE, NO_REGION, Score, area, components};
use crate::error::{Error, Result};

/// Pixels of a test set, gathered picture by picture: 8 bytes for each with f32 scores, 16 with f64.
#[derive(Clone, Debug)]
pub struct Pixels<S: Score> {
    /// Score and region; region 0 is defect-free.
    entries: Vec<S::Entry>,
    /// Pixels of each region, from region 1 on.
    sizes: Vec<u64>,
}

/// How much has been gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Pixels of all pictures.
    pub pixels: u64,
    /// Those in defects.
    pub defect_pixels: u64,
    /// Connected defects.
    pub regions: u64,
}

/// How well pixels tell where defects are.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelMetrics {
    /// Metrics of the pixels as samples.
    pub ranking: Ranking,
    /// Per-region overlap over false positive rates up to 0.3, divided by 0.3 (Bergmann et al. 2021, MVTec AD).
    pub aupro_30: MetricValue,
    /// The same up to 0.05, as MVTec LOCO and MVTec AD 2 define it.
    pub aupro_05: MetricValue,
    /// Connected defects.
    pub regions: u64,
    /// Pixels in defects.
    pub defect_pixels: u64,
}

impl<S: Score> Default for Pixels<S> {
    fn default() -> Pixels<S> {
        Pixels { entries: vec![], sizes: vec![] }
    }
}

impl<S: Score> Pixels<S> {
    /// None yet.
    pub fn new() -> Pixels<S> {
        Pixels::default()
    }

    /// Adds a picture: the score of each pixel, row by row of `width`, and which are defective (`None`: none is).
    ///
    /// Negative infinity ranks below everything else: it is meant for pixels that were not looked at.
    ///
    /// # Errors
    /// [`Error::Input`] if the lengths do not fit, [`Error::Numeric`] if a score is NaN; nothing is added then.
    pub fn add(&mut self, map: &[S], mask: Option<&[bool]>, width: usize) -> Result<()> {
        if width == 0 || !map.len().is_multiple_of(width) {
            return Err(Error::Input(format!("a map of {} scores cannot be split into rows of {width}", map.len())));
        }
        if let Some(mask) = mask.filter(|m| m.len() != map.len()) {
            return Err(Error::Input(format!("a mask of {} pixels for a map of {}", mask.len(), map.len())));
        }
        ordered(map.iter().copied())?;
        let found = mask.map(|m| components(m, width));
        let (labels, sizes) = found.map_or((vec![], vec![]), |c| (c.labels, c.sizes));
        let before = u32::try_from(self.sizes.len() + sizes.len())
            .map(|all| all - sizes.len() as u32)
            .map_err(|_| Error::Input("the masks have more than 4294967295 regions".into()))?;
        // Doubling, as vectors do by default, could take twice the memory that is needed.
        let spare = self.entries.capacity() - self.entries.len();
        if spare < map.len() {
            self.entries.reserve_exact(map.len().max(self.entries.len() / 8));
        }
        let region = |label: u32| if label == 0 { 0 } else { before + label };
        let labels = labels.into_iter().chain(std::iter::repeat(0));
        self.entries.extend(map.iter().zip(labels).map(|(s, label)| s.entry(region(label))));
        self.sizes.extend(sizes);
        Ok(())
    }

    /// What has been added.
    pub fn counts(&self) -> Counts {
        Counts {
            pixels: self.entries.len() as u64,
            defect_pixels: self.sizes.iter().sum(),
            regions: self.sizes.len() as u64,
        }
    }

    /// The metrics of all that was added.
    ///
    /// # Errors
    /// None at present: [`Pixels::add`] has refused what cannot be ranked.
    pub fn finish(mut self) -> Result<PixelMetrics> {
        self.entries.sort_unstable();
        let Counts { defect_pixels, regions, .. } = self.counts();
        Ok(PixelMetrics {
            ranking: rank(counted::<S>(&self.entries), defect_pixels),
            aupro_30: self.points().map(|points| area(points, 0.3)),
            aupro_05: self.points().map(|points| area(points, 0.05)),
            regions,
            defect_pixels,
        })
    }

    /// The curve below which AUPRO is the area: (false positive rate, mean overlap with the regions) at every
    /// distinct score from the highest, between (0, 0) and (1, 1); or why there is none.
    pub fn curve(mut self) -> std::result::Result<Vec<(f64, f64)>, &'static str> {
        self.entries.sort_unstable();
        self.points().map(Iterator::collect)
    }

    /// Points of the curve; `entries` are sorted.
    fn points(&self) -> std::result::Result<impl Iterator<Item = (f64, f64)>, &'static str> {
        let Counts { pixels, defect_pixels, regions } = self.counts();
        if regions == 0 {
            return Err(NO_REGION);
        }
        if pixels == defect_pixels {
            return Err(NO_DEFECT_FREE);
        }
        let free = (pixels - defect_pixels) as f64;
        let share = move |region: u32| {
            let size = self.sizes.get(region as usize - 1).copied().unwrap_or(1);
            1.0 / (regions as f64 * size as f64)
        };
        let points = ties::<S>(&self.entries).scan((0u64, 0.0f64), move |(wrong, overlap), tie| {
            for &entry in tie {
                match S::split(entry).1 {
                    0 => *wrong += 1,
                    region => *overlap += share(region),
                }
            }
            Some((*wrong as f64 / free, overlap.min(1.0)))
        });
        Ok(std::iter::once((0.0, 0.0)).chain(points).chain(std::iter::once((1.0, 1.0))))
    }
}
