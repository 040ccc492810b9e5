//! The pictures of a support as they are read: every file once, in the order of classes and then of names.

use super::fitted::{LeftOut, Seen, Why};
use super::looking::Missed;
use crate::data::dataset::{Classes, Sample};
use crate::error::{Error, Result, plain, shown};
use crate::watch::Watch;
use std::collections::BTreeMap;

/// Pictures of classes, with something of each: its vector, or its number.
#[derive(Clone, Debug)]
pub(super) struct Gathered<T> {
    /// Class and name of every file, by its hash.
    known: BTreeMap<String, [String; 2]>,
    /// Class and picture, and what is kept of it.
    pub found: Vec<(String, Seen, T)>,
    /// Copies of others.
    pub left_out: Vec<LeftOut>,
}

impl<T> Gathered<T> {
    /// Those of an earlier fit, if any.
    pub fn new(found: Vec<(String, Seen, T)>) -> Gathered<T> {
        let place = |(class, seen, _): &(String, Seen, T)| (seen.sha256.clone(), [class.clone(), seen.name.clone()]);
        Gathered { known: found.iter().map(place).collect(), found, left_out: vec![] }
    }

    /// Takes a picture; whether it is none that is there already.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that is there in another class.
    pub fn take(&mut self, sample: &Sample, sha256: String, kept: T) -> Result<bool> {
        let (class, picture) = (sample.label.clone(), Seen { name: sample.name.clone(), sha256: sha256.clone() });
        match self.known.get(&sha256) {
            Some([other, name]) if *other == class => {
                self.left_out.push(LeftOut { picture, why: Why::SameAs(name.clone()) });
                Ok(false)
            }
            Some([other, name]) => {
                let [one, class, name, other] = [&picture.name, &class, name, other].map(|text| plain(text));
                Err(Error::Input(format!(
                    "{one} and {name} are the same file, one in the class {class} and one in {other}; remove one of them"
                )))
            }
            None => {
                self.known.insert(sha256, [class.clone(), picture.name.clone()]);
                self.found.push((class, picture, kept));
                Ok(true)
            }
        }
    }

    /// All, in their order; copies are told.
    ///
    /// # Errors
    /// [`Error::Input`] for a class of the support of which no picture could be read.
    pub fn sorted(mut self, support: &Classes, missed: &Missed, watch: &dyn Watch) -> Result<Gathered<T>> {
        let named = |name: &str| self.found.iter().any(|f| f.0 == name);
        if let Some(empty) = support.counts().into_keys().find(|name| !named(name)) {
            let list: String = missed.failed.iter().map(|(_, why)| format!("\n  {why}")).collect();
            let (root, empty) = (shown(&support.root), plain(empty));
            return Err(Error::Input(format!("{root}: no picture of the class {empty} can be read:{list}")));
        }
        self.found.sort_by(|(c, s, _), (d, t, _)| (c, &s.name, &s.sha256).cmp(&(d, &t.name, &t.sha256)));
        if let Some(first) = self.left_out.first() {
            let (n, name, why) = (self.left_out.len(), plain(&first.picture.name), plain(&first.why.to_string()));
            watch.say(&format!(
                "note: {n} of the pictures are copies of others and are left out; the first is {name}, {why}"
            ));
        }
        Ok(self)
    }
}

/// Whether there are classes to tell apart, of these names.
///
/// # Errors
/// [`Error::Input`] for one class only.
pub(super) fn several(support: &Classes, names: &[&str]) -> Result<()> {
    let &[name] = names else { return Ok(()) };
    let (root, name) = (shown(&support.root), plain(name));
    Err(Error::Input(format!("{root}: has one class, {name}; expected two or more, each a folder of pictures")))
}
