//! Every layout that is read, each made here in small as its publisher has it: splits, labels, masks, and what is left out.

use crate::common::layouts::{ALL, Set};
use lupe::data::dataset::{Dataset, Sample, good};
use lupe::data::{Limits, Mask};
use std::collections::BTreeMap;

/// Labels, each with its number of pictures and of masks.
fn labels(samples: &[Sample]) -> Vec<(&str, usize, usize)> {
    let mut counts = BTreeMap::<&str, (usize, usize)>::new();
    for s in samples {
        let (pictures, masks) = counts.entry(&s.label).or_default();
        *pictures += 1;
        *masks += usize::from(s.mask.is_some());
    }
    counts.into_iter().map(|(label, (pictures, masks))| (label, pictures, masks)).collect()
}

fn held(set: &Set) {
    let dir = tempfile::tempdir().unwrap();
    let open = set.write(dir.path());
    let name = set.name;
    let read = Dataset::open_validated(&open).unwrap_or_else(|e| panic!("{name}: {e}"));
    let found = &set.found;
    assert_eq!(format!("{:?}", read.layout), found.layout, "{name}");
    assert_eq!((read.train.len(), read.validation.len()), (found.train, found.validation), "{name}");
    assert!(read.train.iter().chain(&read.validation).all(good), "{name}");
    assert_eq!(labels(&read.test), found.test, "{name}");
    let left = read.census.left_out();
    assert_eq!(left.into_iter().collect::<Vec<_>>(), found.left, "{name}");
    let all = read.train.len() + read.validation.len() + read.test.len();
    let left: usize = found.left.iter().map(|l| l.1).sum();
    assert_eq!(read.census.found, all + left, "{name}: every file is counted");
    for sample in read.test.iter().filter(|s| !good(s)) {
        let Some(path) = &sample.mask else { continue };
        let mask = Mask::open(path, Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let marked = mask.bits.iter().filter(|b| **b).count();
        assert_eq!((mask.width, mask.height, marked), (24, 20, 16), "{name}: {}", sample.name);
    }
    // Without the validation split it is left out, and the rest is the same.
    let plain = Dataset::open(&open).unwrap();
    assert_eq!((&plain.train, &plain.test), (&read.train, &read.test), "{name}");
    let [kept, left] =
        [&plain, &read].map(|set| set.census.left_out().get("validation split").copied().unwrap_or_default());
    assert_eq!((plain.validation.len(), kept - left), (0, found.validation), "{name}");
}

#[test]
fn every_layout_with_its_counts_labels_and_masks() {
    ALL.iter().for_each(held);
}
