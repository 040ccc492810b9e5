//! What the teacher says of the good pictures as they are: looked at once, before the training, and kept on disk between runs. A training
//! reads it there instead of asking the teacher again at every step; where it takes more room than it may, the teacher is asked, and says the
//! same to the last bit.

use super::Config;
use super::fit::FitOptions;
use super::looking::each;
use super::split::Kept as Picture;
use super::statistics::Sums;
use super::teacher::Teacher;
use crate::data::dataset::Sample;
use crate::engine::{Gpu, Scope};
use crate::error::Result;
use crate::methods::kept::{Entry, Kept, Values, tell_damaged};
use crate::methods::looking::{Looked, Missed};
use crate::tensor::{Shape, Tensor};
use crate::watch::Watch;

/// What messages call it.
const MAPS: &str = "maps of the teacher";

/// What the teacher says of pictures.
#[derive(Debug, Default)]
pub(super) struct Taught {
    /// Sums over all of it.
    pub sums: Sums,
    /// It, for each picture that could be read; `None` where it is not kept.
    pub maps: Option<Vec<Values>>,
    /// Pictures that could not be read.
    pub missed: Missed,
}

/// Pictures that a teacher is asked about.
struct Asked<'a> {
    gpu: &'a Gpu,
    teacher: &'a Teacher,
    config: &'a Config,
    options: &'a FitOptions,
    watch: &'a dyn Watch,
}

/// Asks the teacher about pictures, as far as what it says is not kept from earlier runs.
///
/// # Errors
/// As [`each`].
pub(super) async fn taught(
    gpu: &Gpu,
    (teacher, pictures): (&Teacher, &[Picture]),
    config: &Config,
    (options, watch): (&FitOptions, &dyn Watch),
) -> Result<Taught> {
    let (asked, shape) = (
        Asked { gpu, teacher, config, options, watch },
        config.networks().map_of([1, config.image_size, config.image_size, 3]),
    );
    let kept = &options.kept;
    let all = Kept::bytes(shape.len()) * pictures.len() as u64;
    if kept.folder.is_some() && all > kept.most {
        let [all, most] = [all, kept.most].map(|bytes| bytes as f64 / 1e6);
        watch.say(&format!(
            "note: the {MAPS} take {all:.1} MB, more than the {most:.1} MB that may be kept (--keep), so the teacher is asked at every \
             step: slower, with the same result"
        ));
    }
    if kept.folder.is_some() && all <= kept.most {
        let found = asked.through(pictures, shape).await?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    let samples: Vec<Sample> = pictures.iter().map(|k| k.sample.clone()).collect();
    let mut sums = Sums::default();
    let missed = asked.ask(&samples, &mut |_, map| sums.add(&map)).await?;
    Ok(Taught { sums, maps: None, missed })
}

impl Asked<'_> {
    /// Hands over what the teacher says of each of these pictures, in their order.
    async fn ask(&self, samples: &[Sample], take: &mut dyn FnMut(Looked, Tensor)) -> Result<Missed> {
        let (networks, weights) = (self.config.networks(), &self.teacher.weights);
        let head = crate::methods::batched::head(move |graph, pictures| {
            vec![networks.teacher.map(pictures, &Scope::new(graph, weights.tensors()))]
        });
        let place = (samples, &self.config.preprocess(), self.config.image_size);
        let mut one = |looked: Looked, mut outputs: Vec<Tensor>| {
            take(looked, outputs.swap_remove(0));
            Ok(())
        };
        each(self.gpu, place, (self.options, self.watch), head, &mut one).await
    }

    /// What the maps depend on besides the picture.
    fn recipe(&self) -> String {
        let (config, choices) = (self.config, &self.options.run.choices);
        let [teacher, device] = [self.teacher.fingerprint(), self.gpu.info.describe()];
        let own = format!("{:?} {:?} {choices:?}", config.networks().teacher, config.preprocess());
        Kept::recipe(&["efficientad teacher", &teacher, &own, &device])
    }

    /// Through what is kept: what is missing there is asked for first. `None` where it cannot be kept.
    async fn through(&self, pictures: &[Picture], shape: Shape) -> Result<Option<Taught>> {
        let (kept, recipe) = (&self.options.kept, self.recipe());
        let read = |picture: &Picture| kept.read(&recipe, &picture.seen.sha256, shape.len());
        let (mut maps, mut damaged) = (vec![], 0);
        for picture in pictures {
            self.watch.go_on()?;
            let entry = read(picture);
            damaged += usize::from(matches!(entry, Entry::Damaged));
            maps.push(if let Entry::Whole(map) = entry { Some(map) } else { None });
        }
        tell_damaged(MAPS, damaged, self.watch);
        let missing: Vec<usize> = maps.iter().enumerate().filter(|m| m.1.is_none()).map(|m| m.0).collect();
        let (there, of) = (pictures.len() - missing.len(), pictures.len());
        self.watch.say(&format!("maps      {there} of {of} are kept from earlier runs"));
        let mut missed = Missed::default();
        if !missing.is_empty() {
            let samples: Vec<Sample> = missing.iter().filter_map(|i| Some(pictures.get(*i)?.sample.clone())).collect();
            let mut unkept = None;
            let mut take = |looked: Looked, map: Tensor| {
                if unkept.is_none() {
                    unkept = kept.write(&recipe, &looked.sha256, &map.data).err();
                }
            };
            missed = self.ask(&samples, &mut take).await?;
            missed.failed.iter_mut().for_each(|f| f.0 = missing.get(f.0).copied().unwrap_or(f.0));
            for i in missing.into_iter().filter(|i| !missed.has(*i)) {
                let found = pictures.get(i).map(read);
                if let (Some(Entry::Whole(map)), Some(place)) = (found, maps.get_mut(i)) {
                    *place = Some(map);
                }
            }
            kept.tidy(MAPS, unkept, self.watch);
        }
        let (mut sums, mut all) = (Sums::default(), vec![]);
        for (i, map) in maps.into_iter().enumerate().filter(|m| !missed.has(m.0)) {
            let Some(map) = map else {
                log::info!("{MAPS}: that of picture {i} is not there; none is used");
                return Ok(None);
            };
            sums.add(&Tensor::new(shape, map.to_vec()));
            all.push(map);
        }
        Ok(Some(Taught { sums, maps: Some(all), missed }))
    }
}
