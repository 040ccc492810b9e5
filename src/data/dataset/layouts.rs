//! Layouts of folders: which names are splits, labels and ground truth.

use super::census::{Census, reason};
use super::faults::Wrong;
use super::labels::{self, GOOD, means_bad, means_good};
use super::listing::{Listing, below, folder_of, last, name_of};
use super::masks::{self, Kind};
use super::{Layout, Sample, fail};
use crate::error::{Result, plain};
use std::path::Path;

const TRAIN: [&str; 1] = ["train"];
/// Names of validation splits, of folders and in tables.
pub(super) const VALIDATION: [&str; 3] = ["validation", "valid", "val"];
/// Folders of labelled pictures to test with.
const TEST: [&str; 2] = ["test", "test_public"];
/// Folders of pictures whose labels are kept by their publisher.
const PRIVATE: [&str; 2] = ["test_private", "test_private_mixed"];

/// Folders whose ground truth lies beside them.
const TRUTH_BESIDE: [&str; 3] = ["test", "test_public", "images"];

/// Pictures by what they are for.
pub(super) struct Found {
    pub layout: Layout,
    pub train: Vec<Sample>,
    pub test: Vec<Sample>,
    /// Pictures of a validation split; of folders good ones alone, where these are asked for.
    pub validation: Vec<Sample>,
    /// What was decided where the folder leaves a choice.
    pub notes: Vec<String>,
}

impl Found {
    /// All pictures of it.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> + Clone {
        self.train.iter().chain(&self.validation).chain(&self.test)
    }

    /// Leaves the validation split out but for its good pictures, where these are asked for.
    pub fn validating(mut self, validated: bool, census: &mut Census) -> Found {
        let keep = |s: &Sample| validated && s.label == GOOD;
        self.validation.iter().filter(|s| !keep(s)).for_each(|s| census.leave_out(reason::VALIDATION, &s.name));
        self.validation.retain(keep);
        self
    }
}

/// Pictures of a folder under one label: those directly in it or, if there are none, those below it.
fn labelled(listing: &mut Listing, folder: &str) -> Result<Kind> {
    let direct = listing.pictures.keys().filter(|name| folder_of(name) == folder).count();
    if direct > 0 && direct < listing.pictures_below(folder) {
        let deeper = deeper(listing, folder);
        let what =
            format!("has pictures ({direct}) beside folders of pictures ({deeper}); move one or the other elsewhere");
        listing.faults.at(Wrong::Layout, &listing.root.join(folder), &what)?;
    }
    let label = labels::label(last(folder));
    agreeing(listing, folder, label == GOOD)?;
    let sample = |(name, path)| Sample { name, path, label: label.clone(), mask: None };
    let samples = listing.take(|name| below(name, folder)).into_iter().map(sample).collect();
    Ok(Kind { folder: last(folder).into(), samples })
}

/// Refuses folders of pictures below a label whose own names say the opposite of it.
fn agreeing(listing: &Listing, folder: &str, good: bool) -> Result<()> {
    let against = |name: &&str| if good { means_bad(name) } else { means_good(name) };
    let inside = |name: &&String| below(name, folder) && name.as_str() != folder;
    let mut below =
        listing.folders.iter().filter(inside).filter(|f| against(&last(f)) && listing.pictures_below(f) > 0);
    let Some(first) = below.next() else { return Ok(()) };
    let label = if good { "good" } else { "a kind of defect" };
    let what = format!(
        "has pictures, but lies below {}, which is {label}: which is it? Move its pictures to where they belong",
        plain(folder)
    );
    listing.faults.at(Wrong::Layout, &listing.at(first), &what)
}

/// Folders directly in a folder that have pictures, with their numbers.
fn deeper(listing: &Listing, folder: &str) -> String {
    let inside = listing.inside(folder).into_iter().map(|f| (listing.pictures_below(&f), f)).filter(|f| f.0 > 0);
    inside.map(|(n, f)| format!("{}: {n}", plain(&f))).collect::<Vec<_>>().join(", ")
}

fn is_truth(folder: &str) -> bool {
    masks::FOLDERS.iter().any(|m| last(folder).eq_ignore_ascii_case(m))
}

/// Folders of labels in a folder: with pictures, and none of ground truth.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if two of them differ in case only.
fn kinds_in(listing: &Listing, folder: &str) -> Result<Vec<String>> {
    let mut found = listing.inside(folder);
    found.retain(|f| !is_truth(f) && listing.pictures_below(f) > 0);
    if let Some([one, two]) = labels::differ_in_case(found.iter().map(|f| last(f))) {
        let (one, two) = (plain(one), plain(two));
        let what = format!("has the folders {one} and {two}, which differ in case only; put them into one");
        listing.faults.at(Wrong::Case, &listing.at(folder), &what)?;
    }
    Ok(found)
}

/// Says so if several names mean good.
fn several_good(folders: &[String], notes: &mut Vec<String>) {
    let good: Vec<String> = folders.iter().filter(|f| means_good(last(f))).map(|f| plain(f)).collect();
    if good.len() > 1 {
        notes.push(format!("note: the pictures of {} all count as good", good.join(", ")));
    }
}

/// What is wrong with a training split in which no folder is called good, and what to do.
fn no_good(kinds: &[String]) -> String {
    let kinds = kinds.iter().map(|k| plain(last(k))).collect::<Vec<_>>().join(", ");
    format!("has no folder that means good, but {kinds}; rename it: these names mean good: {}", labels::goods())
}

/// Splits: `train/good`, `test/KIND`, and ground truth in folders of the same names; `validated`: `validation/good`, too.
pub(super) fn splits(listing: &mut Listing, validated: bool) -> Result<Option<Found>> {
    let (trains, tests) = (listing.named("", &TRAIN), listing.named("", &TEST));
    let good: Vec<String> = trains.iter().flat_map(|t| listing.inside(t)).filter(|f| means_good(last(f))).collect();
    let labelled_test = tests.iter().any(|t| listing.inside(t).iter().any(|k| listing.pictures_below(k) > 0));
    let plain_good = listing.inside("").iter().any(|f| means_good(f));
    if good.is_empty() && !labelled_test {
        return Ok(None);
    }
    if good.is_empty() && plain_good {
        let what =
            "has good pictures beside its folder of tests, not in its training split; move their folder into train";
        return fail(&listing.root, what);
    }
    for folder in trains.iter().chain(&tests).map(String::as_str).chain([""]) {
        kinds_in(listing, folder)?;
    }
    for train in trains.iter().filter(|_| good.is_empty()) {
        let kinds = kinds_in(listing, train)?;
        if !kinds.is_empty() {
            listing.faults.at(Wrong::Layout, &listing.at(train), &no_good(&kinds))?;
        }
    }
    let (mut notes, mut train, mut kinds) = (vec![], vec![], vec![]);
    several_good(&good, &mut notes);
    for folder in &good {
        train.push(labelled(listing, folder)?);
    }
    for folder in &tests {
        let inside = kinds_in(listing, folder)?;
        several_good(&inside, &mut notes);
        for kind in inside {
            kinds.push(labelled(listing, &kind)?);
        }
    }
    let truths = [""].into_iter().chain(tests.iter().map(String::as_str));
    let truths: Vec<String> = truths.flat_map(|t| listing.named(t, &masks::FOLDERS)).collect();
    with_masks(listing, &mut kinds, &truths)?;
    let validation = if validated { validation(listing)? } else { vec![] };
    leave_out_others(listing);
    let (train, test) = (joined(train), joined(kinds));
    Ok(Some(Found { layout: Layout::Mvtec, train, test, validation, notes }))
}

/// The good pictures of validation splits.
fn validation(listing: &mut Listing) -> Result<Vec<Sample>> {
    let splits = listing.named("", &VALIDATION);
    let good: Vec<String> = splits.iter().flat_map(|s| listing.inside(s)).filter(|f| means_good(last(f))).collect();
    good.iter().map(|folder| labelled(listing, folder)).collect::<Result<Vec<_>>>().map(joined)
}

fn with_masks(listing: &mut Listing, kinds: &mut [Kind], truths: &[String]) -> Result<()> {
    for truth in truths {
        masks::attach(listing, kinds, truth)?;
    }
    masks::side_by_side(listing, kinds)
}

fn joined(kinds: Vec<Kind>) -> Vec<Sample> {
    kinds.into_iter().flat_map(|k| k.samples).collect()
}

/// Labels: `good`, and a folder for every kind of defect. `SET/test` is one, and so is `SET/test_public`; there need not be a good
/// picture in these, nor where a folder is called defective.
pub(super) fn labels(listing: &mut Listing) -> Result<Option<Found>> {
    let all = listing.inside("");
    let of_set = std::fs::canonicalize(&listing.root).ok();
    let called = |names: &[&str]| {
        let own = of_set.as_deref().and_then(Path::file_name);
        names.iter().any(|n| own.is_some_and(|own| own.eq_ignore_ascii_case(n)))
    };
    let inside = kinds_in(listing, "")?;
    let sure = called(&TEST) || inside.iter().any(|f| means_bad(f));
    if !all.iter().any(|f| means_good(f)) && (!sure || inside.is_empty()) {
        return Ok(None);
    }
    let mut notes = vec![];
    several_good(&inside, &mut notes);
    let mut kinds = vec![];
    for folder in inside {
        kinds.push(labelled(listing, &folder)?);
    }
    let truths = listing.named("", &masks::FOLDERS);
    if let Some(set) = of_set.as_deref().and_then(Path::parent).filter(|_| truths.is_empty() && called(&TRUTH_BESIDE)) {
        beside(listing, &mut kinds, set)?;
    }
    with_masks(listing, &mut kinds, &truths)?;
    leave_out_others(listing);
    let (train, test) = joined(kinds).into_iter().partition(|s| s.label == GOOD);
    Ok(Some(Found { layout: Layout::Plain, train, test, validation: vec![], notes }))
}

/// Classes: every folder with pictures is one, whatever it is called. Their masks are left out.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) for a folder without pictures beside others, and as the other layouts.
pub(super) fn classes(listing: &mut Listing) -> Result<Option<Found>> {
    let folders = kinds_in(listing, "")?;
    let empty = |f: &String| !is_truth(f) && listing.pictures_below(f) == 0;
    if let Some(empty) = listing.inside("").into_iter().find(empty) {
        let what = "is a class without pictures; put pictures into it, or remove the folder";
        listing.faults.at(Wrong::Empty, &listing.at(&empty), what)?;
    }
    if folders.is_empty() {
        return Ok(None);
    }
    let mut notes = vec![];
    several_good(&folders, &mut notes);
    let mut kinds = folders.iter().map(|folder| labelled(listing, folder)).collect::<Result<Vec<_>>>()?;
    masks::side_by_side(listing, &mut kinds)?;
    listing.leave_out(reason::MASK, |name| name.split_once('/').is_some_and(|(folder, _)| is_truth(folder)));
    listing.leave_out(reason::ELSEWHERE, |_| true);
    Ok(Some(Found { layout: Layout::Plain, train: joined(kinds), test: vec![], validation: vec![], notes }))
}

/// Folders in places of labels in which there is no picture: those directly in a split or, where there are no splits, in the set itself.
pub(super) fn empty_labels(listing: &Listing) -> Vec<String> {
    let names: Vec<&str> = [&TRAIN[..], &VALIDATION, &TEST].concat();
    let splits = listing.named("", &names);
    let labels = match splits.is_empty() {
        true => listing.inside(""),
        false => splits.iter().flat_map(|split| listing.inside(split)).collect(),
    };
    let empty = |f: &String| !is_truth(f) && listing.pictures_below(f) == 0;
    labels.into_iter().chain(splits).filter(empty).collect()
}

/// Whether a file lies in a folder of ground truth.
pub(super) fn within_truth(name: &str) -> bool {
    folder_of(name).split('/').any(is_truth)
}

/// The split of a data set in splits that is most like a folder of classes; `None` where there are no splits.
pub(super) fn most_like_classes(listing: &Listing) -> Option<String> {
    let kinds = |split: &String| listing.inside(split).iter().filter(|f| listing.pictures_below(f) > 0).count();
    let splits = [listing.named("", &TEST), listing.named("", &TRAIN)].concat();
    splits.into_iter().filter(|split| kinds(split) > 0).max_by_key(kinds)
}

/// Masks for a folder of tests from the ground truth beside it.
fn beside(listing: &mut Listing, kinds: &mut [Kind], set: &Path) -> Result<()> {
    let mut truths: Vec<_> = std::fs::read_dir(set).into_iter().flatten().flatten().map(|e| e.path()).collect();
    truths.retain(|p| is_truth(&name_of(p)) && p.is_dir());
    truths.sort();
    for truth in truths {
        let mut other = Listing::open(&truth)?;
        masks::attach(&mut other, kinds, "")?;
        other.leave_out(reason::STRAY_MASK, |_| true);
        other.end_tables(None);
        listing.census.add(other.census);
    }
    Ok(())
}

/// Leaves out what no label was found for, by where it is.
fn leave_out_others(listing: &mut Listing) {
    let within = |name: &str, folders: &[&str]| {
        let mut parts = folder_of(name).split('/');
        parts.any(|part| folders.iter().any(|f| part.eq_ignore_ascii_case(f)))
    };
    listing.leave_out(reason::STRAY_MASK, |name| within(name, &masks::FOLDERS));
    listing.leave_out(reason::VALIDATION, |name| within(name, &VALIDATION));
    listing.leave_out(reason::UNLABELLED, |name| within(name, &PRIVATE));
    listing.leave_out(reason::DEFECTIVE_TRAIN, |name| within(name, &TRAIN) && folder_of(name).contains('/'));
    listing.leave_out(reason::ELSEWHERE, |_| true);
}

/// Pictures directly in the folder, all of them good.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are folders of pictures beside them: which ones are meant?
pub(super) fn flat(listing: &mut Listing) -> Result<Option<Found>> {
    let loose: Vec<&String> = listing.pictures.keys().filter(|name| !name.contains('/')).collect();
    let Some(first) = loose.first() else { return Ok(None) };
    let (root, deeper) = (&listing.root, deeper(listing, ""));
    if !deeper.is_empty() {
        return fail(
            root,
            &format!(
                "has {} pictures directly in it (the first is {}) beside folders of pictures ({deeper}): which are good? Give one of \
                 these folders, or move the loose pictures to a folder of their own and give that",
                loose.len(),
                plain(first)
            ),
        );
    }
    let sample = |(name, path)| Sample { name, path, label: GOOD.into(), mask: None };
    let train = listing.take(|_| true).into_iter().map(sample).collect();
    Ok(Some(Found { layout: Layout::Flat, train, test: vec![], validation: vec![], notes: vec![] }))
}

/// Folders below that are data sets of their own, for advice.
pub(super) fn sets_below(listing: &Listing) -> Vec<String> {
    let good = listing.folders.iter().filter(|f| means_good(last(f)));
    let set = |f: &String| {
        let folder = folder_of(f);
        let split = TRAIN.iter().chain(&TEST).any(|t| last(folder).eq_ignore_ascii_case(t));
        String::from(if split { folder_of(folder) } else { folder })
    };
    let mut sets: Vec<String> = good.map(set).filter(|s| !s.is_empty()).collect();
    sets.sort();
    sets.dedup();
    sets
}
