//! A study's folder: what it is about, what was drawn, what was said, and how long it took; several folders are merged into one.
//!
//! `study.json` says what the folder is about. A folder belongs to one plan as it was carried out: other choices, pictures or weights are
//! another plan.

use super::report::PAGE;
use super::run::{Journal, OUTCOMES, Shard, Study, TIMING, Units, content, journalled};
use super::{Category, Draw, Facts, LeftOut, Method, Results};
use crate::error::{Error, Result, shown};
use crate::files::{folder, write};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the folder is about.
pub const ABOUT: &str = "study.json";

/// The plan as it was written; its paths are seen from where it was.
pub const PLAN: &str = "plan.toml";

/// What was drawn.
pub const EPISODES: &str = "episodes.jsonl";

/// What a folder is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What holds for all of it.
    pub facts: Facts,
    /// Which share of it, and of how many.
    pub shard: [usize; 2],
    /// How much work all of it is.
    pub units: usize,
    /// The data sets.
    pub categories: Vec<Category>,
    /// Who takes part.
    pub methods: Vec<Method>,
    /// Who does not.
    pub left_out: Vec<LeftOut>,
}

impl About {
    /// Of a study before it is run.
    pub fn of(study: &Study, shard: Shard) -> About {
        About {
            facts: study.facts.clone(),
            shard: [shard.number, shard.of],
            units: study.units.len(),
            categories: study.sets.iter().map(super::pictures::Pictures::category).collect(),
            methods: study.methods.clone(),
            left_out: study.left_out.clone(),
        }
    }

    /// What a folder is about.
    ///
    /// # Errors
    /// [`Error::Input`] for a folder without it, or where it is damaged.
    pub fn read(folder: &Path) -> Result<About> {
        let path = folder.join(ABOUT);
        let wrong = |what: String| Error::Input(format!("{}: {what}", shown(&path)));
        let text = std::fs::read_to_string(&path)
            .map_err(|e| wrong(format!("cannot be read ({e}); expected the folder of `lupe experiment run`")))?;
        serde_json::from_str(&text).map_err(|e| wrong(format!("is damaged: {e}")))
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_string_pretty(self).map_err(|e| Error::Internal(format!("{ABOUT}: {e}")))?;
        Ok((json + "\n").into_bytes())
    }

    /// The share.
    pub fn shard(&self) -> Shard {
        let [number, of] = self.shard;
        Shard { number, of }
    }

    fn without_shard(&self) -> About {
        About { shard: [1, 1], ..self.clone() }
    }
}

/// Opens a folder for a study, or goes on in it.
///
/// # Errors
/// [`Error::Input`] where it holds results of another plan or of another shard; [`Error::Output`] where nothing can be written there.
pub fn begin(study: &Study, at: &Path, shard: Shard) -> Result<Journal> {
    folder(at)?;
    let about = About::of(study, shard);
    if at.join(ABOUT).exists() {
        let there = About::read(at)?;
        let refused = |what: &str| Err(Error::Input(format!("{}: {what}; give another folder", shown(at))));
        if there.facts.plan != about.facts.plan {
            return refused(&format!("holds results of {}", other(&there, &about)));
        }
        if there.shard != about.shard {
            let [number, of] = there.shard;
            return refused(&format!("holds results of shard {number}/{of} of this plan"));
        }
    } else {
        nobodys(at)?;
        write(&at.join(EPISODES), &draws(&study.draws())?)?;
        write(&at.join(PLAN), study.grid.text().as_bytes())?;
        write(&at.join(ABOUT), &about.bytes()?)?;
    }
    Journal::open(at)
}

/// Whether a folder that is no study's holds nothing that a study would replace.
///
/// # Errors
/// [`Error::Input`] with the first file that it does.
pub fn nobodys(at: &Path) -> Result<()> {
    let names = [PLAN, EPISODES, OUTCOMES, TIMING, "results.csv", "summary.md", PAGE];
    match names.iter().find(|name| at.join(name).exists()) {
        Some(name) => {
            let at = shown(at);
            Err(Error::Input(format!(
                "{at}: holds {name}, but not {ABOUT}, so whose it is is unknown; give another folder"
            )))
        }
        None => Ok(()),
    }
}

/// In which way a folder's plan is another one.
fn other(there: &About, about: &About) -> String {
    let (a, b) = (&there.facts, &about.facts);
    let names = |about: &About| about.methods.iter().map(|m| (m.name.clone(), m.settings.clone())).collect::<Vec<_>>();
    let which = if a.name != b.name {
        return format!("another plan, {}", crate::error::plain(&a.name));
    } else if a.version != b.version {
        format!("made by Lupe {}", a.version)
    } else if a.seed != b.seed || a.pool != b.pool || a.stratified_bad != b.stratified_bad || a.excluded != b.excluded {
        "with other draws".into()
    } else if there.categories != about.categories {
        "with other data sets".into()
    } else if names(there) != names(about) {
        "with other methods or weights".into()
    } else {
        "with other pictures, tasks, shots or repeats".into()
    };
    format!("another plan, {which}")
}

/// Draws as they are written.
pub fn draws(all: &[Draw]) -> Result<Vec<u8>> {
    let line = |draw: &Draw| serde_json::to_string(draw).map_err(|e| Error::Internal(format!("{EPISODES}: {e}")));
    Ok(all.iter().map(|d| line(d).map(|l| l + "\n")).collect::<Result<Vec<_>>>()?.concat().into_bytes())
}

fn read_draws(at: &Path) -> Result<Vec<Draw>> {
    let path = at.join(EPISODES);
    let wrong = |what: String| Error::Input(format!("{}: {what}", shown(&path)));
    let text = std::fs::read_to_string(&path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let line = |(i, text): (usize, &str)| {
        serde_json::from_str(text).map_err(|e| wrong(format!("line {} is damaged: {e}", i + 1)))
    };
    text.lines().enumerate().map(line).collect()
}

/// What folders found out together, and how many units are not done yet.
pub struct Gathered {
    /// It.
    pub results: Results,
    /// Units that are not done.
    pub missing: usize,
    about: About,
    plan: Vec<u8>,
    outcomes: Units<super::Outcome>,
    timing: Units<super::Timing>,
}

impl Gathered {
    /// Reads folders of one plan.
    ///
    /// # Errors
    /// [`Error::Input`] for folders of different plans, for one share twice, and for damaged files.
    pub fn read(folders: &[PathBuf]) -> Result<Gathered> {
        let first = folders.first().ok_or_else(|| Error::Usage("expected at least one folder".into()))?;
        let about = About::read(first)?;
        let (mut outcomes, mut timing) = (BTreeMap::new(), BTreeMap::new());
        for (i, at) in folders.iter().enumerate() {
            let own = About::read(at)?;
            let refused = |what: String| Err(Error::Input(format!("{}: {what}", shown(at))));
            if own.without_shard() != about.without_shard() {
                return refused(format!("is of {}, not of the one of {}", other(&own, &about), shown(first)));
            }
            if own.shard[1] != about.shard[1] {
                let [[a, of], [b, other]] = [own.shard, about.shard];
                return refused(format!("is shard {a}/{of}, and {} is shard {b}/{other}", shown(first)));
            }
            let earlier = || folders.iter().take(i).filter_map(|at| Some((at, About::read(at).ok()?)));
            if let Some((twice, _)) = earlier().find(|(_, earlier)| earlier.shard == own.shard) {
                return refused(format!("is shard {}/{}, and so is {}", own.shard[0], own.shard[1], shown(twice)));
            }
            let (done, times) = journalled(at)?;
            let foreign = done.keys().find(|unit| **unit >= about.units || !own.shard().has(**unit));
            if let Some(unit) = foreign {
                return refused(format!("{OUTCOMES} holds unit {unit}, which is none of this shard"));
            }
            outcomes.extend(done);
            timing.extend(times);
        }
        timing.retain(|unit, _| outcomes.contains_key(unit));
        let draws = read_draws(first)?;
        let said: Vec<super::Outcome> = outcomes.values().flatten().cloned().collect();
        let odd = |o: &super::Outcome| about.methods.get(o.method).is_none() || draws.get(o.draw).is_none();
        if said.iter().any(odd) {
            let what = format!("{}: {OUTCOMES} names a method or a draw that is not in this folder", shown(first));
            return Err(Error::Input(what));
        }
        let missing = about.units - outcomes.len();
        let plan = std::fs::read(first.join(PLAN))
            .map_err(|e| Error::Input(format!("{}: cannot be read: {e}", shown(&first.join(PLAN)))))?;
        let results = Results {
            facts: about.facts.clone(),
            categories: about.categories.clone(),
            methods: about.methods.clone(),
            left_out: about.left_out.clone(),
            draws,
            outcomes: said,
            timing: timing.values().flatten().cloned().collect(),
        };
        Ok(Gathered { results, missing, about, plan, outcomes, timing })
    }

    /// The shares that are missing or not done, in words.
    ///
    /// # Errors
    /// [`Error::Input`] if anything is missing.
    pub fn whole(&self, folders: &[PathBuf]) -> Result<()> {
        let shares: Vec<[usize; 2]> = folders.iter().filter_map(|at| Some(About::read(at).ok()?.shard)).collect();
        let of = self.about.shard[1];
        let absent: Vec<String> =
            (1..=of).filter(|n| !shares.contains(&[*n, of])).map(|n| format!("{n}/{of}")).collect();
        let (missing, units) = (self.missing, self.about.units);
        match (absent.is_empty(), missing) {
            (true, 0) => Ok(()),
            (false, _) => Err(Error::Input(format!(
                "shards are missing: {}; give their folders, too, or run them: lupe experiment run PLAN --shard {}",
                absent.join(", "),
                absent.first().map_or("", String::as_str)
            ))),
            (true, _) => {
                let open = |n: &usize| !self.outcomes.contains_key(n);
                let own = |shard: Shard| (0..units).filter(|n| shard.has(*n)).any(|n| open(&n));
                let unfinished: Vec<String> = (1..=of)
                    .filter(|number| own(Shard { number: *number, of }))
                    .map(|number| format!("{number}/{of}"))
                    .collect();
                Err(Error::Input(format!(
                    "{missing} of {units} units are not done yet, of the shards {}; run them again: they go on where they were",
                    unfinished.join(", ")
                )))
            }
        }
    }

    /// The files of a folder that holds all of it, as one run would have written them.
    ///
    /// # Errors
    /// [`Error::Internal`] for what cannot be written as JSON.
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(vec![
            (EPISODES.into(), draws(&self.results.draws)?),
            (OUTCOMES.into(), content(&self.outcomes)?),
            (TIMING.into(), content(&self.timing)?),
            (PLAN.into(), self.plan.clone()),
            (ABOUT.into(), self.about.without_shard().bytes()?),
        ])
    }
}
