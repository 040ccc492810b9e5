//! `lupe patchcore import`: a model of what the official implementation or anomalib saved.

use super::args::Import;
use crate::cli::network::network;
use crate::cli::output::{print, write};
use crate::cli::session::Session;
use crate::error::{Error, Result};
use crate::methods::patchcore::import::{Asked, Foreign, anomalib, official};
use crate::methods::patchcore::model::Model;
use crate::files::sha256;
use crate::weights::faiss;
use crate::weights::pth::values::pickled;
use crate::weights::safetensors::with_file;
use serde_json::json;
use std::path::Path;

/// Names of the two files of an official model; those of an ensemble have more before them.
const INDEX: &str = "nnscorer_search_index.faiss";
const PARAMS: &str = "patchcore_params.pkl";

/// Runs the command.
pub fn run(session: &Session, args: &Import) -> Result<()> {
    let asked = Asked {
        backbone: args.backbone.clone(),
        layers: args.layers.clone(),
        size: args.size,
        resize: args.resize,
        neighbors: args.neighbors,
        reweight: args.reweight,
    };
    let found = if args.source.is_dir() { folder(args, &asked)? } else { checkpoint(args, &asked)? };
    found.notes.iter().for_each(|n| session.say(&format!("note: {n}")));
    let thresholds = found.thresholds;
    let (net, weights) = network(&found.backbone, args.weights.as_deref())?;
    let model = found.model(net, weights, !args.no_embed_backbone)?;
    write(&args.output, &model.to_bytes()?)?;
    report(session, args, &model, thresholds)
}

/// An official model.
fn folder(args: &Import, asked: &Asked) -> Result<Foreign> {
    let (folder, before) = (&args.source, before(args)?);
    let (index, params) = (folder.join(format!("{before}{INDEX}")), folder.join(format!("{before}{PARAMS}")));
    let value = opened(&params, pickled)?;
    let (bank, hash) = opened(&index, |bytes, name| Ok((faiss::read(bytes, name)?, sha256(bytes))))?;
    let origin = format!("the official implementation's {before}{INDEX}, SHA-256 {hash}");
    official(&value, &params.display().to_string(), bank, origin, asked)
}

/// What stands before the names of the two files in the folder.
fn before(args: &Import) -> Result<String> {
    let folder = args.source.display();
    let read = std::fs::read_dir(&args.source);
    let read = read.map_err(|e| Error::Weights(vec![format!("{folder}: cannot be read: {e}")]))?;
    let names = read.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut all: Vec<String> = names.filter_map(|n| Some(n.strip_suffix(INDEX)?.to_string())).collect();
    all.sort();
    if let Some(n) = args.member {
        all.retain(|b| b.starts_with(&format!("Ensemble-{n}-")));
    }
    match (all.as_slice(), args.member) {
        ([one], _) => Ok(one.clone()),
        ([], None) => Err(Error::Weights(vec![format!(
            "{folder}: holds no {INDEX}; name the folder of one category, which has it beside {PARAMS}"
        )])),
        ([], Some(n)) => Err(Error::Usage(format!("{folder}: holds no Ensemble-{n}-…_{INDEX}"))),
        (many, _) => Err(Error::Usage(format!(
            "{folder}: holds an ensemble of {} models, whose scores Lupe does not mix; --member N takes one of them",
            many.len()
        ))),
    }
}

/// A checkpoint of anomalib.
fn checkpoint(args: &Import, asked: &Asked) -> Result<Foreign> {
    if args.member.is_some() || args.neighbors.is_some() {
        return Err(Error::Usage("--member and --neighbors have no meaning here: they are for official models".into()));
    }
    let name = args.source.file_name().map_or("checkpoint".into(), |n| n.to_string_lossy().into_owned());
    opened(&args.source, |bytes, source| {
        anomalib(bytes, source, format!("anomalib's {name}, SHA-256 {}", sha256(bytes)), asked)
    })
}

/// What `read` makes of a file, given its name too.
fn opened<T>(path: &Path, read: impl FnOnce(&[u8], &str) -> Result<T>) -> Result<T> {
    let name = path.display().to_string();
    with_file(path, |bytes| {
        if bytes.starts_with(b"version https://git-lfs") {
            let what = "is a pointer of Git LFS, not the file that it stands for; `git lfs pull` fetches that";
            return Err(Error::Weights(vec![format!("{name}: {what}")]));
        }
        read(bytes, &name)
    })
}

fn report(session: &Session, args: &Import, model: &Model, thresholds: [Option<f64>; 2]) -> Result<()> {
    let (config, file, origin) = (&model.config, args.output.display(), model.origin.as_deref().unwrap_or_default());
    let [image, pixel] = thresholds;
    let rows = model.bank.shape.dim(0);
    if session.json {
        return print(
            &json!({
                "model": args.output, "origin": origin, "bank": rows, "backbone": model.backbone.name, "config": config,
                "limit": model.limit(), "thresholds": {"image": image, "pixel": pixel},
            })
            .to_string(),
        );
    }
    let pictures = match config.crop {
        true => format!("shorter edge {}, centre crop {}", config.resize, config.size),
        false => format!("whole, resized to {0}x{0}", config.size),
    };
    let known = |t: Option<f64>| t.map_or("none".into(), |t| format!("{t:.4}"));
    let theirs = if [image, pixel] == [None; 2] {
        String::new()
    } else {
        format!("\nanomalib  thresholds {} for pictures, {} for pixels: not taken over", known(image), known(pixel))
    };
    print(&format!(
        "wrote     {file}\nfrom      {origin}\nbank      {rows} rows of {} values, layers {:?} of {}\npictures  {pictures}\nlimit     none: scores of good pictures are not saved there{theirs}\n\nNext: lupe patchcore predict {file} PICTURES -o results",
        model.geometry.dim, config.layers, model.backbone.name
    ))
}
