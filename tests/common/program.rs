//! The binary as a user meets it: running it in a folder of its own, and holding its answers to what is wanted.

use super::skip::{skip, this_test, without_device};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub struct Bench {
    pub dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A small photograph-like PNG.
    pub fn picture(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        image::RgbImage::from_fn(80, 70, |x, y| image::Rgb([(x * 3) as u8, (y * 3) as u8, (x * y) as u8]))
            .save(&path)
            .unwrap();
        path
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    pub fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// The binary at the driver's own width, with a cache folder in the build folder. The driver's compiled kernels stay where it keeps
/// them by itself: tests that call the library share them.
pub fn lupe() -> Command {
    let mut command = reexecuting();
    command.env("LUPE_NO_REEXEC", "1");
    command
}

/// As [`lupe`], but free to start itself again.
pub fn reexecuting() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lupe"));
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    if let (Some(caches), None) = (caches, std::env::var_os("MESA_SHADER_CACHE_DIR")) {
        command.env("MESA_SHADER_CACHE_DIR", caches);
    }
    command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command.env_remove("NODEVICE_SELECT").env_remove("XDG_RUNTIME_DIR");
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs, and holds the exit code and a part of stderr to what is wanted.
pub fn refused(command: &mut Command, code: i32, want: &[&str]) {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = text(&stderr);
    assert_eq!(status.code(), Some(code), "{command:?}: {stderr}");
    for part in want {
        assert!(stderr.contains(part), "{command:?}: \"{part}\" is not in: {stderr}");
    }
}

pub fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", text(&stderr));
    text(&stdout)
}

/// Whether the running test, which needs a device, is skipped.
pub fn no_gpu() -> bool {
    without_device(&this_test())
}

/// Runs `with` in a folder that is a file system of its own of one MiB, if that may be had.
#[cfg(target_os = "linux")]
pub fn on_a_small_disk(b: &Bench, with: impl FnOnce(&Path)) {
    let mount = b.path("mount");
    fs::create_dir_all(&mount).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&mount).status();
    if !mounted.is_ok_and(|s| s.success()) {
        return skip(&format!("{}, the full disk", this_test()), "a tmpfs may not be mounted here");
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| with(&mount)));
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
    result.unwrap();
}
