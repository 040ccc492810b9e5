//! `lupe shaders`: every kernel as plain WGSL, for other tools and for reading.

use super::output::print;
use super::session::Session;
use crate::engine::form::typical;
use crate::engine::{Caps, Kernel, Op};
use crate::error::{Error, Result, shown};
use crate::files::write;
use crate::ops;
use crate::tensor::Shape;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One composed source.
struct KernelSource {
    op: &'static str,
    kernel: Kernel,
    text: String,
    adapters: Vec<&'static str>,
}

/// What `lupe shaders` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for one .wgsl file per kernel, and their list, shaders.csv
    #[arg(long, value_name = "DIR")]
    dump: PathBuf,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let sources = sources()?;
    session.outputs.folder(&args.dump)?;
    let mut list = csv::Writer::from_writer(vec![]);
    let wrong = |e: csv::Error| Error::Output(format!("cannot write shaders.csv: {e}"));
    list.write_record(["file", "op", "adapters", "workgroup", "shared_bytes", "subgroup", "unchecked"])
        .map_err(wrong)?;
    for (file, s) in &sources {
        write(&args.dump.join(file), s.text.as_bytes())?;
        let n = &s.kernel.needs;
        let subgroup = n.subgroup.map_or(String::new(), |l| l.to_string());
        let numbers = [n.invocations.to_string(), n.shared_bytes.to_string(), subgroup, s.kernel.unchecked.to_string()];
        let words = [file.clone(), s.op.into(), s.adapters.join(" ")];
        list.write_record(words.iter().chain(&numbers)).map_err(wrong)?;
    }
    let bytes = list.into_inner().map_err(|e| Error::Output(format!("cannot write shaders.csv: {e}")))?;
    write(&args.dump.join("shaders.csv"), &bytes)?;
    let folder = args.dump.display().to_string();
    if session.json {
        return print(&json!({"folder": folder, "shaders": sources.len()}).to_string());
    }
    let folder = shown(&args.dump);
    print(&format!(
        "{folder}: {} shaders; shaders.csv lists op, adapters, workgroup and requirements of each",
        sources.len()
    ))
}

/// Every distinct source that any case needs on a typical adapter, by file name.
fn sources() -> Result<BTreeMap<String, KernelSource>> {
    let mut found = BTreeMap::new();
    for (adapter, caps) in typical() {
        for (name, cases) in ops::cases() {
            for case in cases {
                collect(name, &*case.op, &case.inputs, (adapter, &caps), &mut found)?;
            }
        }
    }
    Ok(found)
}

fn collect(
    name: &'static str,
    op: &dyn Op,
    x: &[Shape],
    (adapter, caps): (&'static str, &Caps),
    found: &mut BTreeMap<String, KernelSource>,
) -> Result<()> {
    let y = op.infer(x).map_err(Error::Shape)?;
    for kernel in op.kernels(x, y, caps) {
        for (i, pack) in &kernel.packs {
            let packed = x.get(*i..=*i).unwrap_or_default();
            collect(name, &**pack, packed, (adapter, caps), found)?;
        }
        let text = kernel.source()?;
        let file = file(&kernel.label(), &text, found);
        let known = found.entry(file).or_insert_with(|| KernelSource { op: name, kernel, text, adapters: vec![] });
        if !known.adapters.contains(&adapter) {
            known.adapters.push(adapter);
        }
    }
    Ok(())
}

/// The label as a file name, with a number appended if another text has that name.
fn file(label: &str, text: &str, found: &BTreeMap<String, KernelSource>) -> String {
    let stem: String = label.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let names = std::iter::once(format!("{stem}.wgsl")).chain((2..).map(|i| format!("{stem}_{i}.wgsl")));
    let free = |name: &String| found.get(name).is_none_or(|s| s.text == text);
    names.into_iter().find(free).unwrap_or(stem)
}
