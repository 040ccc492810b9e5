//! Every candidate of every op, without a device: it composes, naga sees what its kernel declares, and other compilers take it.

use crate::wgsl;
use crate::wgsl::exceptions::{EXCEPTIONS, verdict};
use crate::wgsl::seen::{Seen, look};
use crate::wgsl::tools::{GLSLANG, SPIRV_VAL, TINT, Tool};
use crate::wgsl::units::{Unit, lists, units};
use crate::wgsl::{declared, translate};
use naga::back::hlsl::ShaderModel;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Every distinct source.
fn all() -> &'static [Unit] {
    static UNITS: OnceLock<Vec<Unit>> = OnceLock::new();
    UNITS.get_or_init(|| units(&lists()))
}

/// Every distinct source as naga sees it.
fn seen() -> &'static [Seen] {
    static SEEN: OnceLock<Vec<Seen>> = OnceLock::new();
    let look = |u: &Unit| look(&u.source).unwrap_or_else(|e| panic!("{}: {}: {e}", u.op, u.label));
    SEEN.get_or_init(|| all().iter().map(look).collect())
}

fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn kernels_are_what_they_declare() {
    assert!(all().len() > 100, "only {} sources", all().len());
    let known: HashMap<&str, &Seen> = all().iter().map(|u| u.source.as_str()).zip(seen()).collect();
    let mut faults = vec![];
    for list in lists() {
        for kernel in &list.kernels {
            let source = kernel.source().expect("composed before");
            let found = declared::faults(kernel, known[source.as_str()]);
            faults.extend(found.into_iter().map(|f| format!("{} {}: {f}", list.title, kernel.label())));
        }
    }
    faults.sort();
    faults.dedup();
    none(faults);
}

#[test]
fn the_last_candidate_runs_everywhere() {
    let lists = lists();
    let title = |l: &wgsl::units::List| format!("{}: {}", l.op, l.title);
    none(
        lists.iter().flat_map(|l| declared::list_faults(l).into_iter().map(|f| format!("{}: {f}", title(l)))).collect(),
    );
}

#[test]
fn metal_and_direct3d_texts_are_written() {
    let mut faults = vec![];
    for (unit, seen) in all().iter().zip(seen()) {
        let hlsl = translate::hlsl(seen, !unit.unchecked, ShaderModel::V6_0).map(|h| h.0);
        for (sign, text) in [("kernel void", translate::msl(seen)), ("[numthreads(", hlsl)] {
            match text {
                Ok(text) if text.contains(sign) => {}
                Ok(_) => faults.push(format!("{}: {}: no {sign} is written", unit.op, unit.label)),
                Err(e) => faults.push(format!("{}: {}: no {sign}: {e}", unit.op, unit.label)),
            }
        }
    }
    none(faults);
}

/// Holds `units` to `tool`; `text` makes what it is given.
fn hold<'a>(
    tool: &Tool,
    units: impl Iterator<Item = (&'a Unit, &'a Seen)>,
    text: impl Fn(&Unit, &Seen) -> Result<Vec<u8>, String>,
) {
    if !tool.is_here() {
        return;
    }
    let units: Vec<_> = units.collect();
    assert!(!units.is_empty(), "nothing for {}", tool.name);
    let texts = units.iter().map(|(u, s)| text(u, s).unwrap_or_else(|e| panic!("{}: {}: {e}", u.op, u.label)));
    let failures = tool.judge(&texts.collect::<Vec<_>>());
    none(verdict(EXCEPTIONS, tool.name, &units.iter().map(|u| u.0).collect::<Vec<_>>(), &failures));
}

fn everything() -> impl Iterator<Item = (&'static Unit, &'static Seen)> {
    all().iter().zip(seen())
}

#[test]
fn spirv_val_accepts_checked_modules() {
    hold(&SPIRV_VAL, everything(), |_, seen| translate::spirv(seen, true));
}

#[test]
fn spirv_val_accepts_unchecked_modules() {
    hold(&SPIRV_VAL, everything().filter(|(u, _)| u.unchecked), |_, seen| translate::spirv(seen, false));
}

#[test]
fn glslang_accepts_what_is_portable() {
    hold(&GLSLANG, everything().filter(|(u, _)| u.portable), |_, seen| translate::glsl(seen).map(String::into_bytes));
}

#[test]
fn tint_accepts_the_sources() {
    hold(&TINT, everything(), |unit, _| {
        let enable = if unit.subgroup { "enable subgroups;\n" } else { "" };
        Ok(format!("{enable}{}", unit.source).into_bytes())
    });
}
