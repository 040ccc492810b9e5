//! AnomalyDINO (Damm et al. 2024, arXiv 2405.14529) and SubspaceAD (2026): anomalies by the patch tokens of a vision transformer, from a
//! few good pictures, without training.

pub mod foreground;
pub mod raise;
pub mod spectrum;
