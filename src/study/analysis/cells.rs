//! Settings over their repeats.

use super::{Cell, Metric, Row, Setting, pictures, rows};
use crate::error::{Error, Result};
use crate::methods::metrics::{Confusion, Spread};
use crate::study::{Draw, Method, Outcome, Results};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Rows by their setting, and in each by their draw.
pub(super) struct Index<'r> {
    pub results: &'r Results,
    rows: &'r [Row],
    /// Of each setting the rows by the numbers of their draws.
    settings: BTreeMap<Setting, BTreeMap<usize, usize>>,
}

/// An outcome with its draw, as one of its limits has it.
pub(super) struct Seen<'r> {
    pub row: &'r Row,
    pub outcome: &'r Outcome,
    /// The number of the draw.
    pub at: usize,
    pub draw: &'r Draw,
}

impl<'r> Seen<'r> {
    /// The class that each query was called, if they were called anything.
    pub fn called(&self) -> Option<Cow<'r, [usize]>> {
        rows::called(self.draw, self.outcome, self.row.limit)
    }

    /// How often each class was called which.
    pub fn confusion(&self) -> Option<Confusion> {
        self.called().map(|said| rows::confusion(self.draw, &said))
    }

    /// Scores with whether each query is defective.
    pub fn scored(&self) -> Vec<(f64, bool)> {
        rows::scored(self.draw, self.outcome)
    }
}

impl<'r> Index<'r> {
    /// Of these rows.
    ///
    /// # Errors
    /// [`Error::Input`] for an outcome that is there twice.
    pub fn new(results: &'r Results, rows: &'r [Row]) -> Result<Index<'r>> {
        let mut index = Index { results, rows, settings: BTreeMap::new() };
        for (number, row) in rows.iter().enumerate() {
            let Some(seen) = index.seen(number) else { continue };
            let Outcome { method, good, bad, all, .. } = *seen.outcome;
            let (category, task, at) = (seen.draw.category.clone(), seen.draw.task, seen.at);
            let setting = Setting { category, task, method, good, bad, all, limit: row.limit };
            let name = results.methods.get(method).map_or("", |m| m.name.as_str());
            let (number_of, repeat) = (row.outcome, seen.draw.repeat);
            let place = format!("{name}, {task} of {}, repeat {repeat}", setting.category);
            if index.settings.entry(setting).or_default().insert(at, number).is_some() {
                let what = format!("{place}: there twice with {good} good and {bad} other shots");
                return Err(Error::Input(format!("outcome {number_of} of the study: {what}")));
            }
        }
        Ok(index)
    }

    fn seen(&self, row: usize) -> Option<Seen<'r>> {
        let row = self.rows.get(row)?;
        let outcome = self.results.outcomes.get(row.outcome)?;
        Some(Seen { row, outcome, at: outcome.draw, draw: self.results.draws.get(outcome.draw)? })
    }

    /// All settings, in their order.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.settings.keys()
    }

    /// The method of a setting.
    pub fn method(&self, setting: &Setting) -> Option<&'r Method> {
        self.results.methods.get(setting.method)
    }

    /// The outcomes of a setting, by draw.
    pub fn outcomes(&self, setting: &Setting) -> impl Iterator<Item = Seen<'r>> {
        let rows = self.settings.get(setting).into_iter().flat_map(|rows| rows.values().copied());
        rows.filter_map(|row| self.seen(row)).collect::<Vec<_>>().into_iter()
    }

    /// A metric of a setting by draw, where it is defined.
    pub fn values(&self, setting: &Setting, metric: Metric) -> BTreeMap<usize, f64> {
        self.outcomes(setting).filter_map(|seen| Some((seen.at, *seen.row.values.get(&metric)?))).collect()
    }
}

/// The cells of all settings.
pub(super) fn of(index: &Index) -> Vec<Cell> {
    let mut by_pictures = pictures::of(index);
    let cell = |setting: &Setting| {
        let mut values: BTreeMap<Metric, Vec<f64>> = BTreeMap::new();
        for seen in index.outcomes(setting) {
            seen.row.values.iter().for_each(|(metric, value)| values.entry(*metric).or_default().push(*value));
        }
        let values = values.into_iter().filter_map(|(metric, values)| Some((metric, Spread::of(&values)?))).collect();
        Cell { setting: setting.clone(), values, by_pictures: by_pictures.remove(setting).unwrap_or_default() }
    };
    index.settings().map(cell).collect()
}
