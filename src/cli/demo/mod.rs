//! `lupe demo`: pictures that ship with Lupe, then the commands anybody would type: fit and eval. At the end one sheet shows everything.

mod few_shot;
mod study;

use super::output::{new_table, print, silently};
use super::session::Session;
use crate::data::dataset::GOOD;
use crate::data::demo::{DemoPart, parts};
use crate::data::{Limits, Picture};
use crate::error::{Error, Result, shown};
use crate::files::{save, write};
use crate::manifest;
use crate::report::{Canvas, contour, mask_png, sheet};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the pixel AUROC must reach: four seeds gave 0.970 to 0.972, at 224x224 0.968 to 0.973; weights of no training 0.846.
const FLOOR: f64 = 0.9;

const INTRODUCTION: &str = "\
The pictures are real: tiles of a photograph of bricks (CC0). The defects are painted on them, faint on purpose.
Lupe learns from 8 good tiles only. Then it looks at 8 others, first without and then with defects.";

/// What `lupe demo` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for everything that the demo creates
    #[arg(short, long, default_value = "lupe-demo", value_name = "DIR")]
    output: PathBuf,
    #[command(subcommand)]
    which: Option<Which>,
}

/// Other demos.
#[derive(Debug, clap::Subcommand)]
enum Which {
    /// Tells three classes apart after 5 tiles of each, and finds defects after a single good one
    #[command(after_help = "Example:\n  lupe demo few-shot")]
    FewShot(few_shot::Args),
    /// A small study of few-shot learners beside detectors on painted defects, with a report
    #[command(after_help = "Example:\n  lupe demo study")]
    Study(study::Args),
}

/// Runs a command, given the words that follow `lupe`.
type Typed<'t> = dyn Fn(&[&OsStr]) -> Result<()> + 't;

/// Runs the command; `command` runs others, as if they had been typed.
pub fn run(session: &Session, args: &Args, command: &Typed) -> Result<()> {
    match &args.which {
        Some(Which::FewShot(args)) => return few_shot::run(session, args, command),
        Some(Which::Study(args)) => return study::run(session, args, command),
        None => {}
    }
    let (start, folder) = (Instant::now(), args.output.as_path());
    let [data, model, results] = ["parts", "parts.lupe", "results"].map(|name| folder.join(name));
    let parts = parts()?;
    let written = ["parts.lupe", "parts.lupe.features", manifest::SHEET].map(PathBuf::from);
    own(&files(&parts, Path::new("parts")).chain(written).collect(), &["results"], folder)?;
    session.outputs.folder(folder)?;
    write_parts(&parts, &data)?;
    if !session.json {
        print(INTRODUCTION)?;
    }
    let word = OsStr::new;
    let typed = |words: &[&OsStr]| typed(session, words, command);
    typed(&[word("fit"), word("patchcore"), data.as_ref(), word("-o"), model.as_ref()])?;
    typed(&[word("eval"), model.as_ref(), data.as_ref(), word("-o"), results.as_ref()])?;
    let verdicts = verdicts(&results.join("results.ndjson"))?;
    manifest::mark(folder, manifest::SHEET)?;
    write(&folder.join(manifest::SHEET), &contact_sheet(&parts, &verdicts, &results)?.png()?)?;
    let file = results.join("metrics.json");
    let metrics = parsed(&file, &text(&file)?)?;
    let seconds = start.elapsed().as_secs_f64();
    if session.json {
        print(&as_json(&verdicts, &metrics, folder, seconds).to_string())?;
    } else {
        print(&summary(&verdicts, folder, seconds))?;
    }
    let auroc = metrics.pointer("/pixel/auroc").and_then(Value::as_f64).unwrap_or_default();
    if auroc >= FLOOR {
        return Ok(());
    }
    let what =
        format!("the pixel AUROC is {auroc:.3}, less than {FLOOR}: this device computes incorrectly; please report it");
    Err(Error::Numeric(what))
}

/// Shows the line that is typed, and runs it.
fn typed(session: &Session, words: &[&OsStr], command: &Typed) -> Result<()> {
    if session.json {
        // One object is expected, and what the commands report is in the files that they write.
        return silently(|| command(words));
    }
    let shown: Vec<_> = words.iter().map(|w| w.to_string_lossy()).collect();
    print(&format!("\n$ lupe {}", shown.join(" ")))?;
    command(words)
}

/// Writes the pictures and masks in MVTec AD's layout.
fn write_parts(parts: &[DemoPart], folder: &Path) -> Result<()> {
    let write = |file: String, bytes: &[u8]| save(&folder.join(file), bytes);
    for part in parts {
        write(name(part), &canvas(&part.picture).png()?)?;
        if let Some(mask) = &part.mask {
            write(mask_name(part), &mask_png(&mask.bits, mask.width, mask.height)?)?;
        }
    }
    Ok(())
}

/// The files of parts, below the folder `inside`.
fn files<'p>(parts: &'p [DemoPart], inside: &'p Path) -> impl Iterator<Item = PathBuf> + 'p {
    let pictures = parts.iter().flat_map(|part| [Some(name(part)), part.mask.as_ref().map(|_| mask_name(part))]);
    pictures.flatten().map(|name| inside.join(name))
}

/// Refuses a folder with anything in it that no demo writes, before anything is written there; what is in its folders of `results` is
/// left to the commands that write there.
fn own(known: &BTreeSet<PathBuf>, results: &[&str], folder: &Path) -> Result<()> {
    let mut open = vec![folder.to_path_buf()];
    while let Some(inside) = open.pop() {
        let Ok(entries) = fs::read_dir(&inside) else { continue }; // it is not there, or writing there fails
        for path in entries.flatten().map(|e| e.path()) {
            let below = path.strip_prefix(folder).unwrap_or(&path);
            let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
            if path.is_dir() && !results.iter().any(|name| below == Path::new(name)) {
                open.push(path);
            } else if !(hidden || known.contains(below) || path.join(manifest::NAME).is_file()) {
                let (folder, path) = (shown(folder), shown(below));
                return Err(Error::Usage(format!(
                    "{folder}: {path} in it is not the demo's; choose another folder with -o"
                )));
            }
        }
    }
    Ok(())
}

fn mask_name(part: &DemoPart) -> String {
    format!("ground_truth/{}/{}_mask.png", part.label, part.stem())
}

/// Name of its file in the data set.
fn name(part: &DemoPart) -> String {
    format!("{}/{}/{}.png", if part.train { "train" } else { "test" }, part.label, part.stem())
}

fn canvas(picture: &Picture) -> Canvas {
    Canvas { width: picture.width, height: picture.height, rgb: picture.rgb8().into_owned() }
}

/// What was found in one picture.
struct Outcome {
    path: String,
    label: String,
    score: f64,
    limit: f64,
    above: bool,
}

impl Outcome {
    fn right(&self) -> bool {
        self.above == (self.label != GOOD)
    }
}

fn text(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|e| Error::Input(format!("{}: cannot be read: {e}", shown(file))))
}

fn parsed(file: &Path, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|e| Error::Input(format!("{}: not valid JSON: {e}", shown(file))))
}

/// Numbers of a line of results.
fn numbers_of<const N: usize>(line: &Value, keys: [&str; N]) -> [f64; N] {
    keys.map(|key| line.get(key).and_then(Value::as_f64).unwrap_or_default())
}

/// The lines that eval wrote.
fn verdicts(file: &Path) -> Result<Vec<Outcome>> {
    let verdict = |line: &str| {
        let line = parsed(file, line)?;
        let word = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        let [score, limit] = numbers_of(&line, ["score", "limit"]);
        let above = line.get("above") == Some(&json!(true));
        Ok(Outcome { path: word("path"), label: word("label"), score, limit, above })
    };
    text(file)?.lines().map(verdict).collect()
}

/// Every test picture beside its heat map, on which the defect is outlined.
fn contact_sheet(parts: &[DemoPart], verdicts: &[Outcome], results: &Path) -> Result<Canvas> {
    /// A colour that does not occur in heat maps.
    const OUTLINE: [u8; 3] = [255, 0, 220];
    let mut tiles = vec![];
    for verdict in verdicts {
        let Some(part) = parts.iter().find(|p| name(p) == verdict.path) else { continue };
        let file = results.join("heatmaps").join(&verdict.path);
        let (width, height) = (part.picture.width, part.picture.height);
        // Without its scale: the sheet has no room for one beside every picture.
        let mut heat = Canvas::new(width, height, [0; 3]);
        heat.paste(&canvas(&Picture::open(&file, Limits::default())?), 0, 0);
        if let Some(mask) = &part.mask {
            contour(&mut heat, &mask.bits, [0, 0, width, height], OUTLINE);
        }
        let side = if verdict.above { "above" } else { "below" };
        let wrong = match (verdict.right(), verdict.above) {
            (true, _) => "",
            (false, true) => ": false alarm",
            (false, false) => ": missed",
        };
        tiles.push((canvas(&part.picture), format!("{} {}", verdict.label, part.stem())));
        tiles.push((heat, format!("{:.1}, {side} {:.1}{wrong}", verdict.score, verdict.limit)));
    }
    Ok(sheet(&tiles, 8, 200))
}

/// Kinds of defect in order, each with its number of pictures, how many of them are above the limit, and how many verdicts are correct.
fn kinds(verdicts: &[Outcome]) -> Vec<(&str, [usize; 3])> {
    let mut kinds: Vec<(&str, [usize; 3])> = vec![];
    for verdict in verdicts {
        if kinds.last().is_none_or(|k| k.0 != verdict.label) {
            kinds.push((&verdict.label, [0; 3]));
        }
        if let Some((_, [all, above, right])) = kinds.last_mut() {
            *all += 1;
            *above += usize::from(verdict.above);
            *right += usize::from(verdict.right());
        }
    }
    kinds
}

fn summary(verdicts: &[Outcome], folder: &Path, seconds: f64) -> String {
    let mut table = new_table(["", "pictures", "above the limit", "correct"]);
    for (kind, counts) in kinds(verdicts) {
        table.add_row(std::iter::once(kind.to_string()).chain(counts.map(|n| n.to_string())));
    }
    let folder = shown(folder);
    format!(
        "\n{}\n\n\
         Look at   {folder}/contact_sheet.png: every picture and its heat map, painted defects outlined\n          \
         {folder}/results/heatmaps: each with its scale; {folder}/parts: pictures and masks\n\
         Your own  lupe fit patchcore FOLDER_WITH_GOOD_PICTURES -o part.lupe\n          \
         lupe predict part.lupe NEW_PICTURES -o results\n\
         took      {seconds:.1} s",
        table.trim_fmt()
    )
}

fn as_json(verdicts: &[Outcome], metrics: &Value, folder: &Path, seconds: f64) -> Value {
    let one = |(kind, [all, above, right]): (&str, [usize; 3])| {
        (kind.to_string(), json!({"pictures": all, "above": above, "right": right}))
    };
    let kinds: Map<String, Value> = kinds(verdicts).into_iter().map(one).collect();
    json!({
        "folder": folder,
        "contact_sheet": folder.join("contact_sheet.png"),
        "limit": verdicts.first().map(|v| v.limit),
        "kinds": kinds,
        "metrics": metrics,
        "seconds": seconds,
    })
}
