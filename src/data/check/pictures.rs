//! What is wrong with pictures: those that cannot be read, copies of each other, and kinds that are mixed.

use super::look::Look;
use super::report::{Finding, Place, Severity, frequent, size};
use super::{Seen, Split};
use crate::data::dataset::good;
use std::collections::{BTreeMap, BTreeSet};

/// Everything about pictures.
pub(super) fn findings(seen: &[Seen<'_>]) -> Vec<Finding> {
    let mut found = unreadable(seen);
    found.extend(copies(seen));
    found.extend(mixed(seen));
    found.extend(told_apart(seen));
    found.extend(like_masks(seen));
    found
}

fn unreadable(seen: &[Seen<'_>]) -> Vec<Finding> {
    let places = |used: bool| -> Vec<Place> {
        let of = |s: &&Seen<'_>| s.used() == used;
        seen.iter().filter(of).filter_map(|s| Some(Place::of(s.name(), s.look.as_ref().err()?.as_str()))).collect()
    };
    let finding = |(used, severity, which): (bool, Severity, &str)| {
        let places = places(used);
        let advice = "Replace them or remove them; `fit` and `eval` leave them out with --keep-going.";
        let what = format!("{which} that cannot be read: {}", places.len());
        (!places.is_empty()).then_some(Finding { severity, kind: "unreadable", what, places, advice })
    };
    let both = [
        (true, Severity::Error, "pictures"),
        (false, Severity::Warning, "pictures that the layout has no use for and"),
    ];
    both.into_iter().filter_map(finding).collect()
}

/// What it means that a picture is there more than once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Copy {
    Labels,
    Splits,
    Twice,
    Unused,
}

/// Pictures whose pixels are the same, be the files the same or not.
fn copies(seen: &[Seen<'_>]) -> Vec<Finding> {
    let mut groups = BTreeMap::<&str, Vec<(&Seen<'_>, &Look)>>::new();
    for s in seen {
        if let Ok(look) = &s.look {
            groups.entry(&look.pixels).or_default().push((s, look));
        }
    }
    let mut kinds = BTreeMap::<Copy, Vec<Place>>::new();
    for group in groups.into_values().filter(|g| g.len() > 1) {
        let files: BTreeSet<&str> = group.iter().map(|(_, look)| look.file.as_str()).collect();
        let bytes = if files.len() == 1 { "the same file" } else { "the same pixels in other files" };
        let labels: BTreeSet<String> = group.iter().map(|(s, _)| s.class()).collect();
        let labels = labels.into_iter().collect::<Vec<_>>().join(", ");
        let files = group.iter().map(|(s, _)| s.name()).collect();
        kinds.entry(copy(&group)).or_default().push(Place { files, what: format!("{bytes}, in {labels}") });
    }
    let first = |places: &mut Vec<Place>| places.sort_by(|a, b| a.files.cmp(&b.files));
    kinds.iter_mut().for_each(|(_, places)| first(places));
    kinds.into_iter().map(|(kind, places)| copied(kind, places)).collect()
}

fn copy(group: &[(&Seen<'_>, &Look)]) -> Copy {
    let used = || group.iter().map(|(s, _)| s).filter(|s| s.used());
    let labels: BTreeSet<&str> = used().map(|s| s.sample.label.as_str()).collect();
    let splits: BTreeSet<Split> = used().map(|s| s.split).collect();
    match (labels.len(), splits.len(), used().count()) {
        (2.., _, _) => Copy::Labels,
        (_, 2.., _) => Copy::Splits,
        (_, _, 2..) => Copy::Twice,
        _ => Copy::Unused,
    }
}

fn copied(copy: Copy, places: Vec<Place>) -> Finding {
    let (severity, kind, what, advice) = match copy {
        Copy::Labels => (
            Severity::Error,
            "label-conflict",
            "pictures that are there under several labels",
            "Decide what each shows, and remove it from the other folder.",
        ),
        Copy::Splits => (
            Severity::Error,
            "in-several-splits",
            "pictures that are there in several splits",
            "What was fitted on must not be tested with: remove it from one of the splits.",
        ),
        Copy::Twice => (
            Severity::Warning,
            "twice",
            "pictures that are there more than once in one split",
            "Remove the copies: in a fit each counts once, in a test several times.",
        ),
        Copy::Unused => (Severity::Note, "twice-unused", "copies among pictures that the layout has no use for", ""),
    };
    Finding { severity, kind, what: format!("{what}: {}", places.len()), places, advice }
}

/// What pictures can differ in without being different parts.
type Key = (&'static str, &'static str, fn(&Look) -> String, &'static str);

const KEYS: [Key; 3] = [
    (
        "mixed-sizes",
        "sizes",
        |l| size(l.size),
        "All are brought to the network's size, so a defect of one size is another in each. Were they cropped, or taken by other cameras?",
    ),
    (
        "mixed-depths",
        "depths",
        |l| format!("{} bits", l.depth),
        "Values of both are taken as shares of white; 12 bits in files of 16 are nearly black. Save all in one depth.",
    ),
    (
        "mixed-channels",
        "channels",
        |l| l.channels.into(),
        "Gray becomes RGB, alpha is ignored: a mixture is rarely meant. Save all in one way.",
    ),
];

fn mixed(seen: &[Seen<'_>]) -> Vec<Finding> {
    let looks: Vec<(&Seen<'_>, &Look)> =
        seen.iter().filter(|s| s.used()).filter_map(|s| Some((s, s.look.as_ref().ok()?))).collect();
    let finding = |(kind, what, key, advice): Key| {
        let groups = frequent(looks.iter().map(|(_, l)| key(l)));
        let place = |(value, n): &(String, usize)| {
            let example = looks.iter().find(|(_, l)| key(l) == *value).map(|(s, _)| s.name());
            Place::of(example.unwrap_or_default(), format!("{value}, as {n} of {} pictures", looks.len()))
        };
        let places: Vec<Place> = groups.iter().map(place).collect();
        let what = format!("pictures of several {what}: {}", places.len());
        (places.len() > 1).then_some(Finding { severity: Severity::Warning, kind, what, places, advice })
    };
    KEYS.into_iter().filter_map(finding).collect()
}

/// What tells good pictures from defective ones without a look at them: a method would learn that.
fn told_apart(seen: &[Seen<'_>]) -> Vec<Finding> {
    let container: Key = ("", "containers", |l| l.container.into(), "");
    let place = |(_, what, key, _): Key| {
        let of = |is_good: bool| -> BTreeSet<String> {
            let of = seen.iter().filter(|s| s.used() && good(s.sample) == is_good);
            of.filter_map(|s| s.look.as_ref().ok()).map(key).collect()
        };
        let (good, bad) = (of(true), of(false));
        let apart = !good.is_empty() && !bad.is_empty() && good.is_disjoint(&bad);
        let words = |set: &BTreeSet<String>| set.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let what = || format!("{what}: good {}, defective {}", words(&good), words(&bad));
        apart.then(|| Place { files: vec![], what: what() })
    };
    let places: Vec<Place> = KEYS.into_iter().chain([container]).filter_map(place).collect();
    let advice = "Bring both to one form, or take new pictures: else a measurement says how well the forms differ.";
    let what =
        format!("ways to tell good pictures from defective ones without a look at what they show: {}", places.len());
    let finding = Finding { severity: Severity::Warning, kind: "told-apart", what, places, advice };
    Some(finding).into_iter().filter(|f| !f.places.is_empty()).collect()
}

/// Pictures that may be masks, by the rule of `fit` for good ones and that of `eval` for others.
fn like_masks(seen: &[Seen<'_>]) -> Vec<Finding> {
    let mut places = vec![];
    for fitted in [true, false] {
        let of = |s: &&Seen<'_>| s.used() && fitted == matches!(s.split, Split::Train | Split::Validation);
        let all: Vec<&Seen<'_>> = seen.iter().filter(of).collect();
        let like = |s: &&&Seen<'_>| s.look.as_ref().is_ok_and(|l| l.mask.get(usize::from(fitted)) == Some(&true));
        let like: Vec<Place> = all.iter().filter(like).map(|s| Place::of(s.name(), "")).collect();
        if like.len() < all.len() {
            places.extend(like);
        }
    }
    let advice = "Move masks to a folder of their own; `fit` and `eval` refuse the set without --all.";
    let what = format!("pictures of two gray values, as masks are: {}", places.len());
    let finding = Finding { severity: Severity::Warning, kind: "like-masks", what, places, advice };
    Some(finding).into_iter().filter(|f| !f.places.is_empty()).collect()
}
