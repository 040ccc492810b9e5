//! Measuring: an adapter's ceilings, the time of every dispatch of a plan, and how that is shown.

pub mod bench;
pub mod ceilings;
pub mod html;
pub mod kinds;
pub mod measurement;
pub mod profile;
pub mod roofline;
pub mod self_test;
pub mod stats;
pub mod supervised;
pub mod trace;
pub mod tune;
pub mod tuned;
pub mod verdict;
pub mod ways;
pub mod width;
