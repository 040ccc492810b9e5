//! `lupe import`: a model from what the official PatchCore or anomalib saved.

use super::output::{print, quoted};
use super::session::Session;
use super::subject::{WeightsArgs, say_notes};
use super::working::place;
use crate::error::Result;
use crate::files::write;
use crate::methods::patchcore::import::{Given, read};
use crate::methods::patchcore::{ModelFile, Preset};
use crate::models;
use crate::outputs::{Inputs, ending_in};
use crate::watch::Watch;
use serde_json::json;
use std::path::PathBuf;

/// What `lupe import` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with nnscorer_search_index.faiss and patchcore_params.pkl, or an anomalib checkpoint
    #[arg(value_name = "DIR|CKPT")]
    source: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE.lupe")]
    output: PathBuf,
    /// Weights of the network that the bank was fitted with, safetensors or .pth
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    choice: WeightsArgs,
    /// Network to use instead of the one that the source names
    #[arg(long, value_name = "NAME")]
    backbone: Option<String>,
    /// Store only the backbone's name and hash in the model, not its weights
    #[arg(long)]
    no_embed_backbone: bool,
    /// Edge after resizing, before the crop, which the official implementation does not save [default: 256 for 224, 366 for 320]; of
    /// anomalib's square, if a checkpoint does not state it [default: 256]
    #[arg(long)]
    resize: Option<usize>,
    /// Number of nearest bank rows whose mean distance is the score of a place [default: as the official model says]
    #[arg(long, value_name = "K")]
    neighbors: Option<usize>,
    /// Places of the network, if a checkpoint does not state them; 2 means layer2 [default: 2,3, as anomalib]
    #[arg(long, value_delimiter = ',', value_name = "PLACE,…", value_parser = place)]
    layers: Option<Vec<String>>,
    /// Edge length of the network's input, if a checkpoint does not state it [default: 256, with --crop 7/8 of --resize]
    #[arg(long)]
    size: Option<usize>,
    /// The checkpoint was fitted on the centre of the resized pictures, as by anomalib 2.0, which does not state it
    #[arg(long, conflicts_with = "no_crop")]
    crop: bool,
    /// The checkpoint was fitted on whole pictures, as by anomalib 2.1 to 2.6, which do not state it
    #[arg(long)]
    no_crop: bool,
    /// anomalib's num_neighbors, if a checkpoint does not state it [default: 9]
    #[arg(long, value_name = "B")]
    reweight: Option<usize>,
    /// Which model of a saved ensemble, counted from 1
    #[arg(long, value_name = "N")]
    member: Option<usize>,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let source = ending_in(&args.source, &["faiss", "pkl"]);
    session.outputs.model(&args.output, &Inputs::of(source.iter().chain(&args.weights)))?;
    let given = Given {
        backbone: args.backbone.clone(),
        layers: args.layers.clone(),
        size: args.size,
        resize: args.resize,
        crop: (args.crop || args.no_crop).then_some(args.crop),
        neighbors: args.neighbors,
        reweight: args.reweight,
    };
    let found = read(&args.source, args.member, &given)?;
    found.notes.iter().for_each(|n| session.say(&format!("note: {n}")));
    let thresholds = found.thresholds;
    let file = args.choice.of(args.weights.as_deref());
    let (network, weights) = models::open(&found.backbone, file.as_ref())?;
    say_notes(session, weights.notes());
    let model = found.model(network, weights, !args.no_embed_backbone)?;
    write(&args.output, &model.to_bytes()?)?;
    report(session, args, &model, thresholds)
}

fn report(session: &Session, args: &Args, model: &ModelFile, thresholds: [Option<f64>; 2]) -> Result<()> {
    let (config, file, origin) = (&model.config, quoted(&args.output), model.origin.as_deref().unwrap_or_default());
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
        true if config.preset == Preset::Anomalib => {
            format!("whole, resized to {0}x{0}, centre crop {1}", config.resize, config.size)
        }
        true => format!("shorter edge {}, centre crop {}", config.resize, config.size),
        false => format!("whole, resized to {0}x{0}", config.size),
    };
    let known = |t: Option<f64>| t.map_or("none".into(), |t| format!("{t:.4}"));
    let theirs = if [image, pixel] == [None; 2] {
        String::new()
    } else {
        format!("\nanomalib  thresholds {} for pictures, {} for pixels: not imported", known(image), known(pixel))
    };
    print(&format!(
        "wrote     {file}\nfrom      {origin}\nbank      {rows} rows of {} values, layers {} of {}\npictures  {pictures}\nlimit     none: the source contains no scores of good pictures{theirs}\n\nNext: lupe predict {file} PICTURES -o results",
        model.geometry.dim,
        config.layers.join(", "),
        model.backbone.name
    ))
}
