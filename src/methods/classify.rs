//! Classes of pictures: which ones a network with a classifier has, what they are called, and how likely each one is.

use crate::engine::{Graph, Scope};
use crate::error::{Error, Result, plain, shown};
use crate::models::{self, Network};
use crate::weights::Weights;
use std::cmp::Ordering;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The place of a network whose values are its classes' logits.
pub const PLACE: &str = "logits";

/// ImageNet's names as torchvision's `_meta.py` has them, in the order that published networks share: `weights/README.md`.
const IMAGENET: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/imagenet.txt"));

/// Classes of ImageNet.
const IMAGENET_CLASSES: usize = 1000;

/// How many classes are shown unless a number is asked for.
const SHOWN: usize = 5;

/// A longer file is no list of names: ImageNet's has 10 kB, and no network here can have a million classes.
const LONGEST: u64 = 16 << 20;

/// What a file of names is to be.
const EXPECTED: &str = "expected a text file with one name a line, in the order of the classes";

/// Names of classes, in the order of the classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
    origin: String,
}

impl Labels {
    /// ImageNet's 1000.
    pub fn imagenet() -> Labels {
        Labels { names: IMAGENET.lines().map(String::from).collect(), origin: "ImageNet's names".into() }
    }

    /// Reads a file with a name a line.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read, or as [`Labels::from_bytes`].
    pub fn open(path: &Path) -> Result<Labels> {
        let (origin, mut bytes) = (shown(path), vec![]);
        if path.is_dir() {
            return Err(Error::Input(format!("{origin}: is a folder; {EXPECTED}")));
        }
        let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
        read.map_err(|e| Error::Input(format!("{origin}: cannot be read: {e}")))?;
        Labels::from_bytes(&bytes, &origin)
    }

    /// Reads names from UTF-8, a name a line; spaces around names, lines without any at the end and a byte order mark do not count.
    /// `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Input`] for what is no text, for no names at all, and for a name that is empty or holds a control character.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Labels> {
        let fail = |what: String| Error::Input(format!("{origin}: {what}; {EXPECTED}"));
        if bytes.len() as u64 > LONGEST {
            return Err(fail(format!("is larger than {} MiB", LONGEST >> 20)));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| fail("is no text in UTF-8".into()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end();
        let names: Vec<String> = text.lines().map(|name| name.trim().to_string()).collect();
        for (line, name) in (1..).zip(&names) {
            if name.is_empty() {
                return Err(fail(format!("line {line} is empty")));
            }
            if plain(name) != *name {
                return Err(fail(format!("line {line} holds a control character: `{}`", plain(name))));
            }
        }
        if names.is_empty() {
            return Err(fail("is empty".into()));
        }
        Ok(Labels { names, origin: origin.into() })
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// The classes that a network with certain weights tells apart.
#[derive(Clone, Debug)]
pub struct Classes {
    count: usize,
    labels: Option<Labels>,
    note: Option<String>,
}

/// A class, and how likely a picture belongs to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likely {
    /// Its number, from 0.
    pub class: usize,
    /// Between 0 and 1; those of all classes add up to 1.
    pub probability: f64,
}

impl Classes {
    /// The classes of `network` with these weights, called by `labels`. Without labels 1000 classes are taken for ImageNet's and others
    /// have no names; [`Classes::note`] says so, unless the weights are those that are `built_in`.
    ///
    /// # Errors
    /// [`Error::Usage`] for a network that has no classes, [`Error::Weights`] for weights without a classifier, [`Error::Input`] for another number of names than of classes.
    pub fn new(network: &Network, weights: &Weights, labels: Option<Labels>, built_in: bool) -> Result<Classes> {
        let count = count(network, weights).ok_or_else(|| headless(network, weights))?;
        let origin = plain(weights.origin());
        if let Some(Labels { names, origin: file }) = labels.as_ref().filter(|l| l.names.len() != count) {
            let lines = names.len();
            return Err(Error::Input(format!(
                "{file}: number of names is {lines}, of classes in {origin} {count}; {EXPECTED}"
            )));
        }
        let (labels, note) = match labels {
            None if count == IMAGENET_CLASSES => (
                Some(Labels::imagenet()),
                Some(format!(
                    "{origin}: its 1000 classes are taken for ImageNet's, in the usual order; --labels FILE gives other names"
                )),
            ),
            None => (
                None,
                Some(format!(
                    "{origin}: nothing says what its {count} classes are called, so they are numbered from 0; --labels FILE \
                     gives names, one a line"
                )),
            ),
            given => (given, None),
        };
        Ok(Classes { count, labels, note: note.filter(|_| !built_in) })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What of their names was assumed.
    pub fn note(&self) -> Option<&String> {
        self.note.as_ref()
    }

    /// What a class is called, if that is known.
    pub fn name(&self, class: usize) -> Option<&str> {
        self.labels.as_ref()?.names.get(class).map(String::as_str)
    }

    /// How many classes to show: as many as are asked for, else five or all.
    ///
    /// # Errors
    /// [`Error::Usage`] for none, or for more than there are.
    pub fn top(&self, asked: Option<usize>) -> Result<usize> {
        let n = self.count;
        match asked {
            Some(top) if !(1..=n).contains(&top) => {
                Err(Error::Usage(format!("--top {top}: must be between 1 and {n}, the number of classes")))
            }
            asked => Ok(asked.unwrap_or(SHOWN.min(n))),
        }
    }
}

/// How many classes `network` has with these weights: as many as it gives logits.
fn count(network: &Network, weights: &Weights) -> Option<usize> {
    let (graph, [h, w]) = (Graph::new(), network.input_size());
    let places = network.build(graph.input("picture", [1, h, w, 3]), &Scope::new(&graph, weights.tensors()));
    places.get(PLACE).map(|logits| logits.dim(1)).filter(|classes| *classes > 0)
}

fn headless(network: &Network, weights: &Weights) -> Error {
    let (name, embedded) = (network.name, models::EMBEDDED.name);
    // Without any weights a network offers all that it can have.
    if count(network, &Weights::default()).is_none() {
        return Error::Usage(format!(
            "{name} gives features and has no classes; `lupe embed` gives the features, and `lupe classify` without --model takes {embedded}"
        ));
    }
    let head = network.head.first().copied().unwrap_or_default();
    Error::Weights(vec![format!(
        "{}: holds no classifier of {name} ({head}weight, {head}bias), so there are no classes; expected weights with one, such as the \
         built-in ones of {embedded}; `lupe embed` gives features, which need none",
        weights.origin(),
    )])
}

/// The `top` likeliest classes of one picture, the likeliest first; of equally likely ones the lower number comes first. `logits` has a
/// value for each class; probabilities are their softmax in f64.
///
/// # Errors
/// [`Error::Numeric`] for logits that are not finite.
pub fn likeliest(logits: &[f32], top: usize) -> Result<Vec<Likely>> {
    if logits.iter().any(|v| !v.is_finite()) {
        return Err(Error::Numeric("logits contain a number that is not finite".into()));
    }
    let max = logits.iter().fold(f32::MIN, |max, &v| max.max(v));
    let weight = |v: f32| (f64::from(v) - f64::from(max)).exp();
    let sum: f64 = logits.iter().map(|&v| weight(v)).sum();
    let mut all: Vec<(usize, f32)> = logits.iter().copied().enumerate().collect();
    all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal)); // stable: equal logits stay in the classes' order
    all.truncate(top);
    Ok(all.into_iter().map(|(class, v)| Likely { class, probability: weight(v) / sum }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(logits: &[f32], top: usize) -> Vec<usize> {
        likeliest(logits, top).expect("finite logits").iter().map(|l| l.class).collect()
    }

    #[test]
    fn probabilities_are_the_softmax_and_ties_keep_the_order() {
        let found = likeliest(&[0.0, 2f32.ln(), 5f32.ln()], 3).expect("finite logits");
        let want = [(2, 0.625), (1, 0.25), (0, 0.125)];
        for (Likely { class, probability }, want) in found.iter().zip(want) {
            assert!(*class == want.0 && (probability - want.1).abs() < 1e-7, "{found:?}");
        }
        assert_eq!(classes(&[1.0, 3.0, -0.0, 3.0, 0.0], 5), [1, 3, 0, 2, 4]);
        // Both underflow to 0: the logits still say which one is likelier.
        assert_eq!(classes(&[-3000.0, -2000.0, 0.0], 2), [2, 1]);
        assert_eq!(classes(&[-3000.0, -2000.0, 0.0], 3), [2, 1, 0]);
        let sharp = likeliest(&[f32::MAX, -f32::MAX], 2).expect("finite logits");
        assert_eq!([sharp[0].probability, sharp[1].probability], [1.0, 0.0]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(likeliest(&[0.0, bad], 1).expect_err("not finite").exit_code(), 7);
        }
    }

    #[test]
    fn names_are_lines_of_text() {
        let read = |text: &[u8]| Labels::from_bytes(text, "l.txt").map(|l| l.names);
        let [dent, scratch] = ["dent", "tiefer Kratzer é"].map(String::from);
        for text in
            ["dent\ntiefer Kratzer é", "\u{feff}dent\r\n tiefer Kratzer é\t\r\n\r\n\n", "dent\ntiefer Kratzer é\n  \n"]
        {
            assert_eq!(read(text.as_bytes()).expect(text), [dent.clone(), scratch.clone()]);
        }
        let long = vec![b'a'; LONGEST as usize + 1];
        for (bytes, said) in [
            (&b"a\n\nb"[..], "l.txt: line 2 is empty; expected a text file with one name a line"),
            (b" \na", "line 1 is empty"),
            (b"", "l.txt: is empty"),
            (b"\n \n", "l.txt: is empty"),
            (b"a\nb\x1b[2J", "line 2 holds a control character: `b\\u{1b}[2J`"),
            (b"1\ta", "line 1 holds a control character: `1\\ta`"),
            ("a\u{202e}b".as_bytes(), "line 1 holds a control character: `a\\u{202e}b`"),
            (b"\xff\xfea\0", "is no text in UTF-8"),
            (&long, "is larger than 16 MiB"),
        ] {
            let told = read(bytes).expect_err(said);
            assert!(told.exit_code() == 3 && told.to_string().contains(said), "{told}");
        }
        assert_eq!(Labels::imagenet().names.len(), IMAGENET_CLASSES);
        assert_eq!(Labels::imagenet().names.get(967).map(String::as_str), Some("espresso"));
    }
}
