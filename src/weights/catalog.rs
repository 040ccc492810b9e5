//! The published weights that users bring: `weights/catalog.toml`.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// One published file, or one tag for which no file is known.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Its name here: network, dot, training.
    pub name: String,
    /// The network that it is for.
    pub network: String,
    /// Name of the file.
    pub file: Option<String>,
    /// Its address at the publisher.
    pub address: String,
    /// Start of the file's SHA-256, as its publisher states it.
    pub sha256: Option<String>,
    /// Shorter edge of a picture before the crop, in pixels.
    pub resize: Option<usize>,
    /// Edge of the centre crop, in pixels.
    pub crop: Option<usize>,
    /// Which filter resizes.
    pub filter: Option<String>,
    /// Its licence, as far as stated.
    pub licence: String,
    /// What else is worth knowing.
    pub note: Option<String>,
}

/// What a file's hash says.
#[derive(Clone, Debug)]
pub enum Match {
    /// It begins as a publisher states it: very likely, but not certainly, it is this file.
    Matched(Published),
    /// It has a published file's name but another hash.
    Mismatch(Published),
    /// The hash is unknown; the entry with the file's name, if there is one.
    Unverified(Option<Published>),
}

impl Match {
    /// The match in words.
    pub fn word(&self) -> &'static str {
        match self {
            Match::Matched(_) => "prefix matched",
            Match::Mismatch(_) => "mismatch",
            Match::Unverified(_) => "unverified",
        }
    }

    /// The entry concerned.
    pub fn published(&self) -> Option<&Published> {
        match self {
            Match::Matched(p) | Match::Mismatch(p) => Some(p),
            Match::Unverified(p) => p.as_ref(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalog {
    weights: Vec<Published>,
}

/// Everything in the catalog.
///
/// # Errors
/// [`Error::Weights`] if the catalog cannot be read: a bug, which a test excludes.
pub fn published() -> Result<Vec<Published>> {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/catalog.toml"));
    let catalog: Catalog = toml::from_str(text).map_err(|e| Error::Weights(vec![format!("the catalog: {e}")]))?;
    Ok(catalog.weights)
}

/// What `sha256`, in hexadecimal digits, says about a file of that name.
///
/// # Errors
/// As [`published`].
pub fn verdict(file: &str, sha256: &str) -> Result<Match> {
    let all = published()?;
    let stated = |p: &&Published| p.sha256.as_ref().is_some_and(|s| sha256.starts_with(s.as_str()));
    let named = |p: &&Published| p.file.as_deref() == Some(file);
    // A publisher's name with another hash is a mismatch, even if it is another known file.
    Ok(match (all.iter().find(named), all.iter().find(stated)) {
        (Some(name), _) if stated(&name) => Match::Matched(name.clone()),
        (Some(name), _) if name.sha256.is_some() => Match::Mismatch(name.clone()),
        (_, Some(hash)) => Match::Matched(hash.clone()),
        (name, None) => Match::Unverified(name.cloned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_whole() {
        let all = published().unwrap();
        assert!(all.len() >= 12);
        for p in &all {
            assert!(all.iter().filter(|o| o.name == p.name).count() == 1, "{} twice", p.name);
            assert!(p.name.starts_with(&format!("{}.", p.network)) && p.address.starts_with("https://"), "{}", p.name);
            if let (Some(sha), Some(file)) = (&p.sha256, &p.file) {
                let digits = sha.len() == 8 && sha.bytes().all(|b| b.is_ascii_hexdigit());
                assert!(digits && file.contains(sha.as_str()), "{}: the publisher's name holds the hash", p.name);
            }
            assert_eq!(p.resize.is_some(), p.crop.is_some(), "{}", p.name);
        }
    }

    #[test]
    fn names_and_hashes() {
        let hash = |start: &str| format!("{start}{}", "0".repeat(56));
        let of = |file: &str, start: &str| verdict(file, &hash(start)).unwrap();
        assert!(matches!(of("resnet18-f37072fd.pth", "f37072fd"), Match::Matched(p) if p.network == "resnet18"));
        assert!(matches!(of("renamed.pth", "32ee1156"), Match::Matched(p) if p.network == "wide_resnet101_2"));
        assert!(matches!(of("resnet18-f37072fd.pth", "32ee1156"), Match::Mismatch(p) if p.name == "resnet18.tv_v1"));
        assert!(
            matches!(of("dino_resnet50_pretrain.pth", "12345678"), Match::Unverified(Some(p)) if p.name == "resnet50.dino")
        );
        assert!(matches!(of("mine.pth", "12345678"), Match::Unverified(None)));
    }
}
