//! The study: few-shot learners beside detectors on a user's folders, fairly, with intervals, and with everything kept that it was made of.
//!
//! A [`Results`] is all that a study found out, as it is: who took part, what was drawn, what was said. Everything in tables, plots and
//! sentences follows from it by pure functions.

pub mod analysis;
pub mod draw;
pub mod folder;
pub mod grid;
pub mod pictures;
mod record;
pub mod report;
pub mod run;

pub use record::{
    Answer, Category, Draw, Facts, Family, LeftOut, Limit, Method, Outcome, Pool, Query, Results, Task, Timing, Variant,
};
