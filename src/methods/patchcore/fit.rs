//! The fit: patch vectors of good pictures, the selection of the bank's rows, and every training picture's own score.

use super::bag::{Bag, Sizes};
use super::training::tell_sizes;
use super::{Config, Grid, MAX_ROWS, PatchCore, projection};
use crate::data::dataset::{Dataset, Sample};
use crate::data::load::Loading;
use crate::data::{Prepared, Preprocess};
use crate::engine::{Gpu, Graph, Scope, Var};
use crate::error::{Error, Result, plain, shown, size};
use crate::files::sha256;
use crate::memory::peak_memory;
use crate::methods::batched::{Batched, RunOptions, Under, head, part};
use crate::methods::limit::{self, LimitRule};
use crate::methods::looking::{Coverage, Device, Looked, Missed, look};
use crate::models::Network;
use crate::tensor::Tensor;
use crate::watch::Watch;
use crate::weights::Weights;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Seconds of a fit by stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Patch vectors.
    pub features: f64,
    /// Selection of the bank's rows.
    pub coreset: f64,
    /// The training pictures' scores.
    pub scoring: f64,
}

/// How a fit works.
#[derive(Clone, Debug, Default)]
pub struct FitOptions {
    /// How plans are made, and pictures per run.
    pub run: RunOptions,
    /// How pictures are loaded.
    pub loading: Loading,
    /// Bytes of memory that may be used; `None`: as much as is needed.
    pub limit_ram: Option<u64>,
    /// Where the model will be written: patch vectors are kept beside it until the fit is over, so that an interrupted one can resume.
    pub output: Option<PathBuf>,
    /// Whether to ignore patch vectors that an interrupted fit left there, and compute them again.
    pub fresh: bool,
    /// Whether the backbone's weights are left out of the model's file.
    pub no_embed_backbone: bool,
    /// How the limits follow from the training pictures' scores.
    pub limit_rule: LimitRule,
    /// Whether pictures that [stand apart](crate::methods::limit::apart) are left out, and the bank selected once more without them.
    pub drop_outliers: bool,
}

/// What a fit works on.
#[derive(Clone, Copy, Debug)]
pub struct Good<'a> {
    /// Pictures, split into those to fit on and those to test with; good ones of the latter are kept aside.
    pub set: &'a Dataset,
    /// The network.
    pub network: &'static Network,
    /// Its weights, batch norms folded.
    pub weights: &'a Weights,
}

impl Good<'_> {
    /// Whether the choices suit the network and the pictures: needs no device.
    ///
    /// # Errors
    /// [`Error::Usage`] for invalid choices, [`Error::Input`] if there is no good picture, or too many.
    pub fn check(&self, config: &Config) -> Result<Grid> {
        config.check()?;
        let geometry = config.geometry(self.network, self.weights)?;
        check(self.set, geometry)?;
        let pictures = self.set.train.len();
        // Every picture is scored against the rows of the others, and at least one of them owns so many of all.
        let (rows, most) = bank_of(config, geometry, pictures);
        if config.neighbors > most {
            let advice =
                if most == 0 { "raise --ratio".into() } else { format!("give at most {most}, or raise --ratio") };
            return Err(Error::Usage(format!(
                "--neighbors {}: the bank will have {rows} rows, a share of {} (--ratio) of {pictures} pictures x {} places, and \
                 each picture is compared with those of the others; {advice}",
                config.neighbors,
                config.ratio,
                geometry.places()
            )));
        }
        Ok(geometry)
    }
}

/// Rows of the bank of so many pictures, and the most of them that every picture can be compared with.
fn bank_of(config: &Config, geometry: Grid, pictures: usize) -> (usize, usize) {
    let rows = config.bank_rows(pictures * geometry.places());
    (rows, if pictures > 1 { rows - rows.div_ceil(pictures) } else { rows })
}

/// How a fit went.
#[derive(Debug, Default)]
pub struct Report {
    /// Pictures that could not be read.
    pub missed: Missed,
    /// How long it took.
    pub times: Times,
    /// The share of the pixels that the crop leaves, of the pictures that were looked at now; `None` if none were.
    pub seen: Option<f64>,
}

/// Fits PatchCore. Of pictures with the same patch vectors one is used.
///
/// # Errors
/// [`Error::Usage`] for invalid choices and for a limit rule that gives no limit; [`Error::Input`] if there is no good picture, too many, or one cannot be read,
/// unless [`Loading::keep_going`]; [`Error::Output`] if patch vectors cannot be kept; whatever the device and the watcher report.
pub async fn fit(
    gpu: &Gpu,
    good: Good<'_>,
    config: &Config,
    options: &FitOptions,
    watch: &dyn Watch,
) -> Result<(PatchCore, Report)> {
    let geometry = good.check(config)?;
    // As many scores as there will be: better to know now that there are too few of them for the rule.
    let expected = if good.set.train.len() > 1 { good.set.train.len() } else { 0 };
    limit::check_asked(&options.limit_rule, &vec![0.0; expected])?;
    let work = Work { gpu, good, config, geometry, options, watch };
    let mut watchmaker = Instant::now();
    let (mut bag, mut report) = work.features().await?;
    report.times.features = lap(&mut watchmaker, "features");
    let file = work.train(&mut bag, &mut report).await?;
    limit::check_asked(&options.limit_rule, &file.scores)?;
    if file.alike() {
        watch.say("note: the training pictures are nearly the same to the network; a picture that differs a little in light or position will be above the limit");
    }
    let fitted = PatchCore::fitted(file, good.network, good.weights.clone());
    if let Some(path) = &options.output {
        fitted.save(path)?;
    }
    bag.remove(watch);
    Ok((fitted, report))
}

/// Seconds since the last lap.
pub(super) fn lap(since: &mut Instant, stage: &str) -> f64 {
    let seconds = since.elapsed().as_secs_f64();
    *since = Instant::now();
    let peak = peak_memory().map_or(String::new(), |b| format!(", peak memory so far {:.0} MB", b as f64 / 1e6));
    log::info!("{stage} took {seconds:.1} s{peak}");
    seconds
}

/// Whether there are pictures to fit on, and not too many.
fn check(set: &Dataset, geometry: Grid) -> Result<()> {
    let (data, pictures) = (shown(&set.root), set.train.len());
    let n = pictures.saturating_mul(geometry.places());
    if pictures == 0 {
        return Err(Error::Input(format!(
            "{data}: no good picture is left to fit on; raise --test-split, or set it to 0 to keep none for testing"
        )));
    }
    if n > MAX_ROWS {
        let most = MAX_ROWS / geometry.places().max(1);
        return Err(Error::Input(format!(
            "{data}: {pictures} good pictures give {n} patch vectors, but at most {MAX_ROWS} are supported: fit on {most} of \
             them, or with a smaller --size"
        )));
    }
    Ok(())
}

/// A fit under way.
pub(super) struct Work<'a> {
    pub gpu: &'a Gpu,
    pub good: Good<'a>,
    pub config: &'a Config,
    pub geometry: Grid,
    pub options: &'a FitOptions,
    pub watch: &'a dyn Watch,
}

/// A backbone whose patch vectors go into the bag.
struct Bagging<'a, 'b, 'g> {
    batched: Batched<'a, 'g>,
    bag: &'b mut Bag,
    samples: &'b [Sample],
    preprocess: Preprocess,
    coverage: Coverage,
    /// Widths and heights that occur.
    sizes: BTreeSet<[usize; 2]>,
    watch: &'b dyn Watch,
}

impl Device for Bagging<'_, '_, '_> {
    type Answer = Vec<Tensor>;

    fn batch(&self) -> usize {
        self.batched.batch()
    }

    async fn submit(&mut self, pictures: &[&Prepared]) -> Result<Under> {
        self.batched.submit(pictures).await
    }

    fn collect(&mut self, under: Under, _: usize) -> Result<Vec<Tensor>> {
        self.batched.collect(under)
    }

    fn take(&mut self, outputs: Vec<Tensor>, looked: Vec<Looked>) -> Result<()> {
        let n = self.batched.batch();
        for (i, looked) in looked.into_iter().enumerate() {
            let own: Vec<Tensor> = outputs.iter().map(|o| part(o, i, n)).collect();
            let [rows, projected @ ..] = own.as_slice() else { continue };
            if rows.data.iter().any(|v| !v.is_finite()) {
                let name = self.samples.get(looked.number).map_or(String::new(), |s| plain(&s.name));
                return Err(Error::Numeric(format!(
                    "{name}: its patch vectors are not finite; are these the right weights?"
                )));
            }
            self.coverage.add(&self.preprocess, &looked.picture);
            self.sizes.insert([looked.picture.width, looked.picture.height]);
            let projected = projected.first().map_or(&[][..], |p| &p.data);
            self.bag.push(self.watch, looked.sha256, &rows.data, projected)?;
            if self.bag.pictures.len() == 1 {
                self.watch.left_by_interrupt(&self.bag.left());
            }
        }
        Ok(())
    }
}

impl Work<'_> {
    /// Patch vectors of all training pictures.
    async fn features(&self) -> Result<(Bag, Report)> {
        let Work { good, config, geometry, watch, .. } = self;
        let train = good.set.train.as_slice();
        let n = train.len() * geometry.places();
        let projection = if config.ratio < 1.0 { projection::projection(config, n, geometry.dim) } else { None };
        let mut bag = self.bag(projection.as_ref().map_or(0, |p| p.shape.dim(0)))?;
        let known = bag.pictures.len();
        self.tell(&bag, n);
        let rest = train.get(known..).unwrap_or_default();
        if rest.is_empty() {
            return Ok((bag, Report::default()));
        }
        let preprocess: Preprocess = config.preprocess(good.network);
        let (size, projection) = ([config.size; 2], projection.map(Arc::new));
        let head = head(move |graph, pictures| self.head(graph, pictures, projection.as_ref()));
        let batched = Batched::new(self.gpu, &preprocess, size, &self.options.run, head).await?;
        let (coverage, sizes) = Default::default();
        let mut bagging = Bagging { batched, bag: &mut bag, samples: rest, preprocess, coverage, sizes, watch: *watch };
        let mut missed = look(&mut bagging, (rest, &preprocess), &self.options.loading, *watch).await?;
        missed.failed.iter_mut().for_each(|f| f.0 += known);
        let seen = bagging.coverage.share();
        tell_sizes(*watch, &bagging.sizes);
        if bag.pictures.is_empty() {
            let list: String = missed.failed.iter().map(|(_, why)| format!("\n  {why}")).collect();
            let root = shown(&good.set.root);
            return Err(Error::Input(format!("{root}: none of its {} pictures can be read:{list}", train.len())));
        }
        Ok((bag, Report { missed, seen, ..Report::default() }))
    }

    /// Patch vectors `[n, places, d]` of pictures and, if there is a projection `[k, d]`, projected ones `[n, places, k]`.
    fn head<'g>(&self, graph: &'g Graph, pictures: Var<'g>, projection: Option<&Arc<Tensor>>) -> Vec<Var<'g>> {
        let places = self.good.network.build(pictures, &Scope::new(graph, self.good.weights.tensors()));
        let Some(rows) = self.config.embed(&places) else { return vec![] };
        let Some(p) = projection else { return vec![rows] };
        let [n, places, d] = [rows.dim(0), rows.dim(1), rows.dim(2)];
        let projected = rows.reshape([n * places, d]).matmul_t(graph.weight("projection", p.clone()));
        vec![rows, projected.reshape([n, places, p.shape.dim(0)])]
    }

    /// Reports what will be done.
    fn tell(&self, bag: &Bag, n: usize) {
        let (train, known, watch) = (self.good.set.train.len(), bag.pictures.len(), self.watch);
        let (held, d) = (bag.describe(train), self.geometry.dim);
        watch.left_by_interrupt(&bag.left());
        watch.say(&format!("fitting   {train} good pictures, {n} patch vectors of {d} values ({held})"));
        let (reweight, most) = (self.config.reweight, bank_of(self.config, self.geometry, train).1);
        if reweight > most {
            watch.say(&format!(
                "note: --reweight {reweight}: only {most} rows of the bank are there for every picture; scores are re-weighted with those"
            ));
        }
        if bag.replaced {
            watch.say("note: an earlier fit with other settings was interrupted; its patch vectors cannot be used");
        }
        if known > 0 {
            watch.say(&format!("resuming  {known} pictures are done from an earlier fit; --fresh computes them again"));
        }
    }

    /// The bag of an earlier fit of the same kind, or a new one; `narrow` is the number of projected values.
    fn bag(&self, narrow: usize) -> Result<Bag> {
        let Work { good, gpu, config, geometry, options, .. } = self;
        let train = good.set.train.as_slice();
        let n = train.len() * geometry.places();
        let sizes = Sizes { rows: geometry.places() * geometry.dim, projected: geometry.places() * narrow };
        // The selection keeps its rows twice, here and on the device (and once more for a second selection), and the bank is in memory
        // twice when it is written.
        let copies = if options.drop_outliers { 3 } else { 2 };
        let looked_at = if narrow == 0 && config.ratio < 1.0 { geometry.dim } else { narrow };
        let others = 4 * (copies * n * looked_at + 2 * config.bank_rows(n) * geometry.dim) as u64;
        let (limit, least) = (options.limit_ram.unwrap_or(u64::MAX), others + sizes.record() as u64);
        if limit < least {
            return Err(Error::Usage(format!(
                "--limit-ram: the selection, the bank and one picture's patch vectors take {0}, more than may be used; give \
                 at least --limit-ram {0}",
                size(least)
            )));
        }
        let room = limit - others;
        let (weights, device) = (good.weights.sha256(), gpu.info.describe());
        let key = json!([config.for_features(), weights, narrow, device, env!("CARGO_PKG_VERSION")]);
        let key = sha256(key.to_string().as_bytes());
        Bag::open(options.output.as_deref(), &key, sizes, train, room, options.fresh)
    }
}
