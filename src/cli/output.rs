//! Where results go: stdout, and files that appear whole or not at all.

use crate::error::{Error, Result};
use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Read by whoever writes a file, written by who ends the process: files are whole then.
static WRITING: RwLock<()> = RwLock::new(());

/// Waits for the files that are being written; while the answer lives, no other is begun.
#[cfg(unix)]
pub fn no_writing() -> std::sync::RwLockWriteGuard<'static, ()> {
    WRITING.write().unwrap_or_else(PoisonError::into_inner)
}

fn writing() -> RwLockReadGuard<'static, ()> {
    WRITING.read().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` without printing its results: for a command that is made of others and has a result of its own.
pub fn silently(work: impl FnOnce() -> Result<()>) -> Result<()> {
    SILENT.set(true);
    let done = work();
    SILENT.set(false);
    done
}

/// A result on stdout. A reader that went away is no error.
pub fn print(text: &str) -> Result<()> {
    if SILENT.get() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(format!("stdout cannot be written: {e}"))),
        _ => Ok(()),
    }
}

/// A message on stderr; there is nowhere to complain if that fails.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
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
        Ok(m) if m.is_dir() => Err(fail(io::Error::other("it is a folder; name a file"))),
        Ok(m) if !m.is_file() => in_place(path, content).map_err(fail),
        // A link to a file keeps being one.
        Ok(_) => fs::canonicalize(path).and_then(|target| replace(&target, content)).map_err(fail),
        Err(_) => replace(path, content).map_err(fail),
    }
}

/// Makes a folder and tries that files can be written there.
///
/// # Errors
/// [`Error::Output`] with the folder and the system's reason.
pub fn folder(path: &Path) -> Result<()> {
    let _writing = writing();
    let fail = |e: io::Error| Error::Output(format!("{}: nothing can be written there: {e}", path.display()));
    fs::create_dir_all(path).map_err(fail)?;
    builder().tempfile_in(path).map(drop).map_err(fail)
}

/// Makes Lupe's cache folder. Where that fails, what would lie there is made again at every start.
pub fn make_cache() {
    let made = super::env::cache().map(|path| (fs::create_dir_all(&path), path));
    if let Some((Err(e), path)) = made {
        log::debug!("{}: nothing is kept there: {e}", path.display());
    }
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
        // The file is whole already; a file system that cannot sync folders loses at most its name in a power cut.
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

/// Makes a write beyond the file-size limit an error that can be reported instead of a signal that kills.
pub fn keep_running_at_file_size_limit() {
    #[cfg(unix)]
    {
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        if let Err(e) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen) {
            note(&format!("lupe: the file-size limit cannot be watched: {e}"));
        }
    }
}
