//! The published weights that users bring: `weights/catalog.toml`.

use crate::error::{Error, Result, plain};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
    /// The file's SHA-256, or its start.
    pub sha256: Option<String>,
    /// Who states the hash, where its publisher does not.
    pub stated: Option<String>,
    /// The file's size, where it is stated.
    pub bytes: Option<u64>,
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
    /// What a person has to do to get the file, where no program can.
    pub hand: Option<String>,
}

impl Published {
    /// The file's own address, unless it takes a person to get it.
    pub fn direct(&self) -> Option<&str> {
        let name = self.address.rsplit('/').next();
        Some(self.address.as_str()).filter(|_| self.hand.is_none() && name == self.file.as_deref())
    }

    /// Where the file lies in a cache folder once it was fetched: publishers give many files the same name.
    pub fn place(&self, cache: &Path) -> Option<PathBuf> {
        Some(cache.join(FETCHED).join(&self.name).join(self.file.as_ref()?))
    }

    /// How much of the file's hash is stated, in words.
    pub fn checked(&self) -> String {
        match &self.sha256 {
            Some(all) if all.len() == WHOLE => format!("its SHA-256, {all}"),
            Some(start) => format!("the start of its SHA-256, {start}"),
            None => "nothing: no source states its SHA-256".into(),
        }
    }
}

/// The folder of a cache in which fetched weights lie.
const FETCHED: &str = "weights";

/// Hexadecimal digits of a whole SHA-256.
const WHOLE: usize = 64;

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
            Match::Matched(p) if p.sha256.as_ref().is_some_and(|s| s.len() == WHOLE) => "matched",
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

/// The entry of that name.
///
/// # Errors
/// [`Error::Usage`] with the names that there are: those of a network, if it is the name of one.
pub fn named(name: &str) -> Result<Published> {
    let all = published()?;
    if let Some(entry) = all.iter().find(|p| p.name == name) {
        return Ok(entry.clone());
    }
    let names = |of: &dyn Fn(&Published) -> bool| -> Vec<&str> {
        all.iter().filter(|p| of(p)).map(|p| p.name.as_str()).collect()
    };
    let near = Some(names(&|p| p.network == name)).filter(|near| !near.is_empty());
    let available = near.unwrap_or_else(|| names(&|_| true)).join(", ");
    Err(Error::Usage(format!("unknown weights `{}`; available: {available}", plain(name))))
}

/// What to do where there is no file at `path`, if that is a name of the catalog or the place of one in a cache.
pub fn advice(path: &Path) -> Option<String> {
    let of = |name: &Path| name.to_str().and_then(|name| named(name).ok());
    let fetched = || {
        of(path.parent()?.file_name()?.as_ref()).filter(|p| p.place(Path::new("")).is_some_and(|p| path.ends_with(p)))
    };
    let entry = of(path).or_else(fetched)?;
    Some(format!("get it with `lupe weights pull {}`", entry.name))
}

/// An address without the name and password that it may hold, and without its query, which may hold a token.
pub fn public(address: &str) -> String {
    let bare = address.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = bare.split_once("://").unwrap_or(("", bare));
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    plain(&if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") })
}

/// What `sha256`, in hexadecimal digits, says about a file of that name.
///
/// # Errors
/// As [`published`].
pub fn verdict(file: &str, sha256: &str) -> Result<Match> {
    let all = published()?;
    let stated = |p: &&Published| p.sha256.as_ref().is_some_and(|s| sha256.starts_with(s.as_str()));
    // A name that publishers give to several files says nothing.
    let alone = all.iter().filter(|p| p.file.as_deref() == Some(file)).count() == 1;
    let named = |p: &&Published| alone && p.file.as_deref() == Some(file);
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
            assert!(p.direct().is_some() != p.hand.is_some(), "{}: a file's own address, or what to do", p.name);
            if let Some(sha) = &p.sha256 {
                assert!([8, WHOLE].contains(&sha.len()) && sha.bytes().all(|b| b.is_ascii_hexdigit()), "{}", p.name);
                let own = p.file.as_ref().is_some_and(|f| f.contains(sha)) || p.address.contains(sha);
                assert!(
                    own != p.stated.is_some(),
                    "{}: the publisher's name holds the hash, or others state it",
                    p.name
                );
            }
            assert!(p.place(Path::new("")).is_some(), "{}", p.name);
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
        assert!(matches!(of("model.safetensors", "12345678"), Match::Unverified(None)), "a name of many files");
        assert!(
            verdict("x", "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9").unwrap().word()
                == "matched"
        );
        assert_eq!(of("renamed.pth", "32ee1156").word(), "prefix matched");
    }

    #[test]
    fn names_and_places() {
        let entry = named("dino_vits16.facebook").unwrap();
        let place = entry.place(Path::new("/cache")).unwrap();
        assert_eq!(place, Path::new("/cache/weights/dino_vits16.facebook/dino_deitsmall16_pretrain.pth"));
        assert_eq!(advice(&place).unwrap(), "get it with `lupe weights pull dino_vits16.facebook`");
        assert_eq!(advice(Path::new("dino_vits16.facebook")), advice(&place));
        assert_eq!(advice(Path::new("weights/dino_vits16.facebook/mine.pth")), None);
        let said = named("dino_vits16").unwrap_err().to_string();
        assert!(said.ends_with("dino_vits16.facebook, dino_vits16.pmf_full, dino_vits16.pmf_imagenet"), "{said}");
        assert_eq!(public("https://me:secret@host:8080/a@b?key=secret"), "https://host:8080/a@b");
        assert_eq!(public("me:secret@host"), "host");
        assert!(named("x\u{1b}").unwrap_err().to_string().contains("resnet18.tv_v1"));
    }
}
