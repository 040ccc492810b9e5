//! Pictures from several folders told apart: a file once, and no name twice.

use super::dataset::Sample;
use crate::error::plain;
use crate::files::place;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Keeps of every file the first sample, and gives samples of one name as much of their paths as tells them apart: `a/x.png` and `b/x.png`.
/// The order stays. Also what there is to say of it.
pub fn told_apart(samples: Vec<Sample>) -> (Vec<Sample>, Vec<String>) {
    let (mut seen, mut twice, mut kept) = (BTreeSet::new(), vec![], vec![]);
    for sample in samples {
        let place = place(&sample.path);
        if seen.insert(place.clone()) {
            kept.push((sample.name.clone(), sample, place));
        } else {
            twice.push(plain(&sample.name));
        }
    }
    let mut notes = match twice.as_slice() {
        [] => vec![],
        [one] => vec![format!("note: {one} is given more than once; it is looked at once")],
        [first, ..] => {
            let n = twice.len();
            vec![format!("note: {n} pictures are given more than once; each is looked at once; the first is {first}")]
        }
    };
    loop {
        let mut count = BTreeMap::<String, usize>::new();
        kept.iter().for_each(|(_, s, _)| *count.entry(s.name.clone()).or_default() += 1);
        let mut changed = false;
        for (_, sample, place) in kept.iter_mut().filter(|(_, s, _)| count.get(&s.name).is_some_and(|n| *n > 1)) {
            let name = with_one_more(&sample.name, place);
            changed |= name != sample.name;
            sample.name = name;
        }
        if !changed {
            break;
        }
    }
    let longer = kept.iter().filter(|(name, s, _)| *name != s.name).count();
    if longer > 0 {
        notes.push(format!(
            "note: {longer} pictures have names that occur in several folders; results name them with these"
        ));
    }
    (kept.into_iter().map(|(_, sample, _)| sample).collect(), notes)
}

/// A name with one more folder of its path before it; the name itself where there is no more.
fn with_one_more(name: &str, place: &Path) -> String {
    let parts: Vec<_> = place.iter().map(|p| p.to_string_lossy()).filter(|p| !p.starts_with(['/', '\\'])).collect();
    let from = parts.len().saturating_sub(name.split('/').count() + 1);
    parts.get(from..).unwrap_or_default().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[(&str, &str)]) -> (Vec<String>, usize) {
        let sample = |(path, name): &(&str, &str)| Sample {
            path: path.into(),
            name: (*name).into(),
            label: String::new(),
            mask: None,
        };
        let (samples, notes) = told_apart(paths.iter().map(sample).collect());
        (samples.into_iter().map(|s| s.name).collect(), notes.len())
    }

    #[test]
    fn fault_18_equal_names_get_their_folders() {
        let one = [("/n/a/x.png", "x.png"), ("/n/a/y.png", "y.png")];
        assert_eq!(names(&one), (vec!["x.png".into(), "y.png".into()], 0));
        let two = [("/n/a/x.png", "x.png"), ("/n/b/x.png", "x.png"), ("/n/b/y.png", "y.png")];
        assert_eq!(names(&two), (vec!["a/x.png".into(), "b/x.png".into(), "y.png".into()], 1));
        // The longer name is taken by a picture of another folder, and one path is the end of the other.
        let three = [("/n/a/x.png", "x.png"), ("/m/a/x.png", "a/x.png"), ("/a/x.png", "x.png"), ("/z/x.png", "x.png")];
        let (found, _) = names(&three);
        assert_eq!(found, ["n/a/x.png", "m/a/x.png", "a/x.png", "z/x.png"]);
        let same = [("/n/a/x.png", "x.png"), ("/n/a/x.png", "a/x.png")];
        assert_eq!(names(&same), (vec!["x.png".into()], 1));
    }
}
