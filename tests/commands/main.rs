//! The program as a user meets it, whatever the method.

#[path = "../common/mod.rs"]
mod common;

mod bench;
mod cli;
mod demo;
mod few_shot;
mod hostile;
mod house;
mod hunted;
mod left_behind;
mod profile;
mod promises;
mod tune;
mod verify;
