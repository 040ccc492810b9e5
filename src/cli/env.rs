//! Every environment variable that is read, and those that are set.
//!
//! Read:
//! - `NO_COLOR`: no colour.
//! - `WGPU_BACKEND`: backends to look for adapters in, as in `vulkan,gl`.
//! - `LUPE_NO_REEXEC`: as `--no-reexec`, whatever its value.
//! - `LP_NATIVE_VECTOR_WIDTH`: the software driver's own; what the user sets stands.
//! - `XDG_CACHE_HOME`, else `HOME`: where Lupe's cache folder lies.
//!
//! Set, unless the user did:
//! - `NODEVICE_SELECT`: keeps Mesa's device-select layer from writing to stderr at every start.
//! - `MESA_SHADER_CACHE_DIR`: Mesa's compiled kernels lie in Lupe's cache folder (not where `MESA_SHADER_CACHE_DISABLE` is set, either).
//! - `LP_NATIVE_VECTOR_WIDTH` and `LUPE_REEXECUTED`: for the program that takes this one's place (`cli/width`), and for the self-test
//!   before.

use crate::files::sha256;
use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

const WIDTH: &str = "LP_NATIVE_VECTOR_WIDTH";
const AGAIN: &str = "LUPE_REEXECUTED";
const OFF: &str = "LUPE_NO_REEXEC";
const MESA_CACHE: &str = "MESA_SHADER_CACHE_DIR";
/// Also the names that Mesa had before.
const MESA_CACHE_BY_USER: [&str; 4] =
    [MESA_CACHE, "MESA_SHADER_CACHE_DISABLE", "MESA_GLSL_CACHE_DIR", "MESA_GLSL_CACHE_DISABLE"];

/// Sets what must be set before a driver is loaded.
pub fn prepare() {
    if env::var_os("NODEVICE_SELECT").is_none() {
        set("NODEVICE_SELECT", "1".as_ref());
    }
    let ours = !MESA_CACHE_BY_USER.iter().any(|name| env::var_os(name).is_some());
    if let (true, Some(folder)) = (ours, cache()) {
        set(MESA_CACHE, folder.as_os_str());
    }
}

fn set(name: &str, value: &OsStr) {
    // SAFETY: this is the first thing the program does; no other thread exists that could read the environment.
    #[allow(unsafe_code)]
    unsafe {
        env::set_var(name, value);
    }
}

/// Backends to look for adapters in; all where it says nothing.
pub fn backends() -> Option<String> {
    env::var("WGPU_BACKEND").ok().filter(|b| !b.is_empty())
}

/// Whether the user wants no colour.
pub fn no_color() -> bool {
    env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
}

/// Lupe's cache folder, whether or not it exists; none where the system does not say where caches lie.
pub fn cache() -> Option<PathBuf> {
    // A relative path would be another folder in every folder; the XDG specification has it ignored.
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("lupe"))
}

/// A file of Lupe's cache folder for what is known about `key`: `kind` and the start of the key's hash.
pub fn cached(kind: &str, key: &str) -> Option<PathBuf> {
    let hash = sha256(key.as_bytes());
    Some(cache()?.join(format!("{kind}{}.json", hash.get(..16).unwrap_or(&hash))))
}

/// Whether the software driver's width is somebody's choice already.
pub fn width_is_set() -> bool {
    env::var_os(WIDTH).is_some()
}

/// Whether this program took the place of one that chose the width.
pub fn reexecuted() -> bool {
    env::var_os(AGAIN).is_some()
}

/// Whether the user wants no other program in this one's place.
pub fn no_reexec() -> bool {
    env::var_os(OFF).is_some()
}

/// Gives a command that width, as a choice of Lupe's.
pub fn widen(command: &mut Command, bits: u32) -> &mut Command {
    command.env(WIDTH, bits.to_string()).env(AGAIN, "1")
}
