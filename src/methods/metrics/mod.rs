//! How good a detector is: exact metrics of pictures and of pixels, without bins, with equal scores taken together.
//!
//! Everywhere a higher score means more anomalous, and a prediction is `score >= threshold`.

mod confusion;
mod pixels;
mod ranking;
mod regions;
mod resamples;
mod score;
mod signed_rank;
mod spread;

pub use confusion::{Confusion, share};
pub use pixels::{Counts, PixelMetrics, Pixels};
pub use ranking::{Ranking, Threshold, ranking, steps};
pub use regions::{Components, area, components};
pub use resamples::{Resamples, percentiles};
pub use score::Score;
pub use signed_rank::{holm, signed_rank};
pub use spread::{Spread, Welch, student};

/// A metric, or the reason why it is undefined, such as `no defective sample`.
pub type MetricValue = std::result::Result<f64, &'static str>;

const NO_DEFECTIVE: &str = "no defective sample";
const NO_DEFECT_FREE: &str = "no defect-free sample";
const NO_REGION: &str = "no defective region";
