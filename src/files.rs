//! Files: written whole or not at all, and recognised by their hash.

use crate::error::{Error, Result, shown};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

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

/// Hexadecimal SHA-256 of a file, which is read piece by piece.
///
/// # Errors
/// The system's, if it cannot be opened or read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let (mut source, mut sum, mut piece) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        let n = source.read(&mut piece)?;
        let Some(part) = piece.get(..n).filter(|p| !p.is_empty()) else { break };
        sum.update(part);
    }
    Ok(sum.finalize().iter().map(|b| format!("{b:02x}")).collect())
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
    let fail = |e: io::Error| cannot(path, &e);
    match fs::metadata(path) {
        Ok(m) if m.is_dir() => Err(fail(io::Error::other("it is a folder; expected a file"))),
        Ok(m) if !m.is_file() => in_place(path, content).map_err(fail),
        // A link to a file keeps being one.
        Ok(_) => fs::canonicalize(path).and_then(|target| replace(&target, content)).map_err(fail),
        Err(_) => replace(path, content).map_err(fail),
    }
}

fn cannot(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Output(format!("{} cannot be written: {why}", shown(path)))
}

/// Writes a file of a cache, whole or not at all, and makes the folders above it. It is not forced to the disk: whoever reads it notices
/// what a power cut left of it.
///
/// # Errors
/// The system's.
pub fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _writing = writing();
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let mut temporary = builder().tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.persist(path).map(drop).map_err(|e| e.error)
}

/// A file that is mapped into memory.
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps a file.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Mapped> {
        Mapped::of(&File::open(path)?)
    }

    /// Maps an open file.
    ///
    /// # Errors
    /// The system's.
    pub fn of(file: &File) -> io::Result<Mapped> {
        // SAFETY: the file is only read; if another program shortens it meanwhile, a signal ends this process, as with any mapped file,
        // but it cannot read anything else.
        #[allow(unsafe_code)]
        let map = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Mapped(map))
    }
}

impl std::ops::Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Marks a file of a cache as used just now.
///
/// # Errors
/// The system's.
pub fn touch(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).open(path)?.set_modified(SystemTime::now())
}

/// Removes the files of a folder's folders that were used longest ago until all that is left has at most so many bytes, and returns how
/// many were removed. What other processes remove meanwhile is no matter.
///
/// # Errors
/// The system's, if the folder or a file cannot be looked at or removed.
pub fn prune(folder: &Path, most: u64) -> io::Result<usize> {
    let gone = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
    let mut files = vec![];
    for inner in fs::read_dir(folder)? {
        for file in fs::read_dir(inner?.path())? {
            let path = file?.path();
            match fs::metadata(&path) {
                Err(e) if gone(&e) => {}
                found => {
                    let found = found?;
                    files.push((found.modified()?, path, found.len()));
                }
            }
        }
    }
    files.sort();
    let (mut left, mut removed) = (files.iter().map(|f| f.2).sum::<u64>(), 0);
    for (_, path, bytes) in files {
        if left <= most {
            break;
        }
        fs::remove_file(&path).or_else(|e| if gone(&e) { Ok(()) } else { Err(e) })?;
        (left, removed) = (left - bytes, removed + 1);
    }
    Ok(removed)
}

/// Makes a folder and checks that files can be written there.
///
/// # Errors
/// [`Error::Output`] with the folder and the system's reason.
pub fn folder(path: &Path) -> Result<()> {
    let fail = |e: io::Error| Error::Output(format!("{}: cannot write there: {e}", shown(path)));
    if fs::metadata(path).is_ok_and(|m| !m.is_dir()) {
        return Err(fail(io::Error::other("it is a file; expected a folder")));
    }
    let _writing = writing();
    fs::create_dir_all(path).and_then(|()| probe(path)).map_err(fail)
}

/// Holds a folder for one run: as long as what is returned lives, no other process holds it. `None` where the system locks no folders.
///
/// # Errors
/// [`Error::Output`] if another run holds it.
pub fn hold(folder: &Path) -> Result<Option<File>> {
    let Ok(held) = File::open(folder) else { return Ok(None) };
    match held.try_lock() {
        Ok(()) => Ok(Some(held)),
        Err(TryLockError::WouldBlock) => Err(Error::Output(format!(
            "{}: another run is writing there; wait until it has finished, or choose another output",
            shown(folder)
        ))),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Checks that [`write()`] can write a file, whose folder is made.
///
/// # Errors
/// [`Error::Output`] with the path and the system's reason.
pub fn target(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    let _writing = writing();
    fs::create_dir_all(folder).map_err(|e| cannot(path, &format!("{}: {e}", shown(folder))))?;
    match fs::metadata(path) {
        Ok(m) if m.is_dir() => Err(cannot(path, &"it is a folder; expected a file")),
        Ok(m) if !m.is_file() => Ok(()), // a device or a pipe: opening it could wait for a reader
        Ok(_) => fs::canonicalize(path).and_then(|file| probe(folder_of(&file))).map_err(|e| cannot(path, &e)),
        Err(_) if path.is_symlink() => Err(cannot(path, &"it is a link that leads nowhere; remove it")),
        Err(_) => probe(folder).map_err(|e| cannot(path, &e)),
    }
}

/// Makes a file in a folder, and removes it.
fn probe(folder: &Path) -> io::Result<()> {
    tempfile::Builder::new().prefix(".lupe_").tempfile_in(folder).map(drop)
}

/// A path without links and steps upwards in its folders; its last name is kept, be it a link or not there.
pub fn place(path: &Path) -> PathBuf {
    let folder = fs::canonicalize(folder_of(path)).or_else(|_| std::path::absolute(folder_of(path)));
    path.file_name().zip(folder.ok()).map_or_else(|| path.to_path_buf(), |(name, folder)| folder.join(name))
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file as [`write()`] does, creating the folders above it.
///
/// # Errors
/// As [`write()`].
pub fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder).map_err(|e| Error::Output(format!("{} cannot be created: {e}", shown(folder))))?;
    write(path, bytes)
}

fn in_place(path: &Path, content: &Content) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    content(&mut file)?;
    file.flush()
}

fn replace(path: &Path, content: &Content) -> io::Result<()> {
    let _writing = writing();
    let folder = folder_of(path);
    let mut temporary = builder().tempfile_in(folder)?;
    content(temporary.as_file_mut())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|e| e.error)?;
    sync_folder(folder);
    Ok(())
}

/// A file that comes piece by piece and whose pieces outlive an interrupt: it lies beside its target, as `NAME.part`, until it is whole.
/// While it is open, no other process opens it.
#[derive(Debug)]
pub struct Part {
    file: File,
    path: PathBuf,
    target: PathBuf,
    bytes: u64,
}

impl Part {
    /// Where the pieces of `target` lie.
    pub fn path_of(target: &Path) -> PathBuf {
        let mut name = target.as_os_str().to_owned();
        name.push(".part");
        name.into()
    }

    /// Opens what there is of `target`, or begins; the folders above it are made.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written, or another process is at it.
    pub fn open(target: &Path) -> Result<Part> {
        let path = Part::path_of(target);
        let _writing = writing();
        fs::create_dir_all(folder_of(&path)).map_err(|e| cannot(&path, &e))?;
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let file = opened.map_err(|e| cannot(&path, &e))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let why = "another process is writing it; wait until that has finished";
            return Err(cannot(&path, &why));
        }
        let bytes = file.metadata().map_err(|e| cannot(&path, &e))?.len();
        Ok(Part { file, path, target: target.into(), bytes })
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Drops all there is.
    ///
    /// # Errors
    /// [`Error::Output`] with the system's reason.
    pub fn restart(&mut self) -> Result<()> {
        self.bytes = 0;
        self.file.set_len(0).map_err(|e| cannot(&self.path, &e))
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// [`Error::Output`] with the system's reason; what came before stays.
    pub fn add(&mut self, piece: &[u8]) -> Result<()> {
        let _writing = writing();
        let kept = "what came is kept beside it; make room and run the same command again";
        self.file.write_all(piece).map_err(|e| cannot(&self.target, &format!("{e}; {kept}")))?;
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// Hexadecimal SHA-256 of what is on disk.
    ///
    /// # Errors
    /// [`Error::Output`] with the system's reason.
    pub fn sha256(&self) -> Result<String> {
        sha256_of(&self.path).map_err(|e| cannot(&self.path, &e))
    }

    /// Gives the whole file its name.
    ///
    /// # Errors
    /// [`Error::Output`] with the system's reason.
    pub fn finish(self) -> Result<()> {
        let _writing = writing();
        let named = self.file.sync_all().and_then(|()| fs::rename(&self.path, &self.target));
        named.map_err(|e| cannot(&self.target, &e))?;
        sync_folder(folder_of(&self.target));
        Ok(())
    }

    /// Removes it.
    ///
    /// # Errors
    /// [`Error::Output`] with the system's reason.
    pub fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|e| cannot(&self.path, &e))
    }
}

/// The files in it are complete; a file system that cannot sync folders loses at most a name in a power cut.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
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
