//! Pictures and folders of them.

#[path = "../common/mod.rs"]
mod common;

mod classes;
mod damage;
mod data_check;
mod data_layouts;
mod dataset;
mod doubtful;
mod folders;
mod formats;
mod pictures;
mod sets;
