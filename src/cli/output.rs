//! Results on stdout, messages on stderr.

use crate::error::{Error, Result, lines, plain, shown};
use comfy_table::{Cell, Row, Table, presets};
use std::io::{self, Write};
use std::path::Path;

thread_local! {
    static SILENT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Does `work` without printing its results: for a command that is made of others and has a result of its own.
pub fn silently(work: impl FnOnce() -> Result<()>) -> Result<()> {
    SILENT.set(true);
    let done = work();
    SILENT.set(false);
    done
}

/// A result on stdout. A reader that has gone away is not an error.
pub fn print(text: &str) -> Result<()> {
    if SILENT.get() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", lines(text)).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(format!("cannot write to stdout: {e}"))),
        _ => Ok(()),
    }
}

/// A table without lines, under these headings.
pub fn new_table<T: Into<Cell>>(header: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(Row::from(header.into_iter().map(Into::into).collect::<Vec<Cell>>()));
    table
}

/// A message on stderr; there is nowhere to complain if that fails.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", lines(text));
}

/// Makes Lupe's cache folder. If that fails, its contents are made again at every start.
pub fn make_cache() {
    let made = super::env::cache().map(|path| (std::fs::create_dir_all(&path), path));
    if let Some((Err(e), path)) = made {
        log::debug!("{}: cannot be created, so nothing is cached: {e}", shown(&path));
    }
}

/// Makes a write beyond the file-size limit an error that can be reported instead of a signal that kills.
pub fn keep_running_at_file_size_limit() {
    #[cfg(unix)]
    {
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        if let Err(e) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen) {
            note(&format!("lupe: cannot catch the file-size limit: {e}"));
        }
    }
}

/// A path as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let text = plain(&path.to_string_lossy());
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    let safe = |c: char| c.is_alphanumeric() || "._/-+=:@%,".contains(c) || (cfg!(windows) && c == '\\');
    if text.chars().all(safe) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_can_be_pasted() {
        let quoted = |path: &str| quoted(Path::new(path));
        assert_eq!(quoted("a/b-1.pth"), "a/b-1.pth");
        assert_eq!(quoted("my weights.pth"), "'my weights.pth'");
        assert_eq!(quoted("it's.pth"), r"'it'\''s.pth'");
        assert_eq!(quoted("-x.pth"), "./-x.pth");
    }
}
