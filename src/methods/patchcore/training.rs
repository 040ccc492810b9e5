//! The second half of a fit: which pictures the bank is made of, its rows, and every training picture's own score.

use super::ModelFile;
use super::bag::Bag;
use super::fit::{Report, Work, lap};
use super::score::{Bank, PlaceScorer};
use super::select::Selector;
use crate::data::dataset::{Dataset, Sample, good};
use crate::data::load::read;
use crate::error::{Error, Result, plain};
use crate::files::sha256;
use crate::methods::backbone::Backbone;
use crate::methods::fitted::{LeftOut, Seen, Why};
use crate::methods::limit::{ENOUGH, apart};
use crate::tensor::Tensor;
use crate::watch::Watch;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// The pictures that a bank is made of, as numbers into the bag, and those that were left out.
struct Pictures {
    used: Vec<usize>,
    left_out: Vec<LeftOut>,
    /// All pictures of the bag.
    all: Vec<Seen>,
}

impl Pictures {
    fn seen(&self, i: usize) -> Seen {
        self.all.get(i).cloned().unwrap_or_else(|| Seen { name: String::new(), sha256: String::new() })
    }

    fn leave_out(&mut self, i: usize, why: Why) {
        self.left_out.push(LeftOut { picture: self.seen(i), why });
    }
}

impl Work<'_> {
    /// Everything in the model's file, from the pictures in the bag.
    pub(super) async fn train(&self, bag: &mut Bag, report: &mut Report) -> Result<ModelFile> {
        let mut pictures = self.distinct(bag, report)?;
        let again = self.options.drop_outliers;
        let mut file = self.trained(bag, &pictures, (report, again)).await?;
        if again {
            let numbers = apart(&file.scores);
            if numbers.is_empty() {
                let few = if file.scores.len() < ENOUGH { "; fewer than 8 scores tell nothing" } else { "" };
                let n = file.scores.len();
                self.watch.say(&format!("dropped   none: of {n} training pictures none stands apart{few}"));
            } else {
                self.drop_outliers(&mut pictures, &file.scores, &numbers);
                file = self.trained(bag, &pictures, (report, false)).await?;
            }
        }
        file.left_out = pictures.left_out;
        Ok(file)
    }

    /// Pictures of the bag, each once.
    fn distinct(&self, bag: &Bag, report: &Report) -> Result<Pictures> {
        let train = self.good.set.train.iter().enumerate().filter(|(i, _)| !report.missed.has(*i));
        let names = train.map(|(_, sample)| sample.name.clone());
        let all = names.zip(bag.pictures.iter().cloned()).map(|(name, sha256)| Seen { name, sha256 }).collect();
        let (used, copies) = bag.distinct()?;
        let mut pictures = Pictures { used, left_out: vec![], all };
        for [copy, of] in &copies {
            pictures.leave_out(*copy, Why::SameAs(pictures.seen(*of).name));
        }
        if let Some(first) = pictures.left_out.first() {
            let (n, used) = (copies.len(), pictures.used.len());
            let (name, why) = (plain(&first.picture.name), plain(&first.why.to_string()));
            self.watch.say(&format!(
                "note: {n} of the training pictures are the same as others and are left out, {used} are used; the first is {name}, {why}"
            ));
        }
        Ok(pictures)
    }

    fn drop_outliers(&self, pictures: &mut Pictures, scores: &[f64], numbers: &[usize]) {
        for &number in numbers {
            let (Some(&i), Some(score)) = (pictures.used.get(number), scores.get(number)) else { continue };
            self.watch.say(&format!("dropped   {}: score {score:.4} stands apart", plain(&pictures.seen(i).name)));
            pictures.leave_out(i, Why::Outlier(score.to_string()));
        }
        let kept = pictures.used.iter().enumerate().filter(|(number, _)| !numbers.contains(number));
        pictures.used = kept.map(|(_, i)| *i).collect();
    }

    /// A bank of these pictures, and their scores.
    async fn trained(
        &self,
        bag: &mut Bag,
        pictures: &Pictures,
        (report, again): (&mut Report, bool),
    ) -> Result<ModelFile> {
        let mut watchmaker = Instant::now();
        let picks = self.select(bag.projected(&pictures.used, again)?, pictures.used.len()).await?;
        report.times.coreset += lap(&mut watchmaker, "coreset");
        let mut file = self.file(bag, pictures, &picks)?;
        neighbors_suffice(&file)?;
        (file.scores, file.peaks) = self.scores(&file, bag, &pictures.used).await?;
        report.times.scoring += lap(&mut watchmaker, "scoring");
        Ok(file)
    }

    /// Rows of the bank, in ascending order.
    async fn select(&self, rows: Vec<f32>, pictures: usize) -> Result<Vec<usize>> {
        let n = pictures * self.geometry.places();
        let wanted = self.config.bank_rows(n);
        if wanted == n {
            return Ok((0..n).collect());
        }
        let rows = Tensor::new([n, rows.len() / n.max(1)], rows);
        let mut selector = Selector::new(&self.gpu.caps, rows, wanted, self.options.run.planning());
        let mut progress = |done| {
            self.watch.progress("coreset", done, wanted);
            self.watch.go_on().is_ok()
        };
        let selected = selector.run(self.gpu, self.config, &mut progress).await;
        selected.map_err(|e| self.watch.go_on().err().unwrap_or(e))?;
        self.watch.progress("coreset", wanted, wanted);
        if selector.exhausted {
            let found = selector.picks.len();
            self.watch.say(&format!(
                "note: {found} of the {wanted} rows asked for suffice; all other patch vectors are repetitions"
            ));
        }
        selector.picks.sort_unstable();
        Ok(selector.picks)
    }

    /// Everything in the file except the training pictures' scores.
    fn file(&self, bag: &Bag, pictures: &Pictures, picks: &[usize]) -> Result<ModelFile> {
        let Work { good, config, geometry, options, .. } = self;
        let place = |i: &usize| [(i / geometry.places()) as u32, (i % geometry.places()) as u32];
        Ok(ModelFile {
            geometry: *geometry,
            bank: Arc::new(self.bank(bag, (&pictures.used, picks))?),
            sources: picks.iter().map(place).collect(),
            scores: vec![],
            peaks: vec![],
            held_out: held_out(good.set)?,
            pictures: pictures.used.iter().map(|&i| pictures.seen(i)).collect(),
            left_out: vec![],
            limit_rule: options.limit_rule,
            backbone: Backbone::new(good.network, good.weights, !options.no_embed_backbone),
            config: (*config).clone(),
            origin: None,
        })
    }

    /// The patch vectors with these numbers, ascending, among those of the pictures that are used, `[m, d]`.
    fn bank(&self, bag: &Bag, (used, picks): (&[usize], &[usize])) -> Result<Tensor> {
        let (places, d) = (self.geometry.places(), self.geometry.dim);
        let mut bank = Vec::with_capacity(picks.len() * d);
        for group in picks.chunk_by(|a, b| a / places == b / places) {
            let picture = group.first().and_then(|i| used.get(i / places)).copied().unwrap_or_default();
            let rows = bag.rows(picture)?;
            for i in group {
                bank.extend(rows.iter().skip(i % places * d).take(d));
            }
        }
        Ok(Tensor::new([picks.len(), d], bank))
    }

    /// Every training picture's score and its map's largest value, against the bank without its own rows; infinite if nothing is left
    /// of the bank then.
    async fn scores(&self, file: &ModelFile, bag: &Bag, used: &[usize]) -> Result<(Vec<f64>, Vec<f64>)> {
        let bank = Bank::new(&file.config, file.geometry, file.bank.clone());
        let scorer = PlaceScorer::new(self.gpu, bank, self.options.run.planning()).await?;
        let (mut scores, mut peaks, n) = (vec![], vec![], used.len());
        for (i, &picture) in used.iter().enumerate() {
            self.watch.go_on()?;
            let (first, end) = file.own_rows(i);
            let (score, peak) = if end - first == file.sources.len() {
                (f64::INFINITY, f64::INFINITY) // the bank contains this picture only
            } else {
                let queries = Tensor::new([self.geometry.places(), self.geometry.dim], bag.rows(picture)?.into_owned());
                let scored = scorer.run(&queries, (first, end)).await?;
                (scored.score, f64::from(scored.map.data.iter().copied().fold(f32::NEG_INFINITY, f32::max)))
            };
            scores.push(score);
            peaks.push(peak);
            self.watch.progress("scoring", i + 1, n);
        }
        Ok((scores, peaks))
    }
}

/// Whether the bank has enough rows of other pictures for each picture; those that own it alone are compared with nothing.
fn neighbors_suffice(file: &ModelFile) -> Result<()> {
    let rows = file.sources.len();
    let others = |i: usize| {
        let (first, end) = file.own_rows(i);
        rows - (end - first)
    };
    let fewest = (0..file.pictures.len()).map(|i| (others(i), i)).filter(|(n, _)| *n > 0).min();
    match fewest {
        Some((most, i)) if file.config.neighbors > most => Err(Error::Usage(format!(
            "--neighbors {}: {} is compared with the {most} of {rows} rows of the bank that are of other pictures; give at most \
             {most}, or raise --ratio",
            file.config.neighbors,
            file.pictures.get(i).map_or(String::new(), |p| plain(&p.name))
        ))),
        _ => Ok(()),
    }
}

/// Says that pictures are not of one size: the network sees all at the same size, so that their parts have different scales there.
pub(super) fn tell_sizes(watch: &dyn Watch, sizes: &BTreeSet<[usize; 2]>) {
    if let (Some([w, h]), Some([w2, h2]), n @ 2..) = (sizes.first(), sizes.last(), sizes.len()) {
        watch.say(&format!(
            "note: the training pictures have {n} sizes, such as {w}x{h} and {w2}x{h2}; they are brought to one, so parts of them \
             have different scales"
        ));
    }
}

/// Good pictures that are kept for testing.
fn held_out(set: &Dataset) -> Result<Vec<Seen>> {
    let seen = |s: &Sample| Ok(Seen { name: s.name.clone(), sha256: sha256(&read(&s.path)?) });
    set.test.iter().filter(|s| good(s)).map(seen).collect()
}
