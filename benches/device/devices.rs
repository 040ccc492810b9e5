//! The part `devices`: the adapter with its limits, and the machine around it.

use super::context::Context;
use super::md::{Page, list, table, text};
use lupe::{Error, Result};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// What NVIDIA's tool is asked for, where there is one.
const NVIDIA: &str = "name,driver_version,memory.total,power.limit,clocks.max.sm,clocks.max.memory,pcie.link.gen.max,pcie.link.width.max";

/// Does the work.
pub fn run(context: &Context) -> Result<()> {
    let all = context.lupe_json(&["devices"])?;
    let found = context.gpu()?.info.index;
    let adapter = list(&all, "").get(found).cloned();
    let adapter = adapter.ok_or_else(|| Error::Adapter(format!("`lupe devices` does not list adapter {found}")))?;
    let mut nvidia = Command::new("nvidia-smi");
    nvidia.args([&format!("--query-gpu={NVIDIA}"), "--format=csv"]);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    context.keep(&json!({
        "adapter": adapter,
        "all": all,
        "nvidia_smi": context.ask(&mut nvidia).ok(),
        "host": {
            "processor": line("/proc/cpuinfo", "model name"), "cores": cores, "memory": line("/proc/meminfo", "MemTotal"),
            "system": line("/etc/os-release", "PRETTY_NAME"), "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|t| t.trim().to_string()),
        },
    }))
}

/// What stands behind `name` in a file of the system.
fn line(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|l| l.strip_prefix(name))?;
    Some(value.trim_start_matches([' ', '\t', ':', '=']).trim().trim_matches('"').to_string())
}

/// Puts it into words.
pub fn page(data: &Value) -> Page {
    let of = |key: &str| text(data, &format!("/adapter/{key}"));
    let mib = |key: &str| data["adapter"][key].as_u64().map_or("–".into(), |b| format!("{} MiB", b >> 20));
    let words = |key: &str| {
        let all: Vec<&str> = list(data, &format!("/adapter/{key}")).iter().filter_map(Value::as_str).collect();
        if all.is_empty() { "none".to_string() } else { all.join(", ") }
    };
    let rows = [
        ["kind", &of("kind")],
        ["subgroup, least and most", &of("subgroup")],
        ["largest buffer, largest binding", &format!("{}, {}", mib("buffer_bytes"), mib("binding_bytes"))],
        ["side of an image", &of("image_side")],
        ["invocations and shared bytes of a workgroup", &format!("{}, {}", of("invocations"), of("shared_bytes"))],
        ["workgroups along a side", &of("groups")],
        [
            "storage buffers, storage textures of a shader",
            &format!("{}, {}", of("storage_buffers"), of("storage_textures")),
        ],
        ["timestamps, half precision", &format!("{}, {}", of("timestamps"), of("f16"))],
        ["cooperative matrices", &words("cooperative")],
        ["features", &words("features")],
        ["processor", &format!("{}, {} at once", text(data, "/host/processor"), text(data, "/host/cores"))],
        ["memory", &text(data, "/host/memory")],
        ["system", &format!("{}, {}", text(data, "/host/system"), text(data, "/host/kernel"))],
    ];
    let rows: Vec<[String; 2]> = rows.iter().map(|r| r.map(String::from)).collect();
    let others: Vec<String> =
        list(data, "/all").iter().map(|a| format!("{} ({})", text(a, "/name"), text(a, "/kind"))).collect();
    Page::default()
        .head("cooperative matrices", words("cooperative"))
        .and(table(&["", ""], &rows))
        .and(super::md::block(data["nvidia_smi"].as_str().unwrap_or_default()))
        .and(format!("Adapters here: {}.", others.join("; ")))
}
