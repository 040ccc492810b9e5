//! What is done with networks: fit, predict, evaluate. Nothing is printed here; the caller may [watch](crate::watch).
//!
//! A method provides its fit and one value of [`Method`]; everything after a fit is written once, against [`Fitted`]: from pictures to
//! findings ([`Scorer`]), results and metrics ([`predict`]).
//!
//! ```no_run
#![doc = include_str!("../../examples/fit_and_predict.rs")]
//! ```

pub mod augment;
pub mod backbone;
mod background;
pub mod batched;
pub mod caml;
mod classified;
pub mod classifier;
pub mod classify;
pub mod dino;
pub mod distill;
pub mod drawing;
pub mod efficientad;
pub mod embed;
pub mod episodes;
pub mod evaluation;
pub mod fitted;
mod gathered;
pub mod kept;
pub mod labelled;
pub mod limit;
mod looking;
pub mod metrics;
pub mod patchcore;
pub mod predict;
pub mod prototype;
pub mod results;
pub mod scorer;
pub mod subject;
pub mod vector;

pub use batched::RunOptions;
pub use fitted::{Answer, Description, Finding, Fitted, Known, LeftOut, Method, Methods, Seen, Stage, Why, open};
pub use limit::{LimitRule, Trained};
pub use looking::{Looked, Missed};
pub use scorer::{Scored, Scorer};
