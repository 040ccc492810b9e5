//! `lupe embed`: pictures in, features of a network's stages out.

use super::output::{new_table, print};
use super::session::Session;
use super::subject::{WeightsArgs, say_notes};
use crate::data::dataset::{Census, Counted};
use crate::data::{Limits, Picture, Prepared};
use crate::error::{Error, Result, shown};
use crate::files::write;
use crate::methods::embed::{Embedder, offered};
use crate::models::{self, Network};
use crate::outputs::Inputs;
use crate::tensor::{Shape, Tensor};
use crate::watch::Watch;
use crate::weights::{Weights, safetensors};
use npyz::WriterBuilder;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What `lupe embed` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pictures: PNG, JPEG, BMP, TIFF or WebP
    #[arg(required = true, value_name = "PICTURE")]
    pictures: Vec<PathBuf>,
    /// Network
    #[arg(long, default_value = "efficientnet_lite0", value_name = "NAME")]
    model: String,
    /// Its weights, safetensors or .pth; only efficientnet_lite0 has built-in ones
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    choice: WeightsArgs,
    /// A place of the network, such as block4, pool or logits; may be given several times
    #[arg(long, default_value = "pool", value_name = "PLACE")]
    tap: Vec<String>,
    /// Maximum number of pictures per run; does not affect results
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Output: .safetensors, .npy (one tap) or .json; without it a summary is printed
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let format = args.output.as_deref().map(|path| FeatureFormat::of(path, &args.tap)).transpose()?;
    let file = args.choice.of(args.weights.as_deref());
    if let Some(path) = &args.output {
        session.outputs.file(path, &Inputs::of(args.pictures.iter().chain(&args.weights)))?;
    }
    let (network, weights) = models::open(&args.model, file.as_ref())?;
    say_notes(session, weights.notes());
    offered(network, &weights, &args.tap)?;
    for path in &args.pictures {
        let meta = std::fs::metadata(path);
        let fail = |what: String| Error::Input(format!("{}: {what}", shown(path)));
        if meta.map_err(|e| fail(format!("cannot be read: {e}")))?.is_dir() {
            return Err(fail("is a folder; name the pictures in it".into()));
        }
    }
    let features = features(session, args, network, &weights)?;
    let taps: Vec<(String, Tensor)> =
        args.tap.iter().zip(features).map(|(tap, t)| (tap.clone(), channels_first(t))).collect();
    match (format, &args.output) {
        (Some(format), Some(path)) => write(path, &format.bytes(args, &taps)?)?,
        _ if session.json => print(&as_json(args, &taps).to_string())?,
        _ => print(&summary(args, &taps))?,
    }
    session.say(&counted(args).to_string());
    Ok(())
}

/// Pictures are named one by one: all of them are looked at, or the command has ended with an error.
fn counted(args: &Args) -> Counted {
    let found = args.pictures.len();
    Census::of(found).ended(found, 0, 0)
}

/// For each tap the features of all pictures, `[n, h, w, c]` or `[n, c]`.
fn features(session: &Session, args: &Args, network: &Network, weights: &Weights) -> Result<Vec<Tensor>> {
    let load = |path: &Path| network.preprocess.prepare(&Picture::open(path, Limits::default())?);
    let mut inputs = args.pictures.iter();
    let first: Option<Prepared> = inputs.next().map(|p| load(p)).transpose()?;
    let Some(first) = first else { return Ok(vec![]) };
    let (gpu, n) = (session.gpu()?, args.pictures.len());
    let mut options = session.run_options(&gpu, args.batch);
    options.batch = options.batch.min(n);
    let planned = Embedder::new(&gpu, (network, weights), &args.tap, first.size(), &options);
    let mut embedder = pollster::block_on(planned)?;
    let (dispatches, batch) = (embedder.dispatches(), embedder.batch());
    log::info!("{}; {dispatches} dispatches, {batch} pictures a run", gpu.info.describe());
    let (mut all, mut waiting) = (vec![], vec![first]);
    loop {
        while waiting.len() < batch {
            let Some(path) = inputs.next() else { break };
            waiting.push(load(path)?);
        }
        if waiting.is_empty() {
            break;
        }
        all.extend(pollster::block_on(embedder.run(&waiting))?);
        session.progress("embedding", all.len(), n);
        waiting.clear();
    }
    finite(args, &all)?;
    let mut taps = vec![vec![]; args.tap.len()];
    for picture in all {
        taps.iter_mut().zip(picture).for_each(|(tap, t)| tap.push(t));
    }
    Ok(taps.iter().map(|tap| stacked(tap)).collect())
}

/// A feature that is not a number is an error, never a result.
fn finite(args: &Args, features: &[Vec<Tensor>]) -> Result<()> {
    let broken = |f: &Vec<Tensor>| f.iter().any(|t| t.data.iter().any(|v| !v.is_finite()));
    match args.pictures.iter().zip(features).find(|(_, f)| broken(f)) {
        Some((path, _)) => Err(Error::Numeric(format!(
            "{}: its features are not finite; do the weights belong to {}?",
            shown(path),
            args.model
        ))),
        None => Ok(()),
    }
}

/// Tensors `[1, …]` as one `[n, …]`.
fn stacked(parts: &[Tensor]) -> Tensor {
    let mut sizes: Vec<usize> = parts.first().map_or(vec![0], |t| t.shape.dims().to_vec());
    if let Some(n) = sizes.first_mut() {
        *n = parts.len();
    }
    Tensor::new(Shape::new(&sizes), parts.iter().flat_map(|t| t.data.iter().copied()).collect())
}

fn channels_first(t: Tensor) -> Tensor {
    if t.shape.rank() == 4 { t.permute(&[0, 3, 1, 2]) } else { t }
}

/// Format of an output file.
#[derive(Clone, Copy)]
enum FeatureFormat {
    Safetensors,
    Npy,
    Json,
}

impl FeatureFormat {
    /// By the extension.
    fn of(path: &Path, taps: &[String]) -> Result<FeatureFormat> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("npy") if taps.len() > 1 => {
                Err(Error::Usage("a .npy file holds one tap; use .safetensors or .json for several".into()))
            }
            Some("npy") => Ok(FeatureFormat::Npy),
            Some("json") => Ok(FeatureFormat::Json),
            Some("safetensors") => Ok(FeatureFormat::Safetensors),
            None if path.exists() => Ok(FeatureFormat::Safetensors), // a device or a pipe has no extension to go by
            _ => {
                Err(Error::Usage(format!("{}: expected a name that ends in .safetensors, .npy or .json", shown(path))))
            }
        }
    }

    fn bytes(self, args: &Args, taps: &[(String, Tensor)]) -> Result<Vec<u8>> {
        match self {
            FeatureFormat::Safetensors => {
                safetensors::write(&taps.iter().map(|(k, t)| (k.clone(), t)).collect::<Vec<_>>())
            }
            FeatureFormat::Json => Ok(as_json(args, taps).to_string().into_bytes()),
            FeatureFormat::Npy => {
                npy(taps).map_err(|e| Error::Output(format!("the features cannot be written as .npy: {e}")))
            }
        }
    }
}

fn npy(taps: &[(String, Tensor)]) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    if let Some((_, t)) = taps.first() {
        let shape: Vec<u64> = t.shape.dims().iter().map(|&d| d as u64).collect();
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
        writer.extend(t.data.iter().copied())?;
        writer.finish()?;
    }
    Ok(bytes)
}

fn as_json(args: &Args, taps: &[(String, Tensor)]) -> Value {
    let pictures: Vec<String> = args.pictures.iter().map(|p| p.display().to_string()).collect();
    let tap = |(name, t): &(String, Tensor)| (name.clone(), json!({"shape": t.shape.dims(), "data": t.data}));
    let counts = counted(args).json();
    json!({"model": args.model, "pictures": pictures, "counts": counts, "taps": taps.iter().map(tap).collect::<serde_json::Map<_, _>>()})
}

fn summary(args: &Args, taps: &[(String, Tensor)]) -> String {
    let mut table = new_table(["picture", "tap", "shape", "mean", "max", "length"]);
    for (name, t) in taps {
        let each = t.data.len() / args.pictures.len().max(1);
        let shape = t.shape.dims().iter().skip(1).map(usize::to_string).collect::<Vec<_>>().join("x");
        for (path, row) in args.pictures.iter().zip(t.data.chunks(each.max(1))) {
            let sum: f64 = row.iter().map(|&v| f64::from(v)).sum();
            let square: f64 = row.iter().map(|&v| f64::from(v).powi(2)).sum();
            let max = row.iter().fold(f32::MIN, |m, &v| m.max(v));
            table.add_row([
                shown(path),
                name.clone(),
                shape.clone(),
                format!("{:.5}", sum / row.len() as f64),
                format!("{max:.5}"),
                format!("{:.4}", square.sqrt()),
            ]);
        }
    }
    table.to_string()
}
