//! References: good pictures, views of them, and the tokens of these.

use super::fit::{FitOptions, Good};
use super::foreground::foreground;
use super::spectrum::Moments;
use super::{Config, Detector};
use crate::data::dataset::Sample;
use crate::data::load::read;
use crate::data::{Picture, Prepared};
use crate::engine::{Gpu, Scope};
use crate::error::{Error, Result, plain, shown};
use crate::files::sha256;
use crate::methods::batched::{Batched, RunOptions, head, part};
use crate::methods::fitted::{LeftOut, Seen, Why};
use crate::methods::looking::Missed;
use crate::models::Network;
use crate::tensor::Tensor;
use crate::watch::Watch;

/// A good picture and what it teaches.
pub(super) struct Reference {
    pub seen: Seen,
    /// Rows and columns of the picture.
    pub size: [usize; 2],
    /// Its own tokens `[h, w, d]`.
    pub upright: Tensor,
    /// What those of all its views teach.
    pub tokens: Tokens,
}

impl Reference {
    /// Rows and columns of its patches.
    pub fn grid(&self) -> [usize; 2] {
        [self.upright.shape.dim(0), self.upright.shape.dim(1)]
    }
}

/// What the tokens of all views of a reference teach.
pub(super) enum Tokens {
    /// The tokens themselves, of length one, `[m, d]`.
    Rows(Tensor),
    /// Sums over them.
    Moments(Moments),
}

impl Tokens {
    pub fn rows(&self) -> Option<&Tensor> {
        match self {
            Tokens::Rows(rows) => Some(rows),
            Tokens::Moments(_) => None,
        }
    }

    pub fn moments(&self) -> Option<&Moments> {
        match self {
            Tokens::Rows(_) => None,
            Tokens::Moments(moments) => Some(moments),
        }
    }
}

/// All references, in the order of their names.
pub(super) struct References {
    pub all: Vec<Reference>,
    /// Files that are the same as others.
    pub left_out: Vec<LeftOut>,
}

/// A network with the choices' preprocessing and positions, planned when the first picture is known.
struct Eye<'a, 'g> {
    gpu: &'g Gpu,
    good: Good<'a>,
    network: Network,
    config: &'a Config,
    options: &'a FitOptions,
    watch: &'a dyn Watch,
    batched: Option<Batched<'a, 'g>>,
    done: usize,
}

impl References {
    /// Looks at all good pictures of the set.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture that cannot be read, unless others are to be taken all the same, and if none can be;
    /// [`Error::Numeric`] for tokens that are not finite; whatever the device and the watcher report.
    pub async fn look(
        gpu: &Gpu,
        good: Good<'_>,
        (config, options): (&Config, &FitOptions),
        watch: &dyn Watch,
    ) -> Result<(References, Missed)> {
        let network = config.adapted(good.network);
        let mut eye = Eye { gpu, good, network, config, options, watch, batched: None, done: 0 };
        let (mut found, mut missed) = (References { all: vec![], left_out: vec![] }, Missed::default());
        for (i, sample) in good.set.train.iter().enumerate() {
            watch.go_on()?;
            let (picture, seen) = match decoded(sample, options) {
                Err(e) if options.loading.keep_going => {
                    missed.failed.push((i, e.to_string()));
                    continue;
                }
                other => other?,
            };
            if let Some(same) = found.all.iter().find(|r| r.seen.sha256 == seen.sha256) {
                let why = Why::SameAs(same.seen.name.clone());
                watch.say(&format!("note: {} is left out: {}", plain(&seen.name), plain(&why.to_string())));
                found.left_out.push(LeftOut { picture: seen, why });
                continue;
            }
            let about = found.all.first().and_then(|r| r.tokens.moments());
            let (upright, tokens) = eye.look(&picture, i, about).await?;
            found.all.push(Reference { seen, size: [picture.height, picture.width], upright, tokens });
        }
        if found.all.is_empty() {
            let list: String = missed.failed.iter().map(|(_, why)| format!("\n  {why}")).collect();
            let (root, n) = (shown(&good.set.root), good.set.train.len());
            return Err(Error::Input(format!("{root}: none of its {n} pictures can be read:{list}")));
        }
        Ok((found, missed))
    }
}

/// A picture, and its name with the hash of its file.
fn decoded(sample: &Sample, options: &FitOptions) -> Result<(Picture, Seen)> {
    let bytes = read(&sample.path)?;
    let picture = Picture::decode(&bytes, &shown(&sample.path), options.loading.limits)?;
    Ok((picture, Seen { name: sample.name.clone(), sha256: sha256(&bytes) }))
}

impl Eye<'_, '_> {
    /// A picture's own tokens, and what those of its views teach; sums of tokens are `about` the same as those of other pictures.
    async fn look(&mut self, picture: &Picture, i: usize, about: Option<&Moments>) -> Result<(Tensor, Tokens)> {
        let (config, preprocess) = (self.config, self.network.preprocess);
        let views =
            config.views(picture, i).map(|view| preprocess.prepare(&view)).collect::<Result<Vec<Prepared>>>()?;
        let (mut upright, mut rows) = (None, vec![]);
        let mut moments = about.map(Moments::empty);
        for tokens in self.tokens(&views).await? {
            if tokens.data.iter().any(|v| !v.is_finite()) {
                let name = plain(&picture.name);
                return Err(Error::Numeric(format!("{name}: its tokens are not finite; are these the right weights?")));
            }
            match config.detector {
                Detector::Neighbors { .. } => rows.extend(unit_rows(&tokens, config)),
                Detector::Subspace { .. } => moments.get_or_insert_with(|| Moments::about(&tokens)).add(&tokens),
            }
            upright.get_or_insert(tokens);
        }
        let upright = upright.ok_or_else(|| Error::Gpu("a picture has no view".into()))?;
        let d = upright.shape.last().max(1);
        let tokens = moments.map_or_else(|| Tokens::Rows(Tensor::new([rows.len() / d, d], rows)), Tokens::Moments);
        Ok((upright, tokens))
    }

    /// Tokens `[h, w, d]` of pictures.
    async fn tokens(&mut self, pictures: &[Prepared]) -> Result<Vec<Tensor>> {
        let Eye { gpu, good, network, config, options, watch, .. } = *self;
        let of = pictures.len() * good.set.train.len();
        let batched = match &mut self.batched {
            Some(batched) => batched,
            none => {
                let head = head(move |graph, pictures| {
                    let scope = Scope::new(graph, good.weights.tensors());
                    config.tokens(&network, pictures, &scope).into_iter().collect()
                });
                let size = pictures.first().map_or([config.size; 2], Prepared::size);
                let run = RunOptions { batch: options.run.batch.min(pictures.len()), ..options.run.clone() };
                none.insert(Batched::new(gpu, &network.preprocess, size, &run, head).await?)
            }
        };
        let mut all = vec![];
        for chunk in batched.chunks(pictures) {
            watch.go_on()?;
            let under = batched.submit(&chunk.iter().collect::<Vec<_>>()).await?;
            let n = under.pictures();
            let outputs = batched.collect(under)?;
            let tokens = outputs.first().ok_or_else(|| Error::Gpu("a plan gave no output".into()))?;
            all.extend((0..chunk.len()).map(|i| {
                let own = part(tokens, i, n);
                let [_, h, w, d] = own.shape.nhwc();
                own.reshape([h, w, d])
            }));
            self.done += chunk.len();
            watch.progress("features", self.done, of);
        }
        Ok(all)
    }
}

/// Tokens `[h, w, d]` at length one, row after row; those of the foreground alone where others are left out.
fn unit_rows(tokens: &Tensor, config: &Config) -> Vec<f32> {
    let growth = match config.detector {
        Detector::Neighbors { mask, mask_references: true, .. } => mask,
        _ => None,
    };
    let counts = growth.map(|growth| foreground(tokens, growth));
    let counts = counts.into_iter().flatten().chain(std::iter::repeat(true));
    let unit = |row: &[f32]| {
        let length = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt().max(1e-12);
        row.iter().map(|&v| (f64::from(v) / length) as f32).collect::<Vec<f32>>()
    };
    let rows = tokens.data.chunks(tokens.shape.last().max(1));
    rows.zip(counts).filter(|(_, counts)| *counts).flat_map(|(row, _)| unit(row)).collect()
}
