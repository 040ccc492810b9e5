//! Which keys a method may have, by its kind.

use super::text::{Entry, Word};
use toml::Spanned;

/// The keys that methods may have beside `kind`, `name`, `tasks` and `repeats`.
pub(super) fn keys(word: Word) -> &'static [&'static str] {
    match word {
        Word::Prototype => &["network", "weights", "place", "size", "crop", "distance", "center", "correction"],
        Word::Pmf => &["network", "weights", "size", "steps", "lr", "correction"],
        Word::Caml => &["network", "weights", "checkpoint", "place", "size", "average", "many-classes"],
        Word::PatchCore => &["network", "weights", "size", "layers", "ratio", "good"],
        Word::AnomalyDino => &["network", "weights", "size", "rotations", "good"],
        Word::SubspaceAd => &["network", "weights", "size", "layers", "augment", "good"],
        Word::EfficientAd => &["weights", "penalty", "steps", "size", "good"],
        Word::Chain => &["detector", "learner"],
    }
}

impl Entry {
    /// The keys that are written, with their places.
    pub(super) fn written(&self) -> Vec<(&'static str, usize)> {
        fn at<T>(value: &Option<Spanned<T>>) -> Option<usize> {
            value.as_ref().map(|v| v.span().start)
        }
        let all = [
            ("network", at(&self.network)),
            ("weights", at(&self.weights)),
            ("checkpoint", at(&self.checkpoint)),
            ("place", at(&self.place)),
            ("size", at(&self.size)),
            ("crop", at(&self.crop)),
            ("distance", at(&self.distance)),
            ("center", at(&self.center)),
            ("correction", at(&self.correction)),
            ("steps", at(&self.steps)),
            ("lr", at(&self.lr)),
            ("average", at(&self.average)),
            ("many-classes", at(&self.many_classes)),
            ("layers", at(&self.layers)),
            ("ratio", at(&self.ratio)),
            ("rotations", at(&self.rotations)),
            ("augment", at(&self.augment)),
            ("penalty", at(&self.penalty)),
            ("good", at(&self.good)),
            ("detector", at(&self.detector)),
            ("learner", at(&self.learner)),
        ];
        all.into_iter().filter_map(|(key, at)| Some((key, at?))).collect()
    }
}
