//! `lupe episodes`: few-shot episodes on a folder of classes, and what they say of a method.

mod text;
mod tuning;

use super::env;
use super::global::bytes;
use super::output::print;
use super::session::Session;
use super::subject::{WeightsArgs, say_notes};
use super::working::{LabelArgs, TuningArgs, WorkArgs, keep};
use crate::data::dataset::{Classes, Counted, Sample, reason};
use crate::error::{Error, Result, plain};
use crate::files::{write, write_by};
use crate::methods::episodes::{Class, Episode, Found, Kept, Learner, Member, Rule, pool, run as episodes};
use crate::methods::prototype::head::Distance;
use crate::methods::prototype::{Asked, Preset};
use crate::methods::vector::Source;
use crate::methods::{Missed, caml};
use crate::models;
use crate::outputs::{Inputs, ending_in};
use crate::watch::Watch;
use crate::weights::WeightsFile;
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use text::text;

/// What `lupe episodes` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with a folder of pictures for each class, or a .csv with image_path,label
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// What learns the classes
    #[arg(long, value_enum, default_value = "prototype")]
    method: Learns,
    /// Pictures of each class to learn from; each number is an experiment of its own, on the same queries
    #[arg(long, value_delimiter = ',', default_value = "1,5", value_name = "N,…")]
    shots: Vec<usize>,
    /// Pictures of each class to ask about, or `all` that no support holds
    #[arg(long, default_value = "15", value_name = "N|all", value_parser = asked_about)]
    queries: Queries,
    /// How often supports are drawn
    #[arg(long, default_value_t = 600, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    episodes: u32,
    /// Classes of an episode, drawn anew for each [default: all]
    #[arg(long, value_name = "N")]
    ways: Option<usize>,
    /// Take these classes only
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    classes: Vec<String>,
    /// Seed of all draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// CAML's checkpoint, a file or a name in `lupe weights list`
    #[arg(long, value_name = "FILE", required_if_eq("method", "caml"))]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    labels: LabelArgs,
    /// Network [default: the built-in one; pmf: dino_vits16; caml: the one that the checkpoint was released with]
    #[arg(long, value_name = "NAME")]
    backbone: Option<String>,
    /// Its weights, a file or a name in `lupe weights list`; only the default network has built-in ones
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    choice: WeightsArgs,
    /// Place of the network whose vector describes a picture [default: the network's own]
    #[arg(long)]
    place: Option<String>,
    /// Edge length of the network's input [default: the network's own]
    #[arg(long)]
    size: Option<usize>,
    /// Look at the centre of pictures, as the network's own preprocessing does, instead of the whole picture
    #[arg(long)]
    crop: bool,
    /// How far pictures are from prototypes [default: squared; pmf: cosine]
    #[arg(long, value_enum)]
    distance: Option<DistanceArg>,
    /// Subtract the support's mean from all vectors, and divide them by their norms
    #[arg(long)]
    center: bool,
    /// Correct squared distances for the number of pictures; needs two or more
    #[arg(long)]
    shot_correction: bool,
    #[command(flatten)]
    tuning: TuningArgs,
    /// Folder for episodes.jsonl, a line for each episode, and summary.json
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// How much room the vectors of pictures may take in the cache, e.g. 1G; 0 keeps none
    #[arg(long, default_value = "256M", value_name = "SIZE", value_parser = bytes)]
    keep: u64,
    /// Compute all vectors again instead of taking those of earlier runs
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    work: WorkArgs,
}

/// What learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Learns {
    /// Prototypes: the mean vector of each class
    Prototype,
    /// P>M>F: cosines times 10, or as a checkpoint says; fine-tuned where --steps are given
    Pmf,
    /// CAML: a transformer that reads support and query together; needs --checkpoint
    Caml,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DistanceArg {
    Squared,
    Euclidean,
    Cosine,
}

/// How many queries; `None`: all.
#[derive(Clone, Copy, Debug)]
struct Queries(Option<usize>);

fn asked_about(text: &str) -> std::result::Result<Queries, String> {
    let number = || text.parse().map_err(|_| "expected a number, or all".to_string());
    if text == "all" { Ok(Queries(None)) } else { number().map(|n| Queries(Some(n))) }
}

const EPISODES: &str = "episodes.jsonl";
const SUMMARY: &str = "summary.json";

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let adaptation = args.tuning.adaptation()?;
    if adaptation.is_some() && args.method != Learns::Pmf {
        return Err(Error::Usage("--steps: only --method pmf is fine-tuned; leave the flag out".into()));
    }
    let set = chosen(Classes::open(&args.data, args.work.load.all)?, &args.classes)?;
    set.notes.iter().for_each(|note| session.say(note));
    prepare(session, args, &set.samples)?;
    let file = args.choice.of(args.weights.as_deref());
    match (&args.checkpoint, args.method) {
        (Some(checkpoint), Learns::Caml) => with_caml(session, args, &set, file.as_ref(), checkpoint),
        (Some(_), _) => Err(Error::Usage("--checkpoint: only --method caml has one; leave the flag out".into())),
        (None, _) => match adaptation {
            None => with_prototypes(session, args, &set, file.as_ref()),
            Some(asked) => tuning::run(session, args, &set, (file.as_ref(), asked)),
        },
    }
}

fn with_prototypes(session: &Session, args: &Args, set: &Classes, file: Option<&WeightsFile>) -> Result<()> {
    let asked = args.asked();
    let name = asked.backbone.as_deref().unwrap_or(asked.preset.usual_backbone());
    let (network, weights) = models::open(name, file)?;
    say_notes(session, weights.notes());
    let config = asked.with_scalars(file)?.config(network)?;
    let mut head = config.head;
    let source = Source { network, weights: &weights, place: &config.place, preprocess: config.preprocess(network) };
    let found = gathered(session, args, source, set)?;
    let own = json!({
        "distance": head.distance.word(), "scale": head.scale, "center": head.center, "shot_correction": head.shot_correction,
    });
    draw(session, args, &found, &mut head, &args.facts(&source, &found.classes, own))
}

fn with_caml(
    session: &Session,
    args: &Args,
    set: &Classes,
    file: Option<&WeightsFile>,
    checkpoint: &Path,
) -> Result<()> {
    if args.distance.is_some() || args.center || args.shot_correction {
        let flags =
            "--distance, --center and --shot-correction are choices of prototypes; leave them out with --method caml";
        return Err(Error::Usage(flags.into()));
    }
    let start = caml::Start::new(&args.caml(), file, &env::weights(checkpoint))?;
    say_notes(session, &start.notes());
    let (found, rule) = (gathered(session, args, start.source(), set)?, args.rule());
    let sizes: Vec<(&str, usize)> = found.classes.iter().map(|c| (c.name.as_str(), c.pictures.len())).collect();
    rule.check(&sizes)?;
    // Where classes are drawn anew for each episode, none of them is known to be good.
    let drawn = rule.ways.map(|ways| (0..ways).map(|i| format!("class {i}")).collect());
    let names: Vec<String> = drawn.unwrap_or_else(|| sizes.iter().map(|s| s.0.to_string()).collect());
    let gpu = session.gpu()?;
    let queries = rule.queries.unwrap_or_else(|| sizes.iter().map(|s| s.1).max().unwrap_or(1)) * names.len();
    let options = session.options(&gpu);
    let supports: Vec<Vec<usize>> = rule.shots.iter().map(|shots| vec![*shots; names.len()]).collect();
    let (mut learner, verdict) = pollster::block_on(start.learner(&gpu, &names, (&supports, queries), &options))?;
    verdict.warning().iter().for_each(|text| session.say(text));
    let config = start.config();
    let own = json!({
        "checkpoint": start.checkpoint(), "average": config.average, "many_classes": config.many, "reversed": config.reversed,
    });
    draw(session, args, &found, &mut learner, &args.facts(&start.source(), &found.classes, own))
}

/// The pictures with their vectors.
struct Gathered {
    /// How many there are, copies and those that cannot be read among them.
    pictures: usize,
    classes: Vec<Class>,
    counted: Counted,
    missed: Missed,
}

fn gathered(session: &Session, args: &Args, source: Source, set: &Classes) -> Result<Gathered> {
    let kept = args.kept();
    let found = vectors(session, args, &kept, source, &set.samples)?;
    pooled(set, found.vectors, found.missed)
}

/// The pictures by class, each file once, with a vector and the hash of its file each.
fn pooled(set: &Classes, vectors: Vec<Option<(Vec<f32>, String)>>, missed: Missed) -> Result<Gathered> {
    let known = set.samples.iter().zip(vectors).filter_map(|(s, known)| {
        let (vector, sha256) = known?;
        Some(Member { class: &s.label, name: &s.name, vector, sha256 })
    });
    let (classes, copies) = pool(known)?;
    none_is_empty(set, &classes)?;
    let counted = set.fitted(copies.into_iter().map(|name| (reason::SAME, name)), missed.failed.len());
    Ok(Gathered { pictures: set.samples.len(), classes, counted, missed })
}

/// Draws episodes, lets them be learned, and says what came of it.
fn draw(session: &Session, args: &Args, found: &Gathered, learner: &mut dyn Learner, facts: &Value) -> Result<()> {
    let (rule, classes) = (args.rule(), &found.classes);
    let mut drawn = vec![];
    let mut take = |episode| drawn.extend(args.output.is_some().then_some(episode));
    let summaries = episodes(classes, &rule, args.episodes as usize, learner, session, &mut take)?;
    let results: Vec<Value> = summaries.iter().map(|s| s.json(classes)).collect();
    let all = json!({"facts": facts, "results": results, "files": found.counted.json()});
    save(args, &all, classes, &drawn)?;
    match session.json {
        true => print(&all.to_string())?,
        false => print(&text(facts, classes, &summaries))?,
    }
    session.say(&found.counted.to_string());
    found.missed.ended(found.pictures)
}

impl Args {
    fn asked(&self) -> Asked {
        let distance = self.distance.map(|distance| match distance {
            DistanceArg::Squared => Distance::Squared,
            DistanceArg::Euclidean => Distance::Euclidean,
            DistanceArg::Cosine => Distance::Cosine,
        });
        Asked {
            preset: if self.method == Learns::Pmf { Preset::Pmf } else { Preset::Prototype },
            backbone: self.backbone.clone(),
            place: self.place.clone(),
            size: self.size,
            crop: self.crop,
            distance,
            center: self.center,
            shot_correction: self.shot_correction,
            ..Asked::default()
        }
    }

    /// The draws depend on the name of the folder, or of the table, not on where it is.
    fn rule(&self) -> Rule {
        let whole = std::fs::canonicalize(&self.data).unwrap_or_else(|_| self.data.clone());
        let pool = whole.file_stem().map_or_else(|| "/".into(), |name| name.to_string_lossy().into_owned());
        let mut shots = self.shots.clone();
        shots.sort_unstable();
        Rule { seed: self.seed, pool, ways: self.ways, shots, queries: self.queries.0 }
    }

    fn kept(&self) -> Kept {
        keep("features", self.keep, self.fresh)
    }

    /// What CAML is asked for.
    fn caml(&self) -> caml::Asked {
        let own = caml::Asked {
            encoder: self.backbone.clone(),
            place: self.place.clone(),
            size: self.size,
            crop: self.crop,
            ..caml::Asked::default()
        };
        self.labels.with(own)
    }

    /// What was done; `own` is the method's.
    fn facts(&self, source: &Source, classes: &[Class], own: Value) -> Value {
        let (Source { network, place, .. }, rule) = (source, self.rule());
        let pictures: Map<String, Value> = classes.iter().map(|c| (c.name.clone(), json!(c.pictures.len()))).collect();
        let mut all = json!({
            "method": match self.method {
                Learns::Prototype => "prototype",
                Learns::Pmf => "pmf",
                Learns::Caml => "caml",
            },
            "backbone": network.name, "place": place, "size": source.size(), "crop": self.crop,
            "pool": rule.pool, "seed": rule.seed, "episodes": self.episodes, "ways": rule.ways.unwrap_or(classes.len()),
            "queries": rule.queries, "pictures": pictures,
        });
        if let (Some(all), Value::Object(own)) = (all.as_object_mut(), own) {
            all.extend(own);
        }
        all
    }
}

/// The set with these classes only; with all, if none is named.
fn chosen(mut set: Classes, classes: &[String]) -> Result<Classes> {
    let there: Vec<String> = set.counts().into_keys().map(str::to_string).collect();
    if let Some(unknown) = classes.iter().find(|c| !there.contains(c)) {
        let there: Vec<String> = there.iter().map(|c| plain(c)).collect();
        return Err(Error::Usage(format!(
            "--classes: unknown class `{}`; available: {}",
            plain(unknown),
            there.join(", ")
        )));
    }
    let (kept, left): (Vec<Sample>, Vec<Sample>) =
        set.samples.into_iter().partition(|s| classes.is_empty() || classes.contains(&s.label));
    left.iter().for_each(|s| set.census.leave_out(reason::CLASS, &s.name));
    set.samples = kept;
    Ok(set)
}

/// Tries where the results go, before anything is computed.
fn prepare(session: &Session, args: &Args, samples: &[Sample]) -> Result<()> {
    let Some(folder) = &args.output else { return Ok(()) };
    let table = if args.data.is_file() { vec![args.data.clone()] } else { ending_in(&args.data, &["csv", "tsv"]) };
    let inputs = Inputs::of(samples.iter().map(|s| &s.path).chain(&table).chain(&args.weights).chain(&args.checkpoint));
    [EPISODES, SUMMARY].iter().try_for_each(|name| session.outputs.file(&folder.join(name), &inputs))
}

/// The vectors of all pictures: kept ones, and those that the device computes.
fn vectors<'s>(
    session: &Session,
    args: &Args,
    kept: &'s Kept,
    source: Source<'s>,
    samples: &'s [Sample],
) -> Result<Found<'s>> {
    session.watch_for_interrupts()?;
    session.left_by_interrupt("no results were written; the vectors that were computed are kept");
    let mut found = kept.look_up(source, samples, session)?;
    let missing = found.missing().len();
    session.say(&format!("vectors   {} of {} are kept from earlier runs", samples.len() - missing, samples.len()));
    if missing > 0 {
        let gpu = session.gpu()?;
        session.say(&format!("device    {}", gpu.info.describe()));
        let options = session.run_options(&gpu, args.work.batch);
        pollster::block_on(found.compute(&gpu, &options, &args.work.loading(), session))?;
    }
    Ok(found)
}

/// Refuses classes of which no picture could be read: nobody asked for fewer.
fn none_is_empty(set: &Classes, classes: &[Class]) -> Result<()> {
    match set.counts().into_keys().find(|name| classes.iter().all(|c| c.name != *name)) {
        Some(name) => Err(Error::Input(format!("{}: none of its pictures could be read", plain(name)))),
        None => Ok(()),
    }
}

/// Writes the episodes and their summary.
fn save(args: &Args, all: &Value, classes: &[Class], drawn: &[Episode]) -> Result<()> {
    let Some(folder) = &args.output else { return Ok(()) };
    let line = |out: &mut dyn Write, episode: &Episode| writeln!(out, "{}", episode.json(classes));
    write_by(&folder.join(EPISODES), &|out| drawn.iter().try_for_each(|episode| line(out, episode)))?;
    write(&folder.join(SUMMARY), format!("{all:#}\n").as_bytes())
}
