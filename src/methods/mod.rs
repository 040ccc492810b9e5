//! What is done with networks: pictures in, answers out. No printing here.

pub mod embed;
pub mod metrics;
pub mod patchcore;
pub mod self_test;
pub mod stand_in;
