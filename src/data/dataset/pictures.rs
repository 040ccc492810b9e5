//! Pictures to look at, named one by one or by the folders that they are in.

use super::listing::{Listing, name_of};
use super::{Census, Sample, and_left_out, fail, masks};
use crate::error::Result;
use std::path::PathBuf;

/// Pictures to look at.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    /// The pictures, without labels.
    pub samples: Vec<Sample>,
    /// What was found, and left out.
    pub census: Census,
}

/// Pictures given one by one, and those below folders, in bytewise order. A picture that is named is never left out. Unless `all` are to
/// be taken, folders in which pictures look like masks are refused.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) for a folder without pictures, and for one with masks among them.
pub fn pictures(paths: &[PathBuf], all: bool) -> Result<Pictures> {
    let mut found = Pictures::default();
    for path in paths {
        if !path.is_dir() {
            let sample = Sample { path: path.clone(), name: name_of(path), label: String::new(), mask: None };
            found.samples.push(sample);
            found.census.found += 1;
            continue;
        }
        let mut listing = Listing::open(path)?;
        let sample = |(name, path)| Sample { name, path, label: String::new(), mask: None };
        let inside: Vec<Sample> = listing.take(|_| true).into_iter().map(sample).collect();
        listing.end_tables(None);
        if inside.is_empty() {
            let left = and_left_out(&listing.census);
            return fail(path, &format!("has no pictures (png, jpg, jpeg, bmp, tif, tiff, webp){left}"));
        }
        if !all {
            masks::refuse_twins(&inside, true)?;
            masks::refuse_masks(&inside, true, true)?;
            masks::refuse_named(&inside, true)?;
        }
        found.samples.extend(inside);
        found.census.add(listing.census);
    }
    Ok(found)
}
