//! The project itself: its documents, layers, licences and workflows.

#[path = "../common/mod.rs"]
mod common;

mod docs;
mod layering;
mod licences;
mod workflows;
