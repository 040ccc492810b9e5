//! Every environment variable that is read, and those that are set.
//!
//! Read:
//! - `NO_COLOR`: no colour.
//! - `WGPU_BACKEND`: backends to look for adapters in, as in `vulkan,gl`.
//! - `LUPE_NO_REEXEC`: as `--no-reexec`, whatever its value.
//! - `LP_NATIVE_VECTOR_WIDTH`: the software driver's own; a value set by the user is kept.
//! - `HTTPS_PROXY` or, for an address without TLS, `HTTP_PROXY`, else `ALL_PROXY`: the proxy of `lupe weights pull`; `NO_PROXY`: hosts
//!   that it reaches without. In capitals or not.
//! - `XDG_CACHE_HOME`, else `HOME`: where Lupe's cache folder is.
//!
//! Set, unless the user did:
//! - `NODEVICE_SELECT`: keeps Mesa's device-select layer from writing to stderr at every start.
//! - `MESA_SHADER_CACHE_DIR`: keeps Mesa's compiled kernels in Lupe's cache folder (not set if `MESA_SHADER_CACHE_DISABLE` is, either).
//! - `LP_NATIVE_VECTOR_WIDTH` and `LUPE_REEXECUTED`: for the process that replaces this one (`cli/width`), and for the self-test
//!   before it.

use crate::error::{Error, Result, plain};
use crate::files::sha256;
use crate::weights::catalog::named;
#[cfg(feature = "pull")]
use crate::weights::pull::Via;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

const WIDTH: &str = "LP_NATIVE_VECTOR_WIDTH";
const AGAIN: &str = "LUPE_REEXECUTED";
const OFF: &str = "LUPE_NO_REEXEC";
const MESA_CACHE: &str = "MESA_SHADER_CACHE_DIR";
/// Including Mesa's earlier names for them.
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

/// Backends to look for adapters in; all if it is not set.
pub fn backends() -> Option<String> {
    env::var("WGPU_BACKEND").ok().filter(|b| !b.is_empty())
}

/// Refuses a backend that there is not: nothing would be found, and nothing would say why.
///
/// # Errors
/// [`Error::Usage`] with the name.
pub fn check_backends() -> Result<()> {
    const KNOWN: [&str; 9] = ["vulkan", "metal", "dx12", "gl", "vk", "mtl", "d3d12", "gles", "opengl"];
    let asked = backends().unwrap_or_default().to_lowercase();
    match asked.split(',').map(str::trim).find(|name| !asked.is_empty() && !KNOWN.contains(name)) {
        Some(name) => Err(Error::Usage(format!(
            "WGPU_BACKEND: unknown backend `{}`; available: {}",
            plain(name),
            KNOWN.get(..4).unwrap_or_default().join(", ")
        ))),
        None => Ok(()),
    }
}

/// Whether the user has turned colour off.
pub fn no_color() -> bool {
    env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
}

/// Lupe's cache folder, whether or not it exists; `None` if the system does not say where caches belong.
pub fn cache() -> Option<PathBuf> {
    // A relative path would mean another folder in every working directory; the XDG specification says to ignore it.
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("lupe"))
}

/// A file of Lupe's cache folder for what is known about `key`: `kind` and the start of the key's hash.
pub fn cached(kind: &str, key: &str) -> Option<PathBuf> {
    let hash = sha256(key.as_bytes());
    Some(cache()?.join(format!("{kind}{}.json", hash.get(..16).unwrap_or(&hash))))
}

/// The file that `--weights` names: a path as it was given or, if there is none and it is a name of the catalog, where
/// `lupe weights pull` puts the file, whether or not it is there.
pub fn weights(given: &Path) -> PathBuf {
    let fetched = || named(given.to_str()?).ok()?.place(&cache()?);
    Some(given).filter(|path| path.exists()).map(Path::to_path_buf).or_else(fetched).unwrap_or_else(|| given.into())
}

/// The proxy for an address with TLS, or without.
#[cfg(feature = "pull")]
pub fn proxy(tls: bool) -> Option<Via> {
    let value = |name: &'static str| {
        let lower = || env::var(name.to_lowercase()).ok().filter(|v| !v.is_empty());
        Some((name, env::var(name).ok().filter(|v| !v.is_empty()).or_else(lower)?))
    };
    let (variable, address) = value(if tls { "HTTPS_PROXY" } else { "HTTP_PROXY" }).or_else(|| value("ALL_PROXY"))?;
    let except = value("NO_PROXY").map_or(vec![], |(_, hosts)| hosts.split(',').map(str::to_string).collect());
    Some(Via { variable, address, except })
}

/// Whether the software driver's width has been chosen already.
pub fn width_is_set() -> bool {
    env::var_os(WIDTH).is_some()
}

/// Whether this process replaced one that chose the width.
pub fn reexecuted() -> bool {
    env::var_os(AGAIN).is_some()
}

/// Whether the user has forbidden starting the program again.
pub fn no_reexec() -> bool {
    env::var_os(OFF).is_some()
}

/// Sets that width for a command, marked as chosen by Lupe.
pub fn widen(command: &mut Command, bits: u32) -> &mut Command {
    command.env(WIDTH, bits.to_string()).env(AGAIN, "1")
}
