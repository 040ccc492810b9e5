//! The first part of a fit: which pictures are trained on, and what the teacher says of them.

use super::Config;
use super::examples::Examples;
use super::fit::FitOptions;
use super::split::Split;
use super::statistics::Statistics;
use super::taught::{Taught, taught};
use super::teacher::Teacher;
use crate::data::dataset::{Dataset, Sample};
use crate::engine::{Gpu, Named};
use crate::error::{Error, Result, plain, shown};
use crate::methods::limit;
use crate::methods::looking::Missed;
use crate::watch::Watch;

/// What a fit works on.
#[derive(Clone, Copy, Debug)]
pub struct Good<'a> {
    /// The good pictures are its training split, and its own validation split where it has one.
    pub set: &'a Dataset,
    /// The teacher.
    pub teacher: &'a Teacher,
    /// Pictures of anything else; none where the student is trained without.
    pub penalty: &'a [Sample],
}

/// A fit whose training has not begun: everything that does not depend on it.
#[derive(Debug)]
pub struct Begun<'a> {
    /// Every choice.
    pub config: &'a Config,
    /// What it works on.
    pub good: Good<'a>,
    /// Which pictures are for what.
    pub split: Split,
    /// What the teacher says of those to train on.
    pub statistics: Statistics,
    /// The teacher's weights by [`TEACHER`](super::TEACHER), its outputs brought to one scale.
    pub teacher: Named,
    /// What the training looks at.
    pub examples: Examples,
    /// Pictures that could not be read.
    pub missed: Missed,
}

impl Good<'_> {
    /// Whether the choices suit teacher and pictures: needs no device.
    ///
    /// # Errors
    /// [`Error::Usage`] for invalid choices; [`Error::Input`] if there is no good picture.
    pub fn check(&self, config: &Config) -> Result<()> {
        config.check()?;
        if self.set.train.is_empty() {
            return Err(Error::Input(format!("{}: has no good picture to fit on", shown(&self.set.root))));
        }
        if config.penalty.is_some() == self.penalty.is_empty() {
            return Err(Error::Usage("--penalty: the pictures of anything else are not those that were named".into()));
        }
        Ok(())
    }
}

/// Splits the pictures, and looks at those to train on with the teacher.
///
/// # Errors
/// As [`Good::check`] and [`Split::of`]; [`Error::Usage`] for a limit rule that gives no limit; [`Error::Input`] for a picture that cannot
/// be read, unless others are to be taken all the same; [`Error::Numeric`] for a teacher that says the same of everything; whatever the
/// device and the watcher report.
pub async fn begin<'a>(
    gpu: &Gpu,
    good: Good<'a>,
    config: &'a Config,
    options: &FitOptions,
    watch: &dyn Watch,
) -> Result<Begun<'a>> {
    good.check(config)?;
    let data = good.set.root.to_string_lossy().into_owned();
    let mut split = Split::of([&good.set.train, &good.set.validation], config.seed, &data)?;
    limit::check_asked(&options.limit_rule, &vec![0.0; split.validation.len()])?;
    for left in &split.left_out {
        let (name, why) = (plain(&left.picture.name), plain(&left.why.to_string()));
        watch.say(&format!("note: {name} is left out: {why}"));
    }
    let networks = config.networks();
    let asked = (good.teacher, &split.train[..]);
    let Taught { sums, maps, missed } = taught(gpu, asked, config, (options, watch)).await?;
    let read = split.train.into_iter().enumerate().filter(|(i, _)| !missed.has(*i));
    split.train = read.map(|k| k.1).collect();
    if split.train.is_empty() {
        let list: String = missed.failed.iter().map(|(_, why)| format!("\n  {why}")).collect();
        return Err(Error::Input(format!("{}: no picture to train on can be read:{list}", shown(&good.set.root))));
    }
    let statistics = sums.statistics()?;
    let teacher = networks.normalised(good.teacher.weights.tensors(), &statistics);
    let train = split.train.iter().map(|k| k.sample.clone()).collect();
    let examples = Examples::new(config, train, good.penalty.to_vec(), options.loading.limits).taught(maps);
    Ok(Begun { config, good, split, statistics, teacher, examples, missed })
}
