//! Every candidate of every case, without a GPU: composes, validates, has the bindings its forms say, declares what it needs, and is
//! accepted by the compilers of other platforms.

use lupe::engine::compose::params;
use lupe::engine::shader::Word;
use lupe::engine::{Caps, Family, Form, Kernel};
use naga::valid::{Capabilities, ModuleInfo, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess, TypeInner};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Adapters whose candidates are looked at: base limits, software drivers of three widths, a desktop card.
fn adapters() -> Vec<Caps> {
    let large = Caps { invocations: 1024, shared_bytes: 32768, storage_buffers: 32, image_side: 16384, ..Caps::BASE };
    let software = |lanes| Caps { family: Family::Software, subgroup: Some(lanes), ..large };
    vec![Caps::BASE, software(4), software(8), software(16), Caps { subgroup: Some(32), ..large }]
}

/// Every distinct kernel, by its composed source; whether it came last in its list.
fn kernels() -> BTreeMap<String, (Kernel, bool)> {
    let mut all = BTreeMap::new();
    for (op, cases) in lupe::ops::cases() {
        for case in cases {
            let y = case.output().unwrap();
            for caps in adapters() {
                let list = case.op.kernels(&case.inputs, y, &caps);
                let last = list.len() - 1;
                assert!(list[last].portable(), "{op}: the last candidate of {:?} is not portable", case.op);
                assert!(list[last].iterations <= 60_000, "{op}: the portable candidate passes the loop limit");
                for (i, kernel) in list.into_iter().enumerate() {
                    let source = kernel.source().unwrap_or_else(|e| panic!("{op}: {e}"));
                    all.entry(source).or_insert((kernel, i == last));
                }
            }
        }
    }
    all
}

/// Parses and validates; only kernels that shuffle may use subgroups.
fn valid(source: &str, subgroups: bool) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let capabilities = if subgroups { Capabilities::SUBGROUP } else { Capabilities::empty() };
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    if subgroups {
        validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    }
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(source))?;
    Ok((module, info))
}

/// What a binding is, in words: `uniform`, `buffer read`, `image write`, ….
fn bindings(module: &Module) -> BTreeMap<u32, String> {
    let globals = module.global_variables.iter().filter_map(|(_, v)| Some((v.binding.as_ref()?.binding, v)));
    let what = |v: &naga::GlobalVariable| match (v.space, &module.types[v.ty].inner) {
        (AddressSpace::Uniform, _) => "uniform".to_string(),
        (AddressSpace::Storage { access }, _) if access.contains(StorageAccess::STORE) => "buffer write".into(),
        (AddressSpace::Storage { .. }, _) => "buffer read".into(),
        (AddressSpace::Handle, TypeInner::Image { class: naga::ImageClass::Storage { format, access }, .. }) => {
            assert_eq!(*format, naga::StorageFormat::Rgba32Float);
            if access.contains(StorageAccess::STORE) { "image write".into() } else { "image read".into() }
        }
        (space, inner) => format!("{space:?} {inner:?}"),
    };
    globals.map(|(binding, v)| (binding, what(v))).collect()
}

fn stated(kernel: &Kernel) -> BTreeMap<u32, String> {
    let word = |form: Form, access: &str| format!("{} {access}", if form == Form::Buffer { "buffer" } else { "image" });
    let inputs = kernel.reads.iter().map(|&(binding, form)| (binding, word(form, "read")));
    [(0, "uniform".to_string()), (1, word(kernel.writes, "write"))].into_iter().chain(inputs).collect()
}

/// Everything that a kernel says of itself, against what naga sees.
fn problems(kernel: &Kernel, source: &str) -> Vec<String> {
    let mut bad = vec![];
    let (module, info) = match valid(source, kernel.needs.subgroup.is_some()) {
        Ok(seen) => seen,
        Err(e) => return vec![e],
    };
    if bindings(&module) != stated(kernel) {
        bad.push(format!("bindings are {:?}, stated {:?}", bindings(&module), stated(kernel)));
    }
    let fields = params(source);
    for (name, ty) in &fields {
        let given = kernel.params.iter().find(|p| p.0 == name).map(|p| p.1);
        let geometry = ["plane_w", "plane_h", "pad"]
            .iter()
            .any(|f| name.strip_suffix(f).is_some_and(|b| b == "out_" || (b.starts_with("in") && b.ends_with('_'))));
        match (given, ty.as_str()) {
            (Some(Word::U32(_)), "u32") | (Some(Word::F32(_)), "f32") => {}
            (None, "u32") if geometry => {}
            _ => bad.push(format!("param {name}: {ty} is given as {given:?}")),
        }
    }
    let extra = kernel.params.iter().filter(|p| !fields.iter().any(|(name, _)| name == p.0));
    bad.extend(extra.map(|p| format!("struct Params has no field {}", p.0)));
    let entry = &module.entry_points[0];
    if entry.workgroup_size.iter().product::<u32>() != kernel.needs.invocations {
        bad.push(format!("workgroup of {:?}, stated {}", entry.workgroup_size, kernel.needs.invocations));
    }
    let shared: u32 = module
        .global_variables
        .iter()
        .filter(|(_, v)| v.space == AddressSpace::WorkGroup)
        .map(
            |(h, v)| {
                if info.get_entry_point(0)[h].is_empty() { 0 } else { module.types[v.ty].inner.size(module.to_ctx()) }
            },
        )
        .sum();
    if shared != kernel.needs.shared_bytes {
        bad.push(format!("{shared} bytes of workgroup memory, stated {}", kernel.needs.shared_bytes));
    }
    if source.contains("subgroup") != kernel.needs.subgroup.is_some() {
        bad.push("subgroups are used and not stated, or the other way round".into());
    }
    if source.contains("// unroll") {
        bad.push("a loop is left that should be written out".into());
    }
    bad
}

#[test]
fn every_candidate_is_what_it_says() {
    let all = kernels();
    assert!(all.len() > 100, "only {} kernels", all.len());
    let bad: Vec<String> = all
        .iter()
        .flat_map(|(source, (kernel, _))| {
            problems(kernel, source).into_iter().map(|p| format!("{}: {p}", kernel.label()))
        })
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    println!("{} distinct kernels", all.len());
}

#[test]
fn wrong_statements_are_caught() {
    let all = kernels();
    let (source, (good, _)) = all.iter().find(|(_, (k, _))| k.shader.name == "conv_gemm").unwrap();
    assert!(problems(good, source).is_empty());
    let with = |change: &dyn Fn(&mut Kernel)| {
        let mut kernel = good.clone();
        change(&mut kernel);
        problems(&kernel, source).join("\n")
    };
    assert!(with(&|k| k.reads.truncate(1)).contains("bindings are"));
    assert!(with(&|k| k.writes = Form::Image { pad: 0 }).contains("bindings are"));
    assert!(with(&|k| k.params.clear()).contains("is given as None"));
    assert!(with(&|k| k.params.push(("other", Word::U32(1)))).contains("no field other"));
    assert!(with(&|k| k.params[0].1 = Word::F32(1.0)).contains("is given as"));
    assert!(with(&|k| k.needs.shared_bytes = 16).contains("workgroup memory"));
    assert!(with(&|k| k.needs.invocations = 1).contains("workgroup of"));
    assert!(with(&|k| k.needs.subgroup = Some(8)).contains("subgroups"));
    assert!(valid("fn main() { let x = subgroupAdd(1u); }", false).is_err());
}

/// Path of a tool; where it is missing that is a failure in CI if it `must` be there, else a skip that is seen.
fn tool(name: &str, must: bool) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    assert!(found || !must || std::env::var_os("CI").is_none(), "{name} is not installed");
    if !found {
        println!("{name} is not installed: what it would check is skipped");
    }
    found
}

/// Runs a tool on files, many at a time; returns what it complained of.
fn accept(tool: &[&str], files: &[PathBuf], at_once: usize) {
    for chunk in files.chunks(at_once) {
        let output = Command::new(tool[0]).args(&tool[1..]).args(chunk).output().unwrap();
        let said = [output.stdout, output.stderr].map(|o| String::from_utf8_lossy(&o).into_owned()).concat();
        assert!(output.status.success(), "{tool:?} refuses one of {chunk:?}:\n{said}");
    }
}

fn write(dir: &Path, number: usize, extension: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(format!("{number}.{extension}"));
    std::fs::write(&path, bytes).unwrap();
    path
}

fn spirv(module: &Module, info: &ModuleInfo) -> Vec<u8> {
    let options = naga::back::spv::Options { lang_version: (1, 3), ..Default::default() };
    naga::back::spv::write_vec(module, info, &options, None).unwrap().iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn glsl(module: &Module, info: &ModuleInfo) -> String {
    use naga::back::glsl::{Options, PipelineOptions, Version, Writer};
    let options = Options { version: Version::Embedded { version: 310, is_webgl: false }, ..Default::default() };
    let entry =
        PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into(), multiview: None };
    let mut out = String::new();
    Writer::new(&mut out, module, info, &options, &entry, Default::default()).unwrap().write().unwrap();
    out
}

fn metal_and_direct3d(kernel: &Kernel, module: &Module, info: &ModuleInfo) {
    use naga::back::{hlsl, msl};
    let options = msl::Options { lang_version: (2, 4), ..Default::default() };
    let text = msl::write_string(module, info, &options, &Default::default());
    assert!(text.unwrap_or_else(|e| panic!("MSL of {}: {e}", kernel.label())).0.contains("kernel void"));
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..Default::default() };
    let (mut out, entry) = (String::new(), hlsl::PipelineOptions::default());
    hlsl::Writer::new(&mut out, &options, &entry)
        .write(module, info, None)
        .unwrap_or_else(|e| panic!("HLSL of {}: {e}", kernel.label()));
    assert!(out.contains("[numthreads("));
}

#[test]
fn other_compilers_accept_every_candidate() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spv, mut es, mut wgsl) = (vec![], vec![], vec![]);
    for (number, (source, (kernel, portable))) in kernels().iter().enumerate() {
        let (module, info) = valid(source, kernel.needs.subgroup.is_some()).unwrap();
        metal_and_direct3d(kernel, &module, &info);
        spv.push(write(dir.path(), number, "spv", &spirv(&module, &info)));
        if *portable {
            es.push(write(dir.path(), number, "comp", glsl(&module, &info).as_bytes()));
        }
        let enable = if kernel.needs.subgroup.is_some() { "enable subgroups;\n" } else { "" };
        wgsl.push(write(dir.path(), number, "wgsl", format!("{enable}{source}").as_bytes()));
    }
    println!("{} SPIR-V, {} GLSL ES, {} WGSL", spv.len(), es.len(), wgsl.len());
    if tool("spirv-val", true) {
        accept(&["spirv-val", "--target-env", "vulkan1.1"], &spv, 1);
    }
    if tool("glslangValidator", true) {
        accept(&["glslangValidator"], &es, 64);
    }
    if tool("tint", false) {
        accept(&["tint", "--format", "wgsl"], &wgsl, 1);
    }
}
