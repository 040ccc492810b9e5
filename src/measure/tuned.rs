//! What `lupe tune` wrote: labels of kernels by node, for one adapter with one driver and one version of Lupe.

use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::files::save;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A table as stored in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    lupe_version: String,
    adapter: String,
    driver: String,
    /// Whether it contains kernels with other orders of summation.
    pub fast: bool,
    /// Labels by node key.
    pub labels: BTreeMap<String, String>,
}

impl Tuned {
    /// An empty one for this adapter, its driver and this version of Lupe.
    pub fn of(gpu: &Gpu, fast: bool) -> Tuned {
        let i = &gpu.info;
        Tuned {
            lupe_version: env!("CARGO_PKG_VERSION").into(),
            adapter: i.title(),
            driver: format!("{} {}", i.driver, i.driver_info),
            fast,
            labels: BTreeMap::new(),
        }
    }

    /// Whether it may be used with the adapter, driver and version of `here`; else what differs.
    fn fits(&self, here: &Tuned) -> std::result::Result<(), String> {
        let differs = |what: &str, a: &str, b: &str| Err(format!("it is for {what} {a}, this is {b}"));
        if self.adapter != here.adapter {
            return differs("adapter", &self.adapter, &here.adapter);
        }
        if self.driver != here.driver {
            return differs("driver", &self.driver, &here.driver);
        }
        if self.lupe_version != here.lupe_version {
            return differs("Lupe", &self.lupe_version, &here.lupe_version);
        }
        Ok(())
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::Output(format!("the table: {e}")))?;
        save(path, &text)
    }

    /// The table of a file for this device; `None` if there is no file.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn read(path: &Path, gpu: &Gpu) -> std::result::Result<Option<Tuned>, String> {
        let Ok(bytes) = std::fs::read(path) else { return Ok(None) };
        let table: Tuned = serde_json::from_slice(&bytes).map_err(|e| format!("it cannot be read: {e}"))?;
        table.fits(&Tuned::of(gpu, false)).map(|()| Some(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_another_driver_says_what_differs() {
        let words = |driver: &str| (driver.to_string(), "vulkan:GPU".to_string(), "1.0".to_string());
        let table = |driver: &str| {
            let (driver, adapter, lupe_version) = words(driver);
            Tuned { lupe_version, adapter, driver, fast: false, labels: BTreeMap::new() }
        };
        assert!(table("a 1").fits(&table("a 1")).is_ok());
        assert_eq!(table("a 1").fits(&table("a 2")).unwrap_err(), "it is for driver a 1, this is a 2");
        let old = Tuned { lupe_version: "0.9".into(), ..table("a 1") };
        assert_eq!(old.fits(&table("a 1")).unwrap_err(), "it is for Lupe 0.9, this is 1.0");
    }
}
