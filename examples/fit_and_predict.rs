//! Fits PatchCore on good pictures, scores one picture and reads its anomaly map: `fit_and_predict GOOD_PICTURES PICTURE`.

use lupe::data::{Limits, Picture, dataset::Dataset};
use lupe::engine::{Choice, Gpu};
use lupe::methods::patchcore::{Config, FitOptions, Good, fit};
use lupe::methods::{RunOptions, Scorer, open};
use lupe::{models, watch::Unwatched};
use std::path::PathBuf;

fn main() -> lupe::Result<()> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [good, picture] = paths.as_slice() else { return Err(lupe::Error::Usage("GOOD_PICTURES PICTURE".into())) };
    pollster::block_on(async {
        let gpu = Gpu::new(&Choice::Auto, None).await?;
        let (network, weights) = models::open("efficientnet_lite0", None)?;
        let good = Good { set: &Dataset::open(good)?.to_fit(false)?, network, weights: &weights };
        let config = Config::default();
        fit(&gpu, good, &config, &FitOptions::default(), &Unwatched).await?.0.save("part.lupe")?;
        let fitted = open("part.lupe")?; // any method's model
        let mut scorer = Scorer::new(&gpu, &*fitted, &RunOptions::default(), false).await?;
        for finding in scorer.score(&[Picture::open(picture, Limits::default())?]).await? {
            let highest = finding.map.iter().flat_map(|map| &map.data).fold(f32::MIN, |m, v| m.max(*v));
            println!("score {} of limit {:?}, highest on the map {highest}", finding.score, fitted.limit());
        }
        Ok(())
    })
}
