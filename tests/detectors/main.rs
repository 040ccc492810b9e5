//! Methods that learn from good pictures, and the limit they set.

#[path = "../common/mod.rs"]
mod common;

mod dino;
mod dino_ad;
mod dino_hazelnut;
mod efficientad;
mod hazelnut;
mod inspect;
mod interrupt;
mod limits;
mod patchcore;
