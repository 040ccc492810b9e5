//! What is wrong with masks: those that are missing, do not fit, mark nothing or everything, or contradict a label.

use super::Seen;
use super::look::{Look, MaskLook};
use super::report::{Finding, Place, Severity, size};
use crate::data::dataset::{Split, good};

/// Everything about masks that belong to pictures.
pub(super) fn findings(seen: &[Seen<'_>]) -> Vec<Finding> {
    let mut found: Vec<Finding> = missing(seen).into_iter().collect();
    for (severity, kind, what, of, advice) in RULES {
        let places: Vec<Place> = seen.iter().filter_map(|s| Some(Place::of(s.name(), of(s)?))).collect();
        if !places.is_empty() {
            found.push(Finding { severity, kind, what: format!("{what}: {}", places.len()), places, advice });
        }
    }
    found
}

/// What is wrong with a picture's mask, if it is.
type Rule = (Severity, &'static str, &'static str, fn(&Seen<'_>) -> Option<String>, &'static str);

const RULES: [Rule; 6] = [
    (
        Severity::Error,
        "mask-unreadable",
        "masks that cannot be read",
        |s| s.mask.as_ref()?.as_ref().err().map(|what| format!("its mask {what}")),
        "Replace them or remove them.",
    ),
    (Severity::Error, "mask-size", "masks of another size than their picture", other_size, "Make them the same size."),
    (
        Severity::Error,
        "mask-of-good",
        "good pictures whose mask marks something",
        |s| marked(s).filter(|(n, _)| *n > 0 && good(s.sample)).map(|(n, _)| format!("{n} pixels are marked")),
        "Correct the label or the mask.",
    ),
    (
        Severity::Warning,
        "mask-empty",
        "masks of defective pictures that mark nothing",
        |s| marked(s).filter(|(n, _)| *n == 0 && !good(s.sample)).map(|_| String::new()),
        "Mark the defect, or move the picture to the good ones.",
    ),
    (
        Severity::Warning,
        "mask-full",
        "masks that mark all of their picture",
        |s| marked(s).filter(|(n, of)| n == of && !good(s.sample)).map(|_| String::new()),
        "Is it the mask turned round, or a picture of the part? Where all is defective, pixel metrics say little.",
    ),
    (
        Severity::Note,
        "mask-values",
        "masks with values that are neither black nor white",
        values,
        "In a mask of at most 8 values with black all others count as defective, in any other those from half white on.",
    ),
];

/// What is seen of a picture and of its mask, both of which can be read.
fn both<'s>(s: &'s Seen<'_>) -> Option<(&'s Look, &'s MaskLook)> {
    Some((s.look.as_ref().ok()?, s.mask.as_ref()?.as_ref().ok()?))
}

fn other_size(s: &Seen<'_>) -> Option<String> {
    let (look, mask) = both(s).filter(|(look, mask)| look.size != mask.size)?;
    Some(format!("is {}, its mask {}", size(look.size), size(mask.size)))
}

/// How many pixels a mask marks, of how many.
fn marked(s: &Seen<'_>) -> Option<(usize, usize)> {
    let mask = s.mask.as_ref()?.as_ref().ok()?;
    Some((mask.marked, mask.size.iter().product()))
}

fn values(s: &Seen<'_>) -> Option<String> {
    let values = &s.mask.as_ref()?.as_ref().ok()?.values;
    let some: Vec<String> = values.iter().map(u16::to_string).collect();
    let more = if some.len() < 8 { "" } else { ", …" };
    (!some.is_empty()).then(|| format!("{}{more}", some.join(", ")))
}

/// Defective pictures without a mask: either all have one or none has.
fn missing(seen: &[Seen<'_>]) -> Option<Finding> {
    let tested = |s: &&Seen<'_>| matches!(s.split, Split::Test | Split::Train) && !good(s.sample);
    let (with, without): (Vec<_>, Vec<_>) = seen.iter().filter(tested).partition(|s| s.sample.mask.is_some());
    let kind = "mask-missing";
    match (with.len(), without.len()) {
        (_, 0) => None,
        (0, n) => Some(Finding {
            severity: Severity::Note,
            kind,
            what: format!("no masks: none of {n} defective pictures has one, so pixel metrics cannot be measured"),
            places: vec![],
            advice: "",
        }),
        (_, n) => Some(Finding {
            severity: Severity::Error,
            kind,
            what: format!("defective pictures without a mask, while others have one: {n} of {}", n + with.len()),
            places: without.iter().map(|s| Place::of(s.name(), "")).collect(),
            advice: "The mask of X.png is called X.* or X_mask.*. Add it; `eval` leaves these pictures out with --skip-unmasked.",
        }),
    }
}
