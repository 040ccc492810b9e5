//! `lupe devices`: adapters, and which kernels each will run.

mod self_test;

use super::output::{new_table, print};
use super::session::Session;
use super::width;
use crate::engine::Family;
use crate::engine::gpu::AdapterInfo;
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::time::Duration;

/// What `lupe devices` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Compare the kernels of the chosen device with their references instead; end with code 7 at the first difference
    #[arg(long)]
    self_test: bool,
    /// Seconds after which a kernel of the self-test is ended, named and skipped; the command then ends with code 124
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds, requires = "self_test")]
    kernel_limit: f64,
    /// Test kernels from this number on, for the process that started this one
    #[arg(long, hide = true, value_name = "N", requires = "self_test")]
    worker: Option<usize>,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let value = text.parse().ok().filter(|v| (0.001..=86400.0).contains(v));
    value.ok_or("must be between 0.001 and 86400".into())
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    match args.worker {
        Some(first) => return self_test::work(session, first),
        None if args.self_test => return self_test::run(session, Duration::from_secs_f64(args.kernel_limit)),
        None => {}
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
