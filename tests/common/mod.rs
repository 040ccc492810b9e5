//! What several test files share.
#![allow(dead_code)]

pub mod caml;
pub mod check;
pub mod counts;
pub mod dino;
pub mod experiments;
pub mod faults;
pub mod foreign;
pub mod hash;
pub mod layouts;
pub mod parts;
pub mod pdn;
pub mod program;
pub mod results;
pub mod rows;
pub mod scene;
pub mod schemas;
pub mod server;
pub mod skip;
pub mod spelled;
pub mod spoiled;
pub mod sweep;
pub mod thin;
pub mod torch;
pub mod trained;
pub mod two_layers;
pub mod vectors;
pub mod vit;
