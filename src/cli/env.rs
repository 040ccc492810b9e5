//! Every environment variable that is read, and the one that is set.
//!
//! `NO_COLOR`: no colour. `WGPU_BACKEND`: backends to look for adapters in, as in `vulkan,gl`.

use std::env;

/// Keeps Mesa's device-select layer from writing to stderr at every start, unless the user set the variable.
pub fn prepare() {
    if env::var_os("NODEVICE_SELECT").is_none() {
        // SAFETY: this is the first thing the program does; no other thread exists that could read the environment.
        #[allow(unsafe_code)]
        unsafe {
            env::set_var("NODEVICE_SELECT", "1");
        }
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
