//! What `lupe tune` wrote: labels of kernels by node, for one adapter with one driver and one version of Lupe.

use super::env;
use super::output;
use super::session::Session;
use crate::engine::{Choices, Gpu};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A table as it lies in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    lupe_version: String,
    adapter: String,
    driver: String,
    /// Whether kernels of other orders of summation are in it.
    pub fast: bool,
    /// Labels by node key.
    pub labels: BTreeMap<String, String>,
}

impl Table {
    /// An empty one for this adapter, its driver and this Lupe.
    pub fn of(gpu: &Gpu, fast: bool) -> Table {
        let i = &gpu.info;
        Table {
            lupe_version: env!("CARGO_PKG_VERSION").into(),
            adapter: i.title(),
            driver: format!("{} {}", i.driver, i.driver_info),
            fast,
            labels: BTreeMap::new(),
        }
    }

    /// Whether it may be used where `here` stands for adapter, driver and version; else what differs.
    fn fits(&self, here: &Table) -> std::result::Result<(), String> {
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

    /// Where the table of this adapter lies, whatever its driver.
    fn file(&self) -> Option<PathBuf> {
        env::cached("tuning/", &self.adapter)
    }

    /// Writes it and says where.
    ///
    /// # Errors
    /// [`Error::Output`] where there is no cache folder or it cannot be written.
    pub fn write(&self) -> Result<PathBuf> {
        let path = self.file().ok_or_else(|| {
            Error::Output("there is no folder for caches: set XDG_CACHE_HOME or HOME to an absolute path".into())
        })?;
        output::folder(path.parent().unwrap_or(&path))?;
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::Output(format!("the table: {e}")))?;
        output::write(&path, &text)?;
        Ok(path)
    }

    /// The table of this adapter, if there is one; a note if there is one that cannot be used.
    pub fn read(session: &Session, gpu: &Gpu) -> Option<Table> {
        let here = Table::of(gpu, false);
        let path = here.file()?;
        let bytes = std::fs::read(&path).ok()?;
        let read = serde_json::from_slice::<Table>(&bytes).map_err(|e| format!("it cannot be read: {e}"));
        match read.and_then(|table| table.fits(&here).map(|()| table)) {
            Ok(table) => Some(table),
            Err(why) => {
                let path = path.display();
                session.say(&format!("note: the tuning table {path} is not used, {why}; `lupe tune` makes a new one"));
                None
            }
        }
    }
}

/// What plans on this device take.
pub fn choices(session: &Session, gpu: &Gpu) -> Choices {
    let Some(table) = Table::read(session, gpu) else { return Choices::First };
    if table.fast {
        session.say("note: kernels tuned with --fast add up in other orders; --deterministic takes the default ones");
    }
    Choices::Table(Arc::new(table.labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_another_driver_says_what_differs() {
        let words = |driver: &str| (driver.to_string(), "vulkan:GPU".to_string(), "1.0".to_string());
        let table = |driver: &str| {
            let (driver, adapter, lupe_version) = words(driver);
            Table { lupe_version, adapter, driver, fast: false, labels: BTreeMap::new() }
        };
        assert!(table("a 1").fits(&table("a 1")).is_ok());
        assert_eq!(table("a 1").fits(&table("a 2")).unwrap_err(), "it is for driver a 1, this is a 2");
        let old = Table { lupe_version: "0.9".into(), ..table("a 1") };
        assert_eq!(old.fits(&table("a 1")).unwrap_err(), "it is for Lupe 0.9, this is 1.0");
    }
}
