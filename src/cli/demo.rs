//! `lupe demo`: the built-in backbone tells materials apart on photographs that ship with Lupe.

use super::output::print;
use super::session::{Session, describe};
use crate::data::demo::{Crop, crops};
use crate::error::{Error, Result};
use crate::methods::embed::{EmbedOptions, Embedder, Tap};
use crate::methods::similarity::{Separation, separation};
use crate::models;
use crate::tensor::Tensor;
use crate::weights::Weights;
use comfy_table::{Table, presets};
use serde_json::json;
use std::time::Instant;

/// What the smallest similarity within a material must exceed the largest between materials by.
const MARGIN: f64 = 0.2;

/// Runs the command.
pub fn run(session: &Session) -> Result<()> {
    let (model, crops) = (models::EMBEDDED, crops()?);
    let inputs = crops.iter().map(|c| model.preprocess.apply(&c.picture)).collect::<Result<Vec<Tensor>>>()?;
    let gpu = session.gpu()?;
    session.say(&format!("device    {}", describe(&gpu.info)));
    let options = EmbedOptions { taps: vec![Tap::Pool], batch: 4, limit_memory: session.limit_memory(&gpu) };
    let start = Instant::now();
    let embedder = pollster::block_on(Embedder::new(&gpu, model, &Weights::embedded()?, [224, 224], &options))?;
    let first: &[Tensor] = inputs.get(..embedder.batch().min(inputs.len())).unwrap_or(&inputs);
    pollster::block_on(embedder.run(first))?;
    let ready = start.elapsed();
    let start = Instant::now();
    let features = pollster::block_on(embedder.run(&inputs))?;
    let each = start.elapsed().as_secs_f64() * 1e3 / inputs.len() as f64;
    let features: Vec<Tensor> = features.into_iter().flatten().collect();
    let materials: Vec<&str> = crops.iter().map(|c| c.material).collect();
    let found = separation(&features, &materials);
    if session.json {
        print(&as_json(&crops, &found, each, ready.as_secs_f64() * 1e3).to_string())?;
    } else {
        let time = format!(
            "{each:.1} ms a picture ({} at once); {:.1} s from start to first result",
            embedder.batch(),
            ready.as_secs_f64()
        );
        print(&text(&crops, &found, &time))?;
    }
    if found.within - found.between >= MARGIN {
        return Ok(());
    }
    Err(Error::Numeric(format!(
        "the materials are not told apart: {:.3} within, {:.3} between; this device computes wrongly, please report it",
        found.within, found.between
    )))
}

fn text(crops: &[Crop], found: &Separation, time: &str) -> String {
    let mut table = Table::new();
    let names = crops.iter().enumerate().map(|(i, c)| format!("{} {}", c.material, i % 4 + 1));
    let header = std::iter::once(String::new()).chain((1..=crops.len()).map(|i| i.to_string()));
    table.load_style(presets::NOTHING).set_header(header);
    for (i, (name, row)) in names.zip(&found.table).enumerate() {
        let cells = row.iter().map(|v| format!("{v:.2}"));
        table.add_row(std::iter::once(format!("{:>2} {name}", i + 1)).chain(cells));
    }
    format!(
        "Cosine similarity of pooled features, {} on crops of three photographs:\n\n{table}\n\n\
         smallest within a material {:.3}, largest between materials {:.3}: margin {:.3}\n{time}\n\n\
         Next: lupe embed YOUR_PICTURE.png --tap layer2 -o features.safetensors\n      lupe devices",
        models::EMBEDDED.name,
        found.within,
        found.between,
        found.within - found.between
    )
}

fn as_json(crops: &[Crop], found: &Separation, each: f64, ready: f64) -> serde_json::Value {
    let materials: Vec<&str> = crops.iter().map(|c| c.material).collect();
    json!({
        "model": models::EMBEDDED.name,
        "materials": materials,
        "cosine": found.table,
        "smallest_within": found.within,
        "largest_between": found.between,
        "milliseconds_per_picture": each,
        "milliseconds_to_first_result": ready,
    })
}
