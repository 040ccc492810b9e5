//! Methods that learn classes from a few pictures, and episodes.

#[path = "../common/mod.rs"]
mod common;

mod caml;
mod caml_fit;
mod classified;
mod episodes;
mod pmf;
mod prototype;
mod prototype_head;
