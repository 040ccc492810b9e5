//! `lupe devices`: adapters, and which kernels each will run.

use super::output::{new_table, print};
use super::session::Session;
use super::width;
use crate::engine::Family;
use crate::engine::gpu::AdapterInfo;
use crate::error::{Error, Result};
use crate::measure::self_test;
use serde_json::{Value, json};

/// What `lupe devices` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Compare the kernels of the chosen device with their references instead; end with code 7 at the first difference
    #[arg(long)]
    self_test: bool,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    if args.self_test {
        return tested(session);
    }
    let all = session.adapters();
    if all.is_empty() {
        return Err(Error::Adapter(crate::engine::gpu::NO_ADAPTER.into()));
    }
    if session.json {
        return print(&Value::from(all.iter().map(|a| as_json(session, a)).collect::<Vec<_>>()).to_string());
    }
    let mut table =
        new_table(["", "adapter", "kind", "driver", "subgroup", "binding", "image", "shared", "kernels", "width"]);
    for a in &all {
        table.add_row([
            a.index.to_string(),
            a.title(),
            format!("{:?}", a.kind).to_lowercase(),
            format!("{} {}", a.driver, a.driver_info),
            format!("{}-{}", a.subgroup.0, a.subgroup.1),
            format!("{} MiB", a.caps.binding_bytes >> 20),
            a.caps.image_side.to_string(),
            format!("{} KiB", a.caps.shared_bytes >> 10),
            family(a).into(),
            width(session, a),
        ]);
    }
    print(&table.to_string())
}

/// Compares the kernels of the chosen device with their references.
fn tested(session: &Session) -> Result<()> {
    let gpu = session.gpu()?;
    let kernels = self_test::run(&gpu, &self_test::cases())?;
    if session.json {
        return print(&json!({"name": gpu.info.title(), "width": gpu.info.width, "kernels": kernels}).to_string());
    }
    print(&format!("all {kernels} kernels match their references\ndevice  {}", gpu.info.describe()))
}

fn width(session: &Session, a: &AdapterInfo) -> String {
    a.width.map_or("-".into(), |bits| format!("{bits} bits: {}", width::why(session, a)))
}

fn family(a: &AdapterInfo) -> &'static str {
    if a.caps.family == Family::Software { "software" } else { "GPU" }
}

fn as_json(session: &Session, a: &AdapterInfo) -> Value {
    json!({
        "index": a.index,
        "name": a.title(),
        "kind": format!("{:?}", a.kind).to_lowercase(),
        "driver": a.driver,
        "driver_info": a.driver_info,
        "subgroup": [a.subgroup.0, a.subgroup.1],
        "timestamps": a.timestamps,
        "f16": a.f16,
        "features": a.features,
        "cooperative": a.cooperative,
        "buffer_bytes": a.buffer_bytes,
        "binding_bytes": a.caps.binding_bytes,
        "image_side": a.caps.image_side,
        "shared_bytes": a.caps.shared_bytes,
        "invocations": a.caps.invocations,
        "groups": a.caps.groups,
        "storage_buffers": a.caps.storage_buffers,
        "storage_textures": a.caps.storage_textures,
        "vendor": a.caps.vendor,
        "kernels": family(a),
        "width": a.width,
        "width_why": a.width.map(|_| width::why(session, a)),
    })
}
