//! Checks of composed shaders that need no device: what naga sees against what kernels declare, and what other compilers say.

pub mod declared;
pub mod exceptions;
mod planted;
pub mod seen;
pub mod tools;
pub mod translate;
pub mod units;
pub mod walk;
