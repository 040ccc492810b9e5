//! `lupe demo few-shot`: classes from five tiles of each of three photographs; then a detector from a single good tile.

use super::{canvas, name, numbers_of, own, parsed, text, typed, write_parts};
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::data::dataset::GOOD;
use crate::data::demo::few_shot::{Tile, tiles};
use crate::data::demo::{DemoPart, parts};
use crate::data::{Limits, Picture};
use crate::error::{Error, Result, shown};
use crate::files::{save, write};
use crate::manifest;
use crate::report::{Canvas, sheet};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the accuracy must reach: the tiles that are drawn here give 1.0.
const FLOOR: f64 = 0.9;

const INTRODUCTION: &str = "\
The pictures are tiles of photographs of bricks, grass and gravel (CC0). Lupe sees 5 tiles of each, then says what 33 others show.
After that it sees a single good tile of bricks, and looks for defects painted on others.";

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for everything that the demo creates
    #[arg(short, long, default_value = "lupe-few-shot", value_name = "DIR")]
    output: PathBuf,
}

/// Runs the command; `command` runs others, as if they had been typed.
pub fn run(session: &Session, args: &Args, command: &super::Typed) -> Result<()> {
    let (start, folder) = (Instant::now(), args.output.as_path());
    let [tiles_in, model, labels, one_good, detector, found] =
        ["tiles", "tiles.lupe", "labels", "one_good", "one_good.lupe", "defects"].map(|name| folder.join(name));
    let (tiles, parts) = (tiles()?, one_good_part()?);
    let known = tiles.iter().map(|t| Path::new("tiles").join(file(t)));
    let known: BTreeSet<PathBuf> = known.chain(super::files(&parts, Path::new("one_good"))).collect();
    let written = ["tiles.lupe", "one_good.lupe", "one_good.lupe.features", manifest::SHEET].map(PathBuf::from);
    own(&known.into_iter().chain(written).collect(), &["labels", "defects"], folder)?;
    session.outputs.folder(folder)?;
    tiles.iter().try_for_each(|t| save(&tiles_in.join(file(t)), &canvas(&t.picture).png()?))?;
    write_parts(&parts, &one_good)?;
    if !session.json {
        print(INTRODUCTION)?;
    }
    let word = OsStr::new;
    let typed = |words: &[&OsStr]| typed(session, words, command);
    let [support, queries] = ["support", "queries"].map(|split| tiles_in.join(split));
    typed(&[word("fit"), word("prototype"), support.as_ref(), word("-o"), model.as_ref()])?;
    typed(&[word("eval"), model.as_ref(), queries.as_ref(), word("-o"), labels.as_ref()])?;
    typed(&[word("fit"), word("patchcore"), one_good.as_ref(), word("-o"), detector.as_ref()])?;
    typed(&[word("eval"), detector.as_ref(), one_good.as_ref(), word("-o"), found.as_ref()])?;
    manifest::mark(folder, manifest::SHEET)?;
    write(&folder.join(manifest::SHEET), &contact_sheet(&tiles, &parts, [&labels, &found])?.png()?)?;
    let [classes, defects] = [&labels, &found].map(|results| {
        let file = results.join("metrics.json");
        parsed(&file, &text(&file)?)
    });
    told(session, folder, [&classes?, &defects?], start.elapsed().as_secs_f64())
}

/// The demo's parts to test with, and the first of the good ones to fit on.
fn one_good_part() -> Result<Vec<DemoPart>> {
    let mut seen = false;
    let mut parts = parts()?;
    parts.retain(|part| !part.train || !std::mem::replace(&mut seen, true));
    Ok(parts)
}

/// Name of a tile's file below the folder of tiles.
fn file(Tile { class, support, place: [x, y], .. }: &Tile) -> String {
    format!("{}/{class}/tile_{x}_{y}.png", if *support { "support" } else { "queries" })
}

/// What was found in a picture.
fn lines(results: &Path) -> Result<Vec<Value>> {
    let file = results.join("results.ndjson");
    text(&file)?.lines().map(|line| parsed(&file, line)).collect()
}

/// The tiles to learn from, those that were labelled, and one part of each kind beside its heat map.
fn contact_sheet(tiles: &[Tile], parts: &[DemoPart], [labels, found]: [&Path; 2]) -> Result<Canvas> {
    let mut all: Vec<(Canvas, String)> = vec![];
    let seen = tiles.iter().filter(|t| t.support);
    all.extend(seen.map(|t| (canvas(&t.picture), format!("{}: learnt from", t.class))));
    for line in lines(labels)? {
        let word = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
        let Some(tile) = tiles.iter().find(|t| file(t) == format!("queries/{}", word("path"))) else { continue };
        let (said, [margin]) = (word("predicted"), numbers_of(&line, ["margin"]));
        let wrong = if said == tile.class { "" } else { ": wrong" };
        all.push((canvas(&tile.picture), format!("{said} {margin:.0}{wrong}")));
    }
    let mut kinds = BTreeSet::new();
    for line in lines(found)? {
        let path = line.get("path").and_then(Value::as_str).unwrap_or_default();
        let Some(part) = parts.iter().find(|p| name(p) == path).filter(|p| kinds.insert(p.label)) else { continue };
        let heat = Picture::open(&found.join("heatmaps").join(path), Limits::default())?;
        // Without its scale: the sheet has no room for one beside every picture.
        let mut cut = Canvas::new(part.picture.width, part.picture.height, [0; 3]);
        cut.paste(&canvas(&heat), 0, 0);
        let [score] = numbers_of(&line, ["score"]);
        all.extend([(canvas(&part.picture), part.label.to_string()), (cut, format!("{score:.1}"))]);
    }
    Ok(sheet(&all, 12, 160))
}

/// Says what came of it, and whether the device computes correctly.
fn told(session: &Session, folder: &Path, [classes, defects]: [&Value; 2], seconds: f64) -> Result<()> {
    let number = |of: &Value, at: &str| of.pointer(at).and_then(Value::as_f64).unwrap_or_default();
    let accuracy = number(classes, "/classes/accuracy");
    let [image, pixel] = ["/image/auroc", "/pixel/auroc"].map(|at| number(defects, at));
    if session.json {
        let sheet = folder.join(manifest::SHEET);
        let detector = json!({"image_auroc": image, "pixel_auroc": pixel});
        let classes = classes.get("classes");
        print(&json!({"folder": folder, "contact_sheet": sheet, "classes": classes, "detector": detector, "seconds": seconds}).to_string())?;
    } else {
        let folder = shown(folder);
        print(&format!(
            "\nClasses   {:.0} of 33 tiles that were not seen before have the right label, after 5 tiles of each class\n\
             Defects   {pixel:.3} pixel AUROC, {image:.3} image AUROC after a single {GOOD} tile\n\n\
             Look at   {folder}/contact_sheet.png: tiles with their labels and margins, parts beside their heat maps\n\
             Your own  lupe fit prototype FOLDER_WITH_A_FOLDER_PER_CLASS -o parts.lupe\n          \
             lupe predict parts.lupe NEW_PICTURES -o results\n\
             took      {seconds:.1} s",
            33.0 * accuracy
        ))?;
    }
    if accuracy >= FLOOR {
        return Ok(());
    }
    let what =
        format!("the accuracy is {accuracy:.3}, less than {FLOOR}: this device computes incorrectly; please report it");
    Err(Error::Numeric(what))
}
