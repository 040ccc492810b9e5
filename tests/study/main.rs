//! `lupe experiment`, metrics and statistics.

#[path = "../common/mod.rs"]
mod common;

mod experiment;
mod experiment_trained;
mod metrics;
mod scale;
mod statistics;
mod study_browser;
mod study_gaussians;
mod study_report;
