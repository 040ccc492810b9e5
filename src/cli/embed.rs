//! `lupe embed`: pictures in, features of a network's stages out.

use super::output::{new_table, print};
use super::session::Session;
use super::subject::PicturesArgs;
use crate::error::{Error, Result, shown};
use crate::files::write;
use crate::methods::embed::offered;
use crate::outputs::Inputs;
use crate::tensor::{Shape, Tensor};
use crate::watch::Watch;
use crate::weights::safetensors;
use npyz::WriterBuilder;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What `lupe embed` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    named: PicturesArgs,
    /// A place of the network, such as block4, pool or logits; may be given several times [default: the network's vector, pool or cls]
    #[arg(long, value_name = "PLACE")]
    tap: Vec<String>,
    /// Output: .safetensors, .npy (one tap) or .json; without it a summary is printed
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let format = args.output.as_deref().map(|path| FeatureFormat::of(path, &args.tap)).transpose()?;
    let named = &args.named;
    if let Some(path) = &args.output {
        session.outputs.file(path, &Inputs::of(named.pictures.iter().chain(&named.weights)))?;
    }
    let (network, weights) = named.open(session)?;
    let names = if args.tap.is_empty() { vec![network.vector.to_string()] } else { args.tap.clone() };
    offered(network, &weights, &names)?;
    let mut features = vec![vec![]; names.len()];
    named.each(session, (network, &weights), &names, &mut |values| {
        features.iter_mut().zip(values).for_each(|(tap, value)| tap.push(value));
        Ok(())
    })?;
    let taps: Vec<(String, Tensor)> =
        names.iter().zip(&features).map(|(tap, all)| (tap.clone(), channels_first(stacked(all)))).collect();
    match (format, &args.output) {
        (Some(format), Some(path)) => write(path, &format.bytes(args, &taps)?)?,
        _ if session.json => print(&as_json(args, &taps).to_string())?,
        _ => print(&summary(args, &taps))?,
    }
    session.say(&named.counted().to_string());
    Ok(())
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
    let pictures: Vec<String> = args.named.pictures.iter().map(|p| p.display().to_string()).collect();
    let tap = |(name, t): &(String, Tensor)| (name.clone(), json!({"shape": t.shape.dims(), "data": t.data}));
    let counts = args.named.counted().json();
    json!({"model": args.named.model, "pictures": pictures, "counts": counts, "taps": taps.iter().map(tap).collect::<serde_json::Map<_, _>>()})
}

fn summary(args: &Args, taps: &[(String, Tensor)]) -> String {
    let mut table = new_table(["picture", "tap", "shape", "mean", "max", "length"]);
    for (name, t) in taps {
        let each = t.data.len() / args.named.pictures.len().max(1);
        let shape = t.shape.dims().iter().skip(1).map(usize::to_string).collect::<Vec<_>>().join("x");
        for (path, row) in args.named.pictures.iter().zip(t.data.chunks(each.max(1))) {
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
