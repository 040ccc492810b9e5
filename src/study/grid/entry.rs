//! Who takes part in a study, and with which choices.

use super::keys::keys;
pub use super::text::Amount;
use super::text::{Entry, Rate, Source, Word};
use crate::error::{Result, plain, shown};
use crate::methods::caml;
use crate::methods::prototype::finetune::Finetune;
use crate::methods::prototype::head::Distance;
use crate::methods::prototype::{Adaptation, Asked, Preset};
use crate::models::{self, EMBEDDED};
use crate::study::{Family, Task};
use std::path::{Path, PathBuf};
use toml::Spanned;

/// A method of a plan; one that has several distances is several lines of the tables.
#[derive(Clone, Debug)]
pub struct Participant {
    /// What it is called.
    pub name: String,
    /// Its choices.
    pub kind: Kind,
    /// The tasks that it takes part in.
    pub tasks: Vec<Task>,
    /// How often it takes part.
    pub repeats: usize,
    pub(super) at: usize,
}

/// A file that a plan names, as it is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// As it is written.
    pub written: PathBuf,
    /// Seen from the plan's folder.
    pub path: PathBuf,
}

/// The choices of a method.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Prototypes of vectors, P>M>F's head among them.
    Vectors {
        /// Network, place, size.
        asked: Asked,
        /// Weights.
        weights: Option<Given>,
        /// Distances, each without or with the correction of shots.
        heads: Vec<(Distance, bool)>,
    },
    /// P>M>F's fine-tuning.
    Tuned {
        /// Network and size.
        asked: Asked,
        /// Weights.
        weights: Option<Given>,
        /// Each with another loss.
        tunings: Vec<Adaptation>,
    },
    /// CAML.
    Caml {
        /// Encoder, labels.
        asked: caml::Asked,
        /// The encoder's weights.
        weights: Option<Given>,
        /// The checkpoint.
        checkpoint: Given,
    },
    /// PatchCore.
    PatchCore {
        /// The network.
        network: String,
        /// Its weights.
        weights: Option<Given>,
        /// Edge length of its input.
        size: Option<usize>,
        /// Its places.
        layers: Option<Vec<String>>,
        /// The share of the patch vectors that is kept.
        ratio: Option<f64>,
        /// Numbers of good pictures.
        good: Vec<Amount>,
    },
    /// AnomalyDINO and SubspaceAD.
    Dino {
        /// Whether it is SubspaceAD.
        subspace: bool,
        /// The network.
        network: String,
        /// Its weights.
        weights: Option<Given>,
        /// Edge length of its input.
        size: Option<usize>,
        /// Places of SubspaceAD.
        layers: Option<Vec<String>>,
        /// Turned views of each reference: of AnomalyDINO 0 or 7.
        turned: Option<usize>,
        /// Numbers of good pictures.
        good: Vec<Amount>,
    },
    /// EfficientAD.
    EfficientAd {
        /// The teacher's weights.
        teacher: Given,
        /// Pictures of anything else.
        penalty: Option<PathBuf>,
        /// Steps.
        steps: Option<u64>,
        /// Edge length of its input.
        size: Option<usize>,
        /// Numbers of good pictures.
        good: Vec<Amount>,
    },
    /// A detector, and a learner that names what it finds.
    Chain {
        /// The detector's name.
        detector: String,
        /// The learner's name.
        learner: String,
    },
}

impl Kind {
    /// What kind it is.
    pub fn family(&self) -> Family {
        match self {
            Kind::Vectors { asked, .. } if asked.preset == Preset::Prototype => Family::Prototype,
            Kind::Vectors { .. } | Kind::Tuned { .. } => Family::Pmf,
            Kind::Caml { .. } => Family::Caml,
            Kind::PatchCore { .. } => Family::PatchCore,
            Kind::Dino { subspace: false, .. } => Family::AnomalyDino,
            Kind::Dino { subspace: true, .. } => Family::SubspaceAd,
            Kind::EfficientAd { .. } => Family::EfficientAd,
            Kind::Chain { .. } => Family::Chain,
        }
    }

    /// Whether it has answers to a task.
    pub fn can(&self, task: Task) -> bool {
        match self.family() {
            Family::Chain => task == Task::T1,
            family if family.detects() => task.pools_defects(),
            _ => true,
        }
    }

    /// How many good pictures a detector learns from on T2's draws, besides those of the task.
    pub fn good(&self) -> &[Amount] {
        match self {
            Kind::PatchCore { good, .. } | Kind::Dino { good, .. } | Kind::EfficientAd { good, .. } => good,
            _ => &[],
        }
    }

    /// Those of them that are numbers.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        self.good().iter().filter_map(|amount| match amount {
            Amount::Number(n) => Some(*n),
            Amount::Word(_) => None,
        })
    }
}

impl Entry {
    /// A network that exists, or the usual one.
    fn network(&self, source: &Source, usual: &str) -> Result<String> {
        let Some(name) = &self.network else { return Ok(usual.into()) };
        models::named(name.get_ref()).map_err(|e| source.about(name, &e.to_string()))?;
        Ok(name.get_ref().clone())
    }

    fn weights(&self, folder: &Path) -> Option<Given> {
        self.weights.as_ref().map(|w| given(w.get_ref(), folder))
    }

    fn size(&self) -> Option<usize> {
        self.size.as_ref().map(|s| *s.get_ref())
    }

    fn good(&self, source: &Source) -> Result<Vec<Amount>> {
        let Some(good) = &self.good else { return Ok(vec![]) };
        if good.get_ref().contains(&Amount::Number(0)) {
            return Err(source.about(good, "good: a number of good pictures must be at least 1"));
        }
        let mut all = good.get_ref().clone();
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    fn corrections(&self) -> Vec<bool> {
        self.correction.as_ref().map_or(vec![false], |c| c.get_ref().clone())
    }

    fn kind(&self, source: &Source, folder: &Path) -> Result<Kind> {
        let (word, weights, size) = (*self.kind.get_ref(), self.weights(folder), self.size());
        let missing = |key: &str| Err(source.about(&self.kind, &format!("a method of this kind needs {key}")));
        Ok(match word {
            Word::Prototype => self.prototype(source, weights)?,
            Word::Pmf => self.pmf(source, weights)?,
            Word::Caml => {
                let Some(checkpoint) = &self.checkpoint else { return missing("checkpoint") };
                let encoder = self.network.as_ref().map(|_| self.network(source, "")).transpose()?;
                let average = self.average.as_ref().map(|n| caml::Average::First(*n.get_ref()));
                let many = self.many_classes.as_ref().map(|m| *m.get_ref());
                let place = self.place.as_ref().map(|p| p.get_ref().clone());
                let asked = caml::Asked { encoder, place, size, average, many, ..caml::Asked::default() };
                Kind::Caml { asked, weights, checkpoint: given(checkpoint.get_ref(), folder) }
            }
            Word::PatchCore => Kind::PatchCore {
                network: self.network(source, EMBEDDED.name)?,
                weights,
                size,
                layers: self.layers.as_ref().map(|l| l.get_ref().clone()),
                ratio: self.ratio.as_ref().map(|r| *r.get_ref()),
                good: self.good(source)?,
            },
            Word::AnomalyDino | Word::SubspaceAd => Kind::Dino {
                subspace: word == Word::SubspaceAd,
                network: self.network(source, crate::methods::dino::NETWORK)?,
                weights,
                size,
                layers: self.layers.as_ref().map(|l| l.get_ref().clone()),
                turned: match (&self.augment, &self.rotations) {
                    (Some(n), _) => Some(*n.get_ref()),
                    (None, turned) => turned.as_ref().map(|on| if *on.get_ref() { 7 } else { 0 }),
                },
                good: self.good(source)?,
            },
            Word::EfficientAd => {
                let Some(teacher) = weights else { return missing("weights, those of the teacher") };
                Kind::EfficientAd {
                    teacher,
                    penalty: self.penalty(source, folder)?,
                    steps: self.steps.as_ref().map(|s| *s.get_ref()),
                    size,
                    good: self.good(source)?,
                }
            }
            Word::Chain => match (&self.detector, &self.learner) {
                (Some(d), Some(l)) => Kind::Chain { detector: d.get_ref().clone(), learner: l.get_ref().clone() },
                _ => return missing("detector and learner, by their names"),
            },
        })
    }

    fn prototype(&self, source: &Source, weights: Option<Given>) -> Result<Kind> {
        let asked = Asked {
            backbone: Some(self.network(source, EMBEDDED.name)?),
            place: self.place.as_ref().map(|p| p.get_ref().clone()),
            size: self.size(),
            crop: self.crop.as_ref().is_some_and(|c| *c.get_ref()),
            center: self.center.as_ref().is_some_and(|c| *c.get_ref()),
            ..Asked::default()
        };
        let distances = self.distance.as_ref().map_or(vec![Distance::Squared], |d| d.get_ref().clone());
        let mut heads = vec![];
        for distance in distances {
            // The correction is one of squared distances.
            let of = self.corrections().into_iter().filter(|corrected| !corrected || distance == Distance::Squared);
            heads.extend(of.map(|corrected| (distance, corrected)));
        }
        let unused = self.correction.as_ref().filter(|c| c.get_ref().contains(&true));
        match unused.filter(|_| !heads.iter().any(|h| h.1)) {
            Some(at) => {
                Err(source.about(at, "correction: only squared distances are corrected; add \"squared\" to distance"))
            }
            None if heads.is_empty() => Err(source.about(&self.kind, "distance, correction: at least one is needed")),
            None => Ok(Kind::Vectors { asked, weights, heads }),
        }
    }

    fn pmf(&self, source: &Source, weights: Option<Given>) -> Result<Kind> {
        let backbone = Some(self.network(source, Preset::Pmf.usual_backbone())?);
        let asked = Asked { preset: Preset::Pmf, backbone, size: self.size(), ..Asked::default() };
        let steps = self.steps.as_ref().map_or(0, |s| *s.get_ref());
        if steps == 0 {
            let unused = [self.lr.as_ref().map(Spanned::span), self.correction.as_ref().map(Spanned::span)];
            return match unused.into_iter().flatten().next() {
                Some(span) => Err(source
                    .wrong(span.start, "lr and correction are choices of fine-tuning; give steps, such as steps = 50")),
                None => Ok(Kind::Vectors { asked, weights, heads: vec![(Distance::Cosine, false)] }),
            };
        }
        let rate = self.lr.as_ref().map_or(Rate::Given(1e-4), |r| *r.get_ref()).given();
        if let Some(wrong) = self.lr.as_ref().filter(|_| rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1.0))) {
            return Err(source.about(wrong, "lr: must be above 0 and at most 1, or \"auto\""));
        }
        let tuning = |balance| {
            let tuning = Finetune { steps, rate: rate.unwrap_or_default(), balance, cutout: false, seed: 0 };
            Adaptation { tuning, auto: rate.is_none(), few: None }
        };
        Ok(Kind::Tuned { asked, weights, tunings: self.corrections().into_iter().map(tuning).collect() })
    }

    fn penalty(&self, source: &Source, folder: &Path) -> Result<Option<PathBuf>> {
        let Some(penalty) = &self.penalty else {
            return Err(source
                .about(&self.kind, "efficientad needs penalty: a folder of pictures of anything else, or \"none\""));
        };
        if penalty.get_ref() == Path::new("none") {
            return Ok(None);
        }
        let path = folder.join(penalty.get_ref());
        match path.is_dir() {
            true => Ok(Some(path)),
            false => Err(source.about(penalty, &format!("penalty: {} is no folder", shown(&path)))),
        }
    }

    /// Its name, if none is given.
    fn usual_name(&self, kind: &Kind) -> String {
        match kind {
            Kind::Vectors { asked, .. } if asked.preset == Preset::Pmf => {
                format!("pmf {}", asked.backbone.as_deref().unwrap_or_default())
            }
            Kind::Vectors { asked, .. } => format!("prototype {}", asked.backbone.as_deref().unwrap_or_default()),
            Kind::Tuned { asked, tunings, .. } => {
                let steps = tunings.first().map_or(0, |t| t.tuning.steps);
                format!("pmf {} fine-tuned {steps} steps", asked.backbone.as_deref().unwrap_or_default())
            }
            Kind::Caml { asked, checkpoint, .. } => match &asked.encoder {
                Some(encoder) => format!("caml {encoder}"),
                None => format!("caml {}", checkpoint.written.display()),
            },
            Kind::PatchCore { network, .. } => format!("patchcore {network}"),
            Kind::Dino { subspace, network, .. } => {
                format!("{} {network}", if *subspace { "subspacead" } else { "anomalydino" })
            }
            Kind::EfficientAd { .. } => "efficientad".into(),
            Kind::Chain { detector, learner } => format!("{detector} then {learner}"),
        }
    }
}

fn given(written: &Path, folder: &Path) -> Given {
    Given { written: written.into(), path: folder.join(written) }
}

impl Participant {
    pub(super) fn of(
        source: &Source,
        entry: &Spanned<Entry>,
        (repeats, folder): (usize, &Path),
    ) -> Result<Participant> {
        let (at, entry) = (entry.span().start, entry.get_ref());
        let known = keys(*entry.kind.get_ref());
        if let Some((key, at)) = entry.written().into_iter().find(|(key, _)| !known.contains(key)) {
            return Err(
                source.wrong(at, &format!("{key} is no choice of this kind of method; it has {}", known.join(", ")))
            );
        }
        let kind = entry.kind(source, folder)?;
        let name = entry.name.as_ref().map_or_else(|| entry.usual_name(&kind), |n| n.get_ref().clone());
        let mut tasks = Task::ALL.into_iter().filter(|task| kind.can(*task)).collect::<Vec<_>>();
        if let Some(asked) = &entry.tasks {
            if let Some(cannot) = asked.iter().find(|t| !kind.can(*t.get_ref())) {
                let (task, title) = (cannot.get_ref(), cannot.get_ref().title());
                return Err(source.about(cannot, &format!("tasks: {} has no answer to {task}, {title}", plain(&name))));
            }
            tasks.retain(|task| asked.iter().any(|t| t.get_ref() == task));
        }
        let own = entry.repeats.as_ref();
        if let Some(wrong) = own.filter(|r| !(1..=repeats).contains(r.get_ref())) {
            let what = format!("repeats: must be between 1 and {repeats}, the study's own");
            return Err(source.about(wrong, &what));
        }
        Ok(Participant { name, kind, tasks, repeats: own.map_or(repeats, |r| *r.get_ref()), at })
    }
}

/// Whether names tell participants apart, and chains name others.
pub(super) fn check_all(source: &Source, all: &[Participant]) -> Result<()> {
    for (i, one) in all.iter().enumerate() {
        let wrong = |what: String| -> Result<()> { Err(source.wrong(one.at, &what)) };
        let name = plain(&one.name);
        if name.trim().is_empty() {
            return wrong("name: must not be empty".into());
        }
        if all.iter().take(i).any(|other| other.name == one.name) {
            return wrong(format!("two methods are called {name}; give one of them another name"));
        }
        let Kind::Chain { detector, learner } = &one.kind else { continue };
        let find = |wanted: &str, fits: &dyn Fn(&Participant) -> bool| {
            let names = || all.iter().filter(|p| fits(p)).map(|p| format!("\"{}\"", plain(&p.name)));
            match all.iter().any(|p| p.name == *wanted && fits(p)) {
                true => Ok(()),
                false => Err(names().collect::<Vec<_>>().join(", ")),
            }
        };
        if let Err(known) = find(detector, &|p| p.kind.family().detects()) {
            return wrong(format!("detector: no detector is called \"{}\"; there are {known}", plain(detector)));
        }
        // Learners on vectors need no plan for each size of support.
        if let Err(known) = find(learner, &|p| matches!(p.kind, Kind::Vectors { .. })) {
            return wrong(format!("learner: no method on vectors is called \"{}\"; there are {known}", plain(learner)));
        }
    }
    Ok(())
}
