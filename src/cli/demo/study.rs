//! `lupe demo study`: the small study, on tiles of three photographs with painted defects.

use super::{canvas, own, typed};
use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::data::demo::DemoPart;
use crate::data::demo::textures::{Texture, textures};
use crate::error::Result;
use crate::files::{save, write};
use crate::report::mask_png;
use serde_json::json;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The plan.
const PLAN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/study.toml"));

const INTRODUCTION: &str = "\
The pictures are tiles of photographs of bricks, grass and gravel (CC0), 64 of each. On three of eight tiles that are not learned from
a defect is painted: a foreign body, a scratch, a stain. The study asks what few-shot learners make of them, beside a detector.";

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for everything that the study creates
    #[arg(short, long, default_value = "lupe-study", value_name = "DIR")]
    output: PathBuf,
}

/// Runs the command; `command` runs others, as if they had been typed.
pub fn run(session: &Session, args: &Args, command: &super::Typed) -> Result<()> {
    let (start, folder) = (Instant::now(), args.output.as_path());
    let [parts, plan, study] = ["parts", "study.toml", "study"].map(|name| folder.join(name));
    let textures = textures()?;
    let files = textures.iter().flat_map(|t| t.parts.iter().map(move |p| (t, p)));
    let names = files.clone().flat_map(|(t, p)| [Some(name(t, p)), p.mask.as_ref().map(|_| mask_name(t, p))]);
    let known: BTreeSet<PathBuf> = names.flatten().map(|n| Path::new("parts").join(n)).collect();
    own(&known.into_iter().chain([PathBuf::from("study.toml")]).collect(), &["study"], folder)?;
    session.outputs.folder(folder)?;
    for (texture, part) in files {
        save(&parts.join(name(texture, part)), &canvas(&part.picture).png()?)?;
        if let Some(mask) = &part.mask {
            save(&parts.join(mask_name(texture, part)), &mask_png(&mask.bits, mask.width, mask.height)?)?;
        }
    }
    write(&plan, PLAN.as_bytes())?;
    if !session.json {
        print(INTRODUCTION)?;
    }
    let word = OsStr::new;
    let line = [word("experiment"), word("run"), plan.as_ref(), word("-o"), study.as_ref()];
    typed(session, &line, command)?;
    let (report, seconds) = (study.join("report.html"), start.elapsed().as_secs_f64());
    match session.json {
        true => print(&json!({"folder": folder, "report": report, "seconds": seconds}).to_string()),
        false => print(&format!(
            "\nLook at   {}\nYour own  lupe experiment run PLAN.toml -o DIR; {} is a plan to begin with\ntook      {seconds:.1} s",
            quoted(&report),
            quoted(&plan)
        )),
    }
}

/// The file of a picture, below the folder of all textures.
fn name(texture: &Texture, part: &DemoPart) -> String {
    let split = if part.train { "train" } else { "test" };
    format!("{}/{split}/{}/{}.png", texture.name, part.label, Texture::stem(part))
}

fn mask_name(texture: &Texture, part: &DemoPart) -> String {
    format!("{}/ground_truth/{}/{}_mask.png", texture.name, part.label, Texture::stem(part))
}
