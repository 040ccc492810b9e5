//! Every kernel's HLSL, as wgpu hands it to DX12 in production, compiled to DXIL by Microsoft's own compiler. Nothing is run.
//!
//! A short run takes each shader that is an op's first candidate somewhere, `LUPE_FULL=1` every candidate, at the lowest and the
//! highest shader model. A process a kernel: a compiler that crashes is told with the kernel's name. Where the compiler is missing
//! (library.rs) all is skipped visibly, and under `CI` that fails.

#[path = "../common/caps.rs"]
mod caps;
mod library;
#[path = "../common/skip.rs"]
mod skip;
#[allow(dead_code, unused_imports)] // Its tests run in tests/engine/shaders.rs.
#[path = "../common/wgsl/mod.rs"]
mod wgsl;

use libtest_mimic::{Arguments, Failed, Trial};
use naga::back::hlsl::ShaderModel;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use wgsl::seen::look;
use wgsl::translate;
use wgsl::units::{List, Unit, lists, units};

/// Tells a child process where the library lies; its arguments are the compiler's, its stdin is the text.
const CHILD: &str = "LUPE_DXC_CHILD";

/// wgpu takes the highest that card and compiler know: no kernel needs more than the lowest, and this compiler knows none above 6.7.
const MODELS: [ShaderModel; 2] = [ShaderModel::V6_0, ShaderModel::V6_7];

fn main() {
    if let Some(library) = std::env::var_os(CHILD) {
        return child(Path::new(&library));
    }
    let args = Arguments::from_args();
    let here = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let must = here && ["CI", "LUPE_DXC"].iter().any(|v| std::env::var_os(v).is_some());
    let found = if here { library::find() } else { Err("the library is known for Linux on x86-64 alone".into()) };
    let trials = match found {
        Ok(library) => trials(&Arc::new(library)),
        Err(why) if must => vec![Trial::test("the_compiler_is_here", || Err(Failed::from(why)))],
        Err(why) => {
            skip::skip("every kernel", &why);
            vec![]
        }
    };
    libtest_mimic::run(&args, trials).exit();
}

fn trials(library: &Arc<PathBuf>) -> Vec<Trial> {
    let lists = lists();
    let wanted = if std::env::var_os("LUPE_FULL").is_some() { None } else { Some(firsts(&lists)) };
    let mut units = units(&lists);
    units.retain(|u| wanted.as_ref().is_none_or(|w| w.contains(&u.source)));
    assert!(units.len() > 10, "only {} kernels", units.len());
    let units: Arc<[Arc<Unit>]> = units.into_iter().map(Arc::new).collect();
    let (all, path) = (units.clone(), library.clone());
    let faults = Trial::test("planted_faults_are_told", move || planted(&path, &all).map_err(Failed::from));
    let each = units.iter().flat_map(|unit| MODELS.map(|model| (unit.clone(), model)));
    let each = each.map(|(unit, model)| {
        let library = library.clone();
        let name = format!("{}::{} at {}", unit.op, unit.label, model.to_str());
        Trial::test(name, move || compile(&library, &unit, model, &hlsl(&unit, model)?).map_err(Failed::from))
    });
    [faults].into_iter().chain(each).collect()
}

/// Sources of the shaders that are a first candidate: every shader once for every kind of op.
fn firsts(lists: &[List]) -> HashSet<String> {
    let (mut known, mut sources) = (HashSet::new(), HashSet::new());
    for list in lists {
        let first = list.kernels.first().unwrap_or_else(|| panic!("{}: no candidate", list.title));
        let kind = list.title.split(|c: char| !c.is_alphanumeric()).next();
        if known.insert((kind, first.shader.name)) {
            sources.insert(first.source().unwrap_or_else(|e| panic!("{}: {e}", list.title)));
        }
    }
    sources
}

/// The text, and its entry point.
fn hlsl(unit: &Unit, model: ShaderModel) -> Result<(String, String), String> {
    translate::hlsl(&look(&unit.source)?, !unit.unchecked, model)
}

/// Compiles a text with the words that wgpu uses for a device without 16-bit types; errors begin with the kernel's name and the line.
fn compile(library: &Path, unit: &Unit, model: ShaderModel, (text, entry): &(String, String)) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
    command.env(CHILD, library).arg(&unit.label).args(["-E", entry, "-T", &format!("cs_{}", model.to_str())]);
    command.args(["-HV", "2018", "-no-warnings", "-Ges"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|e| format!("the compiler's process does not start: {e}"))?;
    let fed = child.stdin.take().expect("a pipe").write_all(text.as_bytes());
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return fed.map_err(|e| format!("the text was not taken: {e}"));
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{}: {}: {}\n{}", unit.op, unit.label, output.status, String::from_utf8_lossy(&said)))
}

fn child(library: &Path) {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text).map_err(|e| e.to_string());
    if let Err(why) = read.and_then(|_| library::compile(library, &text, &args)) {
        println!("{why}");
        std::process::exit(1);
    }
}

/// Faults in the text of a kernel that reads two buffers: each is refused, by the kernel's name, the line and the compiler's words.
fn planted(library: &Path, units: &[Arc<Unit>]) -> Result<(), String> {
    let [model, _] = MODELS;
    let mut texts = units.iter().map(|u| Ok::<_, String>((u, hlsl(u, model)?)));
    let two = texts.find(|t| t.as_ref().is_ok_and(|t| t.1.0.contains("register(t1)")));
    let (unit, (right, entry)) = two.ok_or("no kernel reads two buffers")??;
    // Two buffers in one register are seen when all is compiled, beyond lines.
    let faults = [
        ("register(u0)", "register(x0)", true, "register type"),
        ("numthreads(", "numthreads(7, ", true, "numthreads"),
        ("cbuffer", "cbufer", true, "unknown type name"),
        ("register(t1)", "register(t0)", false, "overlaps"),
    ];
    for (from, to, has_line, words) in faults {
        let (before, after) = right.split_once(from).ok_or(format!("no {from} in\n{right}"))?;
        let wrong = (format!("{before}{to}{after}"), entry.clone());
        let Err(said) = compile(library, unit, model, &wrong) else { return Err(format!("{to} is accepted")) };
        let line = format!("{}:{}:", unit.label, before.matches('\n').count() + 1);
        for part in [unit.op, &unit.label, if has_line { &line } else { "" }, "error: ", words] {
            if !said.contains(part) {
                return Err(format!("{to}: {part:?} is not in {said}"));
            }
        }
    }
    Ok(())
}
