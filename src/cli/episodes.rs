//! `lupe episodes`: few-shot episodes on a folder of classes, and what they say of a method.

use super::env;
use super::global::bytes;
use super::output::{new_table, print};
use super::session::Session;
use super::subject::{WeightsArgs, say_notes};
use super::working::WorkArgs;
use crate::data::dataset::{Classes, Sample, reason};
use crate::error::{Error, Result, plain};
use crate::files::{write, write_by};
use crate::methods::episodes::{Class, Episode, Found, Kept, Member, Rule, Summary, pool, run as episodes};
use crate::methods::metrics::Spread;
use crate::methods::prototype::head::{Distance, Head};
use crate::methods::prototype::{Asked, Preset};
use crate::methods::vector::Source;
use crate::models;
use crate::outputs::{Inputs, ending_in};
use crate::watch::Watch;
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;

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
    /// Network [default: the built-in one; pmf: dino_vits16]
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
    /// P>M>F without fine-tuning: cosines times 10, or as a checkpoint says
    Pmf,
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
    let set = chosen(Classes::open(&args.data, args.work.all)?, &args.classes)?;
    set.notes.iter().for_each(|note| session.say(note));
    prepare(session, args, &set.samples)?;
    let (asked, file) = (args.asked(), args.choice.of(args.weights.as_deref()));
    let name = asked.backbone.as_deref().unwrap_or(asked.preset.usual_backbone());
    let (network, weights) = models::open(name, file.as_ref())?;
    say_notes(session, weights.notes());
    let (config, rule) = (asked.with_scalars(file.as_ref())?.config(network)?, args.rule());
    let mut head = config.head;
    let source = Source { network, weights: &weights, place: &config.place, preprocess: config.preprocess(network) };
    let kept = args.kept();
    let found = vectors(session, args, &kept, source, &set.samples)?;
    let known = set.samples.iter().zip(found.vectors).filter_map(|(s, known)| {
        let (vector, sha256) = known?;
        Some(Member { class: &s.label, name: &s.name, vector, sha256 })
    });
    let (classes, copies) = pool(known)?;
    none_is_empty(&set, &classes)?;
    let mut drawn = vec![];
    let mut take = |episode| drawn.extend(args.output.is_some().then_some(episode));
    let summaries = episodes(&classes, &rule, args.episodes as usize, &mut head, session, &mut take)?;
    let counted = set.fitted(copies.into_iter().map(|name| (reason::SAME, name)), found.missed.failed.len());
    let facts = args.facts(&rule, &head, &source, &classes);
    let all = json!({"facts": facts, "results": summaries.iter().map(|s| s.json(&classes)).collect::<Vec<_>>(), "files": counted.json()});
    save(args, &all, &classes, &drawn)?;
    match session.json {
        true => print(&all.to_string())?,
        false => print(&text(&facts, &classes, &summaries))?,
    }
    session.say(&counted.to_string());
    found.missed.ended(set.samples.len())
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
        let folder = env::cache().filter(|_| self.keep > 0).map(|cache| cache.join("features"));
        Kept { folder, most: self.keep, fresh: self.fresh }
    }

    /// What was done.
    fn facts(&self, rule: &Rule, head: &Head, source: &Source, classes: &[Class]) -> Value {
        let Source { network, place, .. } = source;
        let pictures: Map<String, Value> = classes.iter().map(|c| (c.name.clone(), json!(c.pictures.len()))).collect();
        json!({
            "method": if self.method == Learns::Pmf { "pmf" } else { "prototype" },
            "backbone": network.name, "place": place, "size": source.size(), "crop": self.crop,
            "distance": head.distance.word(), "scale": head.scale, "center": head.center, "shot_correction": head.shot_correction,
            "pool": rule.pool, "seed": rule.seed, "episodes": self.episodes, "ways": rule.ways.unwrap_or(classes.len()),
            "queries": rule.queries, "pictures": pictures,
        })
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
    let inputs = Inputs::of(samples.iter().map(|s| &s.path).chain(&table).chain(&args.weights));
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

fn text(facts: &Value, classes: &[Class], summaries: &[Summary]) -> String {
    let fact = |name: &str| facts.get(name).map_or(String::new(), |v| v.as_str().map_or(v.to_string(), plain));
    let queries = facts.get("queries").and_then(Value::as_u64).map_or("all other".into(), |n| n.to_string());
    let share = |s: &Option<Spread>| match s {
        Some(Spread { mean, interval: Some(interval), .. }) => {
            format!("{:.1} ± {:.1} %", 100.0 * mean, 100.0 * interval)
        }
        Some(Spread { mean, .. }) => format!("{:.1} %", 100.0 * mean),
        None => "-".into(),
    };
    let good = summaries.iter().any(|s| s.auroc.is_some());
    let auroc = |s: &Summary| share(&s.auroc);
    let mut table = new_table(
        ["shots", "accuracy", "balanced", "AUROC", "majority", "chance"].into_iter().filter(|n| good || *n != "AUROC"),
    );
    for s in summaries {
        let chance = format!("{:.1} %", 100.0 * s.chance);
        let all = [
            s.shots.to_string(),
            share(&s.accuracy),
            share(&s.balanced_accuracy),
            auroc(s),
            share(&s.majority),
            chance,
        ];
        table.add_row(all.into_iter().enumerate().filter(|(i, _)| good || *i != 3).map(|c| c.1));
    }
    let shots = summaries.iter().map(|s| if s.shots == 1 { "1 shot".into() } else { format!("{} shots", s.shots) });
    let mut recalls = new_table(["recall of".to_string(), "pictures".into()].into_iter().chain(shots));
    for (i, class) in classes.iter().enumerate() {
        let of = summaries.iter().map(|s| s.recalls.get(i).map_or("-".into(), |r| share(&r.recall)));
        recalls.add_row([plain(&class.name), class.pictures.len().to_string()].into_iter().chain(of));
    }
    format!(
        "method    {}, {} distance, {} of {}\nepisodes  {} draws of {}, seed {}: {}-way, {queries} queries of each class\n\n{table}\n\n{recalls}\n\n\
         Means and their 95 % intervals over the draws; all shots are asked about the same queries.",
        fact("method"),
        fact("distance"),
        fact("place"),
        fact("backbone"),
        fact("episodes"),
        fact("pool"),
        fact("seed"),
        fact("ways"),
    )
}
