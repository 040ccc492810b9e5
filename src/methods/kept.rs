//! Numbers that a network said of pictures, kept on disk between runs: by what they were computed with, and by the content of the picture's
//! file.

use crate::error::shown;
use crate::files::{Mapped, keep, prune, sha256, touch};
use crate::watch::Watch;
use std::io;
use std::path::PathBuf;

/// How a file begins; another number when what is kept changes.
const MARK: &[u8] = b"lupe vector 1\n";

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// Where numbers are kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The folder; `None`: nothing is kept.
    pub folder: Option<PathBuf>,
    /// How many bytes all of it may take.
    pub most: u64,
    /// Whether what is there is made anew.
    pub fresh: bool,
}

/// What a file of the folder holds.
#[derive(Debug)]
pub enum Entry {
    /// What was asked for.
    Whole(Values),
    /// Something else, or a part.
    Damaged,
    /// There is none.
    None,
}

/// Numbers in a file that is mapped into memory: they stay readable where the file is removed meanwhile.
#[derive(Debug)]
pub struct Values(Mapped);

impl Values {
    /// All of them.
    pub fn to_vec(&self) -> Vec<f32> {
        let values = self.0.get(MARK.len()..self.0.len().saturating_sub(DIGITS)).unwrap_or_default();
        values.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }
}

impl Kept {
    /// What numbers depend on besides the picture, as one word.
    pub fn recipe(parts: &[&str]) -> String {
        sha256(parts.join("\n").as_bytes())
    }

    /// Bytes of a file of so many numbers.
    pub fn bytes(numbers: usize) -> u64 {
        (MARK.len() + 4 * numbers + DIGITS) as u64
    }

    fn file(&self, recipe: &str, picture: &str) -> Option<PathBuf> {
        let name = sha256(format!("{recipe} {picture}").as_bytes());
        Some(self.folder.as_ref()?.join(name.get(..2)?).join(name))
    }

    /// What is kept by this recipe of the picture whose file has this hash: so many numbers, checked by their own hash.
    pub fn read(&self, recipe: &str, picture: &str, numbers: usize) -> Entry {
        let Some(file) = self.file(recipe, picture).filter(|file| !self.fresh && file.exists()) else {
            return Entry::None;
        };
        let mapped = Mapped::open(&file).ok();
        // One that cannot be marked is only removed earlier.
        let _ = touch(&file);
        let whole = mapped.filter(|bytes| bytes.len() as u64 == Kept::bytes(numbers) && whole(bytes));
        whole.map_or(Entry::Damaged, |bytes| Entry::Whole(Values(bytes)))
    }

    /// Keeps numbers.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, recipe: &str, picture: &str, numbers: &[f32]) -> io::Result<()> {
        self.file(recipe, picture).map_or(Ok(()), |file| keep(&file, &packed(numbers)))
    }

    /// Removes what was used longest ago, and says what cannot be kept; `what` is what messages call it.
    pub fn tidy(&self, what: &str, unkept: Option<io::Error>, watch: &dyn Watch) {
        let Some(folder) = &self.folder else { return };
        let pruned = unkept.map_or_else(|| prune(folder, self.most), Err);
        match pruned {
            Err(e) => watch.say(&format!("note: {what} cannot be kept in {}: {e}", shown(folder))),
            Ok(removed) => log::info!("{removed} kept {what} were removed for room"),
        }
    }
}

/// Says that some of what is kept is no more what was written.
pub fn tell_damaged(what: &str, damaged: usize, watch: &dyn Watch) {
    if damaged > 0 {
        watch.say(&format!("note: {damaged} of the {what} that were kept are damaged; they are computed again"));
    }
}

/// Mark, values, and the hash of both.
fn packed(numbers: &[f32]) -> Vec<u8> {
    let mut bytes = MARK.to_vec();
    bytes.extend(numbers.iter().flat_map(|v| v.to_le_bytes()));
    let hash = sha256(&bytes);
    bytes.extend(hash.as_bytes());
    bytes
}

/// Whether these are bytes that [`packed`] made.
fn whole(bytes: &[u8]) -> bool {
    let split = bytes.len().checked_sub(DIGITS).and_then(|at| bytes.split_at_checked(at));
    split.is_some_and(|(content, hash)| content.starts_with(MARK) && sha256(content).as_bytes() == hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_damage_of_what_is_kept_goes_unseen() {
        let numbers = vec![1.5, -0.0, f32::MAX];
        let bytes = packed(&numbers);
        assert!(whole(&bytes) && bytes.len() as u64 == Kept::bytes(3));
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert!(!whole(&changed), "byte {i}");
            assert!(!whole(&bytes[..i]), "cut at {i}");
        }
        assert!(!whole(&[bytes, vec![0]].concat()));
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let kept = |most| Kept { folder: Some(folder.path().into()), most, fresh: false };
        let names: Vec<PathBuf> = (0..4).map(|i| kept(0).file("r", &format!("{i}")).unwrap()).collect();
        for (i, name) in names.iter().enumerate() {
            kept(0).write("r", &format!("{i}"), &[1.5; 100]).unwrap();
            let age = std::time::Duration::from_secs(100 * (10 - i as u64));
            std::fs::File::options()
                .append(true)
                .open(name)
                .unwrap()
                .set_modified(std::time::SystemTime::now() - age)
                .unwrap();
        }
        let Entry::Whole(values) = kept(0).read("r", "0", 100) else { panic!("it is there, and used just now") };
        assert_eq!(values.to_vec(), [1.5; 100]);
        assert!(matches!(kept(0).read("other", "0", 100), Entry::None));
        assert!(matches!(kept(0).read("r", "0", 99), Entry::Damaged));
        let size = Kept::bytes(100);
        assert_eq!(prune(folder.path(), 3 * size).unwrap(), 1);
        assert!(!names[1].exists() && names[0].exists() && names[2].exists());
        assert_eq!(prune(folder.path(), 3 * size - 1).unwrap(), 1);
        assert!(!names[2].exists() && names[3].exists());
        assert_eq!(prune(folder.path(), 0).unwrap(), 2);
        #[cfg(unix)]
        assert_eq!(values.to_vec(), [1.5; 100], "what is mapped stays");
    }
}
