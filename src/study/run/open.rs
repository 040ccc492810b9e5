//! Participants with their networks and weights, and the lines of the tables that they are.

use crate::data::dataset::{Sample, pictures};
use crate::error::{Error, Result, plain, shown};
use crate::files::{sha256, sha256_of};
use crate::methods::caml;
use crate::methods::dino;
use crate::methods::efficientad::{self, Teacher};
use crate::methods::patchcore;
use crate::methods::prototype::head::{Distance, Head};
use crate::methods::prototype::{Adaptation, Config};
use crate::models::{self, Network};
use crate::study::grid::{Given, Grid, Kind, Participant};
use crate::study::{Family, LeftOut, Method, Variant};
use crate::weights::catalog;
use crate::weights::{Weights, WeightsFile};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A participant, ready to work.
pub enum Opened {
    /// Prototypes of vectors.
    Vectors {
        /// The network.
        network: &'static Network,
        /// Its weights, batch norms folded.
        weights: Weights,
        /// One for each head.
        configs: Vec<Config>,
    },
    /// P>M>F's fine-tuning.
    Tuned {
        /// The network.
        network: &'static Network,
        /// Its weights, batch norms as they are.
        weights: Weights,
        /// Place, size, head.
        config: Config,
        /// One for each loss.
        tunings: Vec<Adaptation>,
    },
    /// CAML.
    Caml(Box<caml::Start>),
    /// PatchCore.
    PatchCore {
        /// The network.
        network: &'static Network,
        /// Its weights.
        weights: Weights,
        /// Every choice.
        config: patchcore::Config,
    },
    /// AnomalyDINO or SubspaceAD.
    Dino {
        /// The network.
        network: &'static Network,
        /// Its weights.
        weights: Weights,
        /// Every choice.
        config: dino::Config,
    },
    /// EfficientAD.
    EfficientAd {
        /// The teacher.
        teacher: Box<Teacher>,
        /// Every choice.
        config: efficientad::Config,
        /// Pictures of anything else.
        penalty: Vec<Sample>,
        /// The SHA-256 of what is in them.
        contents: String,
    },
    /// A detector, and a learner behind it: they are participants themselves.
    Chain,
}

/// Where a file is: what is named is a path, or a name in the catalog.
pub type Resolve<'r> = dyn Fn(&Path) -> PathBuf + 'r;

/// A participant that is there, or why it is left out.
pub enum Found {
    /// It is there.
    Opened(Opened),
    /// It is left out.
    LeftOut(LeftOut),
}

/// What finds files and tells lines.
pub struct Opener<'o> {
    /// The plan.
    pub grid: &'o Grid,
    /// Where files are.
    pub resolve: &'o Resolve<'o>,
}

impl Opener<'_> {
    /// Opens a participant.
    ///
    /// # Errors
    /// Those of its method, with the line of the plan; [`Error::Usage`] for a file that does not exist.
    pub fn open(&self, participant: &Participant) -> Result<Found> {
        let found = self.opened(participant);
        found.map_err(|e| match e {
            Error::Usage(what) if !what.contains(", line ") => self.grid.about(participant, &what),
            other => other,
        })
    }

    fn opened(&self, p: &Participant) -> Result<Found> {
        let (network, weights) = match &p.kind {
            Kind::Vectors { asked, weights, .. } | Kind::Tuned { asked, weights, .. } => {
                (asked.backbone.as_deref().unwrap_or(asked.preset.usual_backbone()), weights)
            }
            Kind::Caml { asked, weights, .. } => (asked.encoder.as_deref().unwrap_or_default(), weights),
            Kind::PatchCore { network, weights, .. } | Kind::Dino { network, weights, .. } => (&network[..], weights),
            Kind::EfficientAd { .. } => ("", &None),
            Kind::Chain { .. } => return Ok(Found::Opened(Opened::Chain)),
        };
        let more = match &p.kind {
            Kind::Caml { checkpoint, .. } => Some(checkpoint),
            Kind::EfficientAd { teacher, .. } => Some(teacher),
            _ => None,
        };
        for given in weights.iter().chain(more) {
            if let Some(left_out) = self.absent(p, given)? {
                return Ok(Found::LeftOut(left_out));
            }
        }
        if weights.is_none() && !network.is_empty() && network != models::EMBEDDED.name {
            return Ok(Found::LeftOut(unnamed(p, network)?));
        }
        let file = weights.as_ref().map(|w| self.file(w));
        self.with(p, network, file.as_ref()).map(Found::Opened)
    }

    fn with(&self, p: &Participant, network: &str, file: Option<&WeightsFile>) -> Result<Opened> {
        Ok(match &p.kind {
            Kind::Vectors { asked, heads, .. } => {
                let (network, weights) = models::open(network, file)?;
                let asked = asked.with_scalars(file)?;
                let config = |(distance, corrected): &(Distance, bool)| {
                    let (distance, shot_correction) = (Some(*distance), *corrected);
                    crate::methods::prototype::Asked { distance, shot_correction, ..asked.clone() }.config(network)
                };
                let configs = heads.iter().map(config).collect::<Result<Vec<_>>>()?;
                Opened::Vectors { network, weights, configs }
            }
            Kind::Tuned { asked, tunings, .. } => {
                let (network, weights) = models::unfolded(network, file)?;
                let config = asked.with_scalars(file)?.config(network)?;
                network.takes("size", [config.size; 2])?;
                Opened::Tuned { network, weights, config, tunings: tunings.clone() }
            }
            Kind::Caml { asked, checkpoint, .. } => {
                Opened::Caml(Box::new(caml::Start::new(asked, file, &(self.resolve)(&self.path(checkpoint)))?))
            }
            Kind::PatchCore { size, layers, ratio, .. } => {
                let (network, weights) = models::open(network, file)?;
                let usual = patchcore::Config::of(network);
                let config = patchcore::Config {
                    size: size.unwrap_or(usual.size),
                    layers: layers.clone().unwrap_or_else(|| usual.layers.clone()),
                    ratio: ratio.unwrap_or(usual.ratio),
                    ..usual
                };
                config.check()?;
                config.geometry(network, &weights)?;
                Opened::PatchCore { network, weights, config }
            }
            Kind::Dino { subspace, size, layers, turned, .. } => {
                let (network, weights) = models::open(network, file)?;
                let config = dino_config((network, &weights), *subspace, (*size, layers, *turned))?;
                config.check(network)?;
                Opened::Dino { network, weights, config }
            }
            Kind::EfficientAd { teacher, penalty, steps, size, .. } => {
                self.efficientad(teacher, penalty, *steps, *size)?
            }
            Kind::Chain { .. } => Opened::Chain,
        })
    }

    fn efficientad(
        &self,
        teacher: &Given,
        penalty: &Option<PathBuf>,
        steps: Option<u64>,
        size: Option<usize>,
    ) -> Result<Opened> {
        let teacher = Teacher::open(&self.file(teacher), None)?;
        let samples = match penalty {
            Some(folder) => pictures(std::slice::from_ref(folder), true)?.samples,
            None => vec![],
        };
        let named = penalty.as_ref().map(|folder| efficientad::Penalty {
            folder: folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned(),
            pictures: samples.len(),
        });
        let usual = efficientad::Config::new(teacher.size, teacher.narrow, efficientad::Preset::Nelson);
        let config = efficientad::Config {
            steps: steps.unwrap_or(usual.steps),
            image_size: size.unwrap_or(usual.image_size),
            penalty: named,
            ..usual
        };
        config.check()?;
        let unread = |path: &Path, e| Error::Input(format!("{}: cannot be read: {e}", shown(path)));
        let hash = |s: &Sample| sha256_of(&s.path).map_err(|e| unread(&s.path, e));
        let contents = sha256(samples.iter().map(hash).collect::<Result<String>>()?.as_bytes());
        Ok(Opened::EfficientAd { teacher: Box::new(teacher), config, penalty: samples, contents })
    }

    /// Where a file is: seen from the plan, else as a name in the catalog.
    fn path(&self, given: &Given) -> PathBuf {
        if given.path.exists() { given.path.clone() } else { given.written.clone() }
    }

    fn file(&self, given: &Given) -> WeightsFile {
        WeightsFile { path: (self.resolve)(&self.path(given)), ..WeightsFile::default() }
    }

    /// Why a participant is left out whose file is not here, but can be got.
    fn absent(&self, p: &Participant, given: &Given) -> Result<Option<LeftOut>> {
        if (self.resolve)(&self.path(given)).exists() {
            return Ok(None);
        }
        let written = given.written.to_string_lossy();
        let known = catalog::published()?.into_iter().find(|entry| entry.name == written);
        match known {
            Some(entry) => Ok(Some(LeftOut {
                what: p.name.clone(),
                why: format!("its weights {} are not here", entry.name),
                command: Some(format!("lupe weights pull {}", entry.name)),
            })),
            None => Err(self.grid.about(
                p,
                &format!(
                    "{}: {} does not exist, and `lupe weights list` has no such name",
                    plain(&p.name),
                    shown(&given.path)
                ),
            )),
        }
    }
}

/// Why a participant is left out for whose network no weights are named.
fn unnamed(p: &Participant, network: &str) -> Result<LeftOut> {
    let entry = catalog::published()?.into_iter().find(|entry| entry.network == network);
    Ok(LeftOut {
        what: p.name.clone(),
        why: match &entry {
            Some(entry) => format!("no weights are named for {network}; add weights = \"{}\"", entry.name),
            None => format!("no weights are named for {network}; add weights = \"FILE\""),
        },
        command: entry.map(|entry| format!("lupe weights pull {}", entry.name)),
    })
}

fn dino_config(
    (network, weights): (&Network, &Weights),
    subspace: bool,
    (size, layers, turned): (Option<usize>, &Option<Vec<String>>, Option<usize>),
) -> Result<dino::Config> {
    let usual = match subspace {
        true => dino::Config::subspace_ad(network, weights, layers.clone())?,
        false => dino::Config::anomaly_dino(network),
    };
    let turns = match turned {
        None => usual.turns,
        Some(0) => dino::Turns::None,
        Some(n) if subspace => dino::Turns::Drawn(n),
        Some(_) => dino::Turns::Eighths,
    };
    Ok(dino::Config { size: size.unwrap_or(usual.size), turns, ..usual })
}

/// The first half of a hash of choices.
fn settings(choices: &Value) -> String {
    let whole = sha256(choices.to_string().as_bytes());
    whole.get(..32).unwrap_or_default().into()
}

/// Lines of the tables of one participant, so far without settings.
struct Lines<'l> {
    participant: &'l Participant,
    backbone: String,
    weights: String,
}

impl Lines<'_> {
    fn line(&self, config: impl Serialize, (distance, variant, note): (Option<Distance>, Variant, String)) -> Method {
        let Lines { participant, backbone, weights } = self;
        let choices =
            json!({"kind": participant.kind.family(), "network": backbone, "weights": weights, "config": config});
        let several = match &participant.kind {
            Kind::Vectors { heads, .. } => heads.len() > 1,
            Kind::Tuned { tunings, .. } => tunings.len() > 1,
            _ => false,
        };
        let word = distance.map(Distance::word).filter(|_| participant.kind.family() == Family::Prototype);
        let corrected = match (variant, participant.kind.family()) {
            (Variant::Plain, _) => None,
            (Variant::Corrected, Family::Pmf) => Some("balanced"),
            (Variant::Corrected, _) => Some("corrected"),
        };
        let more: String = word.into_iter().chain(corrected).filter(|_| several).map(|w| format!(" {w}")).collect();
        Method {
            name: format!("{}{more}", participant.name),
            family: participant.kind.family(),
            backbone: backbone.clone(),
            distance: word.map(String::from),
            variant,
            group: participant.name.clone(),
            note,
            settings: settings(&choices),
        }
    }
}

impl Opened {
    /// The lines of the tables that it is.
    pub fn lines(&self, participant: &Participant, all: &[(String, Vec<Method>)]) -> Vec<Method> {
        let of = |network: &Network, weights: &Weights| Lines {
            participant,
            backbone: network.name.into(),
            weights: weights.sha256(),
        };
        let plain = (None, Variant::Plain, String::new());
        match self {
            Opened::Vectors { network, weights, configs } => {
                let lines = of(network, weights);
                let variant = |h: &Head| if h.shot_correction { Variant::Corrected } else { Variant::Plain };
                let note = |c: &Config| if c.head.center { "centred and normalised".into() } else { String::new() };
                configs.iter().map(|c| lines.line(c, (Some(c.head.distance), variant(&c.head), note(c)))).collect()
            }
            Opened::Tuned { network, weights, config, tunings } => {
                let lines = of(network, weights);
                let line = |Adaptation { tuning, auto, .. }: &Adaptation| {
                    let variant = if tuning.balance { Variant::Corrected } else { Variant::Plain };
                    let rate = if *auto { "a rate found by the support".into() } else { tuning.rate.to_string() };
                    let note = format!("fine-tuned, {} steps at {rate}, {} px", tuning.steps, config.size);
                    lines.line((config, tuning, auto), (None, variant, note))
                };
                tunings.iter().map(line).collect()
            }
            Opened::Caml(start) => {
                let (source, origin) = (start.source(), start.checkpoint());
                let lines = Lines {
                    participant,
                    backbone: source.network.name.into(),
                    weights: format!("{} {}", source.weights.sha256(), origin.sha256),
                };
                vec![lines.line(start.config(), plain)]
            }
            Opened::PatchCore { network, weights, config } => vec![of(network, weights).line(config, plain)],
            Opened::Dino { network, weights, config } => vec![of(network, weights).line(config, plain)],
            Opened::EfficientAd { teacher, config, contents, .. } => {
                let note = format!("{} steps", config.steps);
                vec![of(teacher.network, &teacher.weights).line((config, contents), (None, Variant::Plain, note))]
            }
            Opened::Chain => {
                let Kind::Chain { detector, learner } = &participant.kind else { return vec![] };
                let of = |name: &String| all.iter().find(|a| a.0 == *name).and_then(|a| a.1.first());
                let settings = [detector, learner].map(|name| of(name).map(|m| m.settings.clone()));
                let mut backbones: Vec<&str> =
                    [detector, learner].into_iter().filter_map(of).map(|m| m.backbone.as_str()).collect();
                backbones.dedup();
                let lines = Lines { participant, backbone: backbones.join(" + "), weights: String::new() };
                vec![lines.line(settings, (None, Variant::Plain, format!("{detector} then {learner}")))]
            }
        }
    }
}
