//! Files: written whole or not at all, and recognised by their hash.

use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locked for reading by whoever writes a file, for writing by whoever ends the process: files are whole then.
static WRITING: RwLock<()> = RwLock::new(());

/// Waits for the files that are being written; while the guard is held, no other is started.
pub fn no_writing() -> RwLockWriteGuard<'static, ()> {
    WRITING.write().unwrap_or_else(PoisonError::into_inner)
}

fn writing() -> RwLockReadGuard<'static, ()> {
    WRITING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes a file whole or not at all; a target that exists and is no regular file (a device, a pipe) is written in place.
///
/// # Errors
/// [`Error::Output`] with the path and the system's reason; nothing half-written is left.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_by(path, &|file| file.write_all(bytes))
}

/// What writes a file's content.
type Content<'c> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'c;

/// As [`write()`], for content that is made while it is written.
///
/// # Errors
/// As [`write()`].
pub fn write_by(path: &Path, content: &Content) -> Result<()> {
    let fail = |e: io::Error| Error::Output(format!("{} cannot be written: {e}", path.display()));
    match fs::metadata(path) {
        Ok(m) if m.is_dir() => Err(fail(io::Error::other("it is a folder; expected a file"))),
        Ok(m) if !m.is_file() => in_place(path, content).map_err(fail),
        // A link to a file keeps being one.
        Ok(_) => fs::canonicalize(path).and_then(|target| replace(&target, content)).map_err(fail),
        Err(_) => replace(path, content).map_err(fail),
    }
}

/// Makes a folder and checks that files can be written there.
///
/// # Errors
/// [`Error::Output`] with the folder and the system's reason.
pub fn folder(path: &Path) -> Result<()> {
    let _writing = writing();
    let fail = |e: io::Error| Error::Output(format!("{}: cannot write there: {e}", path.display()));
    fs::create_dir_all(path).map_err(fail)?;
    builder().tempfile_in(path).map(drop).map_err(fail)
}

/// Writes a file as [`write()`] does, creating the folders above it.
///
/// # Errors
/// As [`write()`].
pub fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|e| Error::Output(format!("{} cannot be created: {e}", folder.display())))?;
    write(path, bytes)
}

/// What Lupe writes pictures and arrays into, below a folder of results, and the demo's sheet.
const OWN: [&str; 5] = ["heatmaps", "maps", "masks", "features", "contact_sheet.png"];

/// The file that says which names in its folder are Lupe's own.
const MARK: &str = ".lupe-results";

/// Marks names in a folder as Lupe's own, besides those that are marked already: what lies there is never taken for input.
///
/// # Errors
/// As [`write()`].
pub fn mark(folder: &Path, names: &[&str]) -> Result<()> {
    let mut all = own(folder);
    all.extend(OWN.into_iter().filter(|n| names.contains(n)));
    let lines: String = all.iter().map(|name| format!("{name}\n")).collect();
    write(&folder.join(MARK), format!("# Lupe wrote these, and does not take them for pictures:\n{lines}").as_bytes())
}

/// Names in a folder that are Lupe's own; in one without a mark, by the files that an earlier version left beside them.
pub fn own(folder: &Path) -> BTreeSet<&'static str> {
    if let Ok(text) = fs::read_to_string(folder.join(MARK)) {
        return OWN.into_iter().filter(|n| text.lines().any(|line| line == *n)).collect();
    }
    let is = |name: &str| folder.join(name).is_file();
    let results = is("timing.ndjson") && (is("results.ndjson") || is("results.csv"));
    OWN.into_iter().filter(|n| results && !n.contains('.')).collect()
}

fn in_place(path: &Path, content: &Content) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    content(&mut file)?;
    file.flush()
}

fn replace(path: &Path, content: &Content) -> io::Result<()> {
    let _writing = writing();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = builder().tempfile_in(folder)?;
    content(temporary.as_file_mut())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|e| e.error)?;
    if let Ok(folder) = File::open(folder) {
        // The file itself is complete; a file system that cannot sync folders loses at most its name in a power cut.
        let _ = folder.sync_all();
    }
    Ok(())
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".lupe-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666)); // less the umask, as any new file
    }
    builder
}
