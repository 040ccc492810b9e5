//! Networks against the values of other programs, and what is asked of a network alone.

#[path = "../common/mod.rs"]
mod common;

mod classify;
mod efficientnet;
mod embed;
mod layouts;
mod models;
mod vit;
mod vit_names;
