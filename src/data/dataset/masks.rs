//! Which mask belongs to which picture, and which pictures are masks by their looks.

use super::census::reason;
use super::faults::{Faults, Wrong};
use super::labels::{GOOD, means_good};
use super::listing::{Listing, below, folder_of, last, name_of};
use super::{Sample, stem_of};
use crate::data::looks::{Looks, looks};
use crate::error::{Error, Result, plain, shown};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folders of ground truth.
pub(super) const FOLDERS: [&str; 3] = ["ground_truth", "masks", "mask"];

/// What is wrong with a mask of nothing, and what to do.
const NO_PICTURE: &str = "is a mask without a matching picture; the mask of X.png is called X.* or X_mask.*, with X in the same case: \
                          rename it, remove it, or add its picture";

/// Pictures under a label, in a folder of that name.
pub(super) struct Kind {
    /// The folder's own name.
    pub folder: String,
    /// Its pictures.
    pub samples: Vec<Sample>,
}

/// Gives pictures their masks from a folder of ground truth: those in it are of any picture, those in a folder of it are of the
/// pictures in the folder of the same name.
///
/// # Errors
/// [`Error::Input`] for a mask without a picture, and for two masks of one picture.
pub(super) fn attach(listing: &mut Listing, kinds: &mut [Kind], truth: &str) -> Result<()> {
    for folder in listing.inside(truth) {
        if means_good(last(&folder)) {
            give_good(listing, kinds, &folder);
            continue;
        }
        let of = kinds.iter_mut().filter(|k| k.folder.eq_ignore_ascii_case(last(&folder)));
        let mut samples: Vec<&mut Sample> = of.flat_map(|k| &mut k.samples).collect();
        if !samples.is_empty() {
            give(listing, &mut samples, &folder, true)?;
        }
    }
    let mut all: Vec<&mut Sample> = kinds.iter_mut().flat_map(|k| &mut k.samples).collect();
    give(listing, &mut all, truth, false)
}

/// Gives good pictures their masks, which must not mark anything; those of pictures that are elsewhere are of no use.
fn give_good(listing: &mut Listing, kinds: &mut [Kind], folder: &str) {
    for (mask, is_folder) in masks_in(listing, folder, true) {
        let stem = if is_folder { name_of(&mask) } else { stem_of(&mask) };
        let bare = stem.strip_suffix("_mask").unwrap_or(&stem);
        let named = |s: &&mut Sample| s.label == GOOD && [stem.as_str(), bare].contains(&stem_of(&s.path).as_str());
        let mut of: Vec<&mut Sample> = kinds.iter_mut().flat_map(|k| &mut k.samples).filter(named).collect();
        if let [sample] = of.as_mut_slice() {
            sample.mask = Some(mask);
        }
    }
}

/// Masks in a folder, and which of them are folders of several masks.
fn masks_in(listing: &mut Listing, folder: &str, nested: bool) -> BTreeMap<PathBuf, bool> {
    let taken = listing.take(|name| folder_of(name) == folder || (nested && below(name, folder)));
    let mut masks = BTreeMap::new();
    for (name, path) in taken {
        listing.census.leave_out(reason::MASK, &name);
        match folder_of(&name) == folder {
            true => masks.insert(path, false),
            false => masks.insert(path.parent().unwrap_or(&path).to_path_buf(), true),
        };
    }
    masks
}

/// Gives pictures their masks from a folder: `X.*` or `X_mask.*` for the picture `X.*`; where `nested`, also a folder `X` of masks.
fn give(listing: &mut Listing, samples: &mut [&mut Sample], folder: &str, nested: bool) -> Result<()> {
    let (mut defective, mut good) = (BTreeMap::<String, Vec<usize>>::new(), BTreeMap::<String, Vec<usize>>::new());
    for (i, sample) in samples.iter().enumerate() {
        let named = if sample.label == GOOD { &mut good } else { &mut defective };
        named.entry(stem_of(&sample.path)).or_default().push(i);
    }
    for (mask, is_folder) in masks_in(listing, folder, nested) {
        let stem = if is_folder { name_of(&mask) } else { stem_of(&mask) };
        let bare = stem.strip_suffix("_mask").unwrap_or(&stem);
        let among = |named: &BTreeMap<String, Vec<usize>>| named.get(&stem).or_else(|| named.get(bare)).cloned();
        let own = among(&good);
        match among(&defective).as_deref() {
            None if own.is_none() => listing.faults.at(Wrong::StrayMask, &mask, NO_PICTURE)?,
            // It must not mark anything. Of several good pictures of one name it is of no use.
            None => {
                if let Some(sample) = own.as_deref().and_then(|own| samples.get_mut(*only(own)?)) {
                    set(&listing.faults, sample, mask)?;
                }
            }
            Some([one]) => match samples.get_mut(*one) {
                Some(sample) => set(&listing.faults, sample, mask)?,
                None => continue,
            },
            Some(several) => {
                let names = several.iter().filter_map(|&i| Some(plain(&samples.get(i)?.name)));
                let names = names.collect::<Vec<_>>().join(" and ");
                let what = format!("is the mask of {names}; give these different names");
                listing.faults.at(Wrong::TwoMasks, &mask, &what)?;
            }
        }
    }
    Ok(())
}

/// The only one.
fn only<T>(values: &[T]) -> Option<&T> {
    match values {
        [one] => Some(one),
        _ => None,
    }
}

/// Gives a picture its mask.
fn set(faults: &Faults, sample: &mut Sample, mask: PathBuf) -> Result<()> {
    if let Some(other) = sample.mask.as_ref().filter(|m| **m != mask) {
        let [one, two] = [other, &mask].map(|p| shown(p));
        let what = format!("{} has two masks, {one} and {two}; remove one", plain(&sample.name));
        return faults.whole(Wrong::TwoMasks, &sample.path, Error::Input(what));
    }
    sample.mask = Some(mask);
    Ok(())
}

/// Pictures of one folder and stem, two or more.
fn twins(samples: &[Sample]) -> Vec<Vec<usize>> {
    let mut groups = BTreeMap::<(&Path, String), Vec<usize>>::new();
    for (i, sample) in samples.iter().enumerate() {
        let folder = sample.path.parent().unwrap_or(Path::new(""));
        groups.entry((folder, stem_of(&sample.path))).or_default().push(i);
    }
    groups.into_values().filter(|g| g.len() > 1).collect()
}

/// Masks beside their pictures, as `X.png` beside `X.jpg`: gives each picture its own. Those of good pictures are taken for masks only
/// if those of defective ones are.
///
/// # Errors
/// [`Error::Input`] if a picture has another mask as well.
pub(super) fn side_by_side(listing: &mut Listing, kinds: &mut [Kind]) -> Result<()> {
    let is_good = |k: &Kind| k.samples.first().is_some_and(|s| s.label == GOOD);
    let mut found = false;
    for good in [false, true] {
        for kind in kinds.iter_mut().filter(|k| is_good(k) == good) {
            if !good || found {
                found |= pair(listing, &mut kind.samples)?;
            }
        }
    }
    Ok(())
}

fn pair(listing: &mut Listing, samples: &mut Vec<Sample>) -> Result<bool> {
    let mut masks = vec![];
    for pair in twins(samples) {
        let [a, b] = pair[..] else { continue };
        let png = |i: usize| {
            samples.get(i).is_some_and(|s| s.path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")))
        };
        let (picture, mask) = if png(a) { (b, a) } else { (a, b) };
        let Some(path) = samples.get(mask).map(|s| s.path.clone()) else { continue };
        if !png(mask) || png(picture) || !looks(&path).is_some_and(Looks::like_a_twin) {
            continue;
        }
        if let Some(sample) = samples.get_mut(picture) {
            set(&listing.faults, sample, path)?;
        }
        masks.push(mask);
    }
    let found = !masks.is_empty();
    let all = std::mem::take(samples).into_iter().enumerate();
    for (i, sample) in all {
        match masks.contains(&i) {
            true => listing.census.leave_out(reason::MASK, &sample.name),
            false => samples.push(sample),
        }
    }
    Ok(found)
}

/// What to do about pictures to fit on or test with that may be masks, and about those that were found below folders.
fn advice(found: bool) -> &'static str {
    match found {
        false => "move masks to a folder of their own, or give --all to take all of them as pictures",
        true => "name the folders of the pictures alone, or give --all to take all of them as pictures",
    }
}

/// Two pictures of one name that differ in their endings: one may be the other's mask, or the same picture twice. Among those that were
/// `found` below folders, to be looked at, only a mask is refused.
///
/// # Errors
/// [`Error::Input`] naming the first two.
pub(super) fn refuse_twins(samples: &[Sample], found: bool) -> Result<()> {
    let mask = |i: &usize| samples.get(*i).and_then(|s| looks(&s.path)).is_some_and(Looks::like_a_twin);
    let groups: Vec<Vec<usize>> = twins(samples);
    let groups: Vec<&Vec<usize>> = groups.iter().filter(|g| !found || g.iter().any(mask)).collect();
    let Some([a, b, ..]) = groups.first().map(|g| g.as_slice()) else { return Ok(()) };
    let name = |i: usize| samples.get(i).map(|s| plain(&s.name)).unwrap_or_default();
    Err(Error::Input(format!(
        "{} and {} differ in their endings only ({} such names): is one the mask of the other? {}",
        name(*a),
        name(*b),
        groups.len(),
        advice(found)
    )))
}

/// What masks add to the names of their pictures.
const ENDS: [&str; 7] = ["_mask", "_masks", "_gt", "_label", "_labels", "_seg", "_groundtruth"];

/// Pictures that are masks by their names: `X_mask` or `X_gt` beside `X`, or, among those `found` below folders, what lies in a folder of
/// masks while others do not. What they look like says nothing where they mark nothing.
///
/// # Errors
/// [`Error::Input`] naming the first.
pub(super) fn refuse_named(samples: &[Sample], found: bool) -> Result<()> {
    let place = |s: &Sample| (s.path.parent().map(Path::to_path_buf), stem_of(&s.path).to_ascii_lowercase());
    let all: BTreeSet<_> = samples.iter().map(place).collect();
    let beside = |s: &&Sample| {
        let (folder, stem) = place(s);
        ENDS.iter().filter_map(|e| stem.strip_suffix(e)).any(|of| all.contains(&(folder.clone(), of.to_string())))
    };
    let within =
        |s: &&Sample| folder_of(&s.name).split('/').any(|part| FOLDERS.iter().any(|f| part.eq_ignore_ascii_case(f)));
    let named: Vec<&Sample> = samples.iter().filter(|s| beside(s) || found && within(s)).collect();
    match named.first() {
        Some(first) if named.len() < samples.len() => Err(Error::Input(format!(
            "{}: is called as masks are ({} of {} pictures): {}",
            plain(&first.name),
            named.len(),
            samples.len(),
            advice(found)
        ))),
        _ => Ok(()),
    }
}

/// Pictures of two gray values beside others; unless `exact`, also those of which compression made more. They may have been `found` below
/// folders, to be looked at.
///
/// # Errors
/// [`Error::Input`] naming the first.
pub(super) fn refuse_masks(samples: &[Sample], exact: bool, found: bool) -> Result<()> {
    let mask = |s: &&Sample| looks(&s.path).is_some_and(|l| l.like_a_mask(exact));
    let masks: Vec<&Sample> = samples.iter().filter(mask).collect();
    match masks.first() {
        Some(first) if masks.len() < samples.len() => Err(Error::Input(format!(
            "{}: consists of two gray values, as masks do ({} of {} pictures): {}",
            plain(&first.name),
            masks.len(),
            samples.len(),
            advice(found)
        ))),
        _ => Ok(()),
    }
}
