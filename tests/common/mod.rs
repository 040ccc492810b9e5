//! What several test files share.
#![allow(dead_code)]

pub mod caml;
pub mod caps;
pub mod check;
pub mod counts;
pub mod dino;
pub mod experiments;
pub mod faults;
pub mod foreign;
pub mod hash;
pub mod layouts;
pub mod orders;
pub mod parts;
pub mod pdn;
pub mod program;
pub mod random;
pub mod results;
pub mod rows;
pub mod scene;
pub mod schemas;
pub mod server;
pub mod skip;
pub mod spelled;
pub mod spoiled;
pub mod study;
pub mod study_answers;
pub mod sweep;
pub mod thin;
pub mod torch;
pub mod trained;
pub mod two_layers;
pub mod vectors;
pub mod vit;
