//! What naga sees in a composed shader.

use super::walk;
use lupe::engine::compose;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, ImageClass, Module, Scalar, StorageAccess, StorageFormat, TypeInner};
use std::collections::BTreeMap;

/// What lies at a binding.
#[derive(Clone, Debug, PartialEq)]
pub enum Binding {
    Uniform,
    Buffer { write: bool },
    Image { write: bool },
    Other(String),
}

/// A shader as naga sees it.
pub struct Seen {
    pub module: Module,
    pub info: ModuleInfo,
    /// What lies at every binding of group 0.
    pub bindings: BTreeMap<u32, Binding>,
    /// Names and types of `struct Params`.
    pub params: Vec<(String, String)>,
    /// Invocations in a workgroup.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub shared_bytes: u32,
    /// Whether it needs the subgroup feature.
    pub subgroup: bool,
    /// Whether it has a loop whose trips count.
    pub long_loops: bool,
    /// Rules that the source breaks, whatever its kernel says.
    pub faults: Vec<String>,
}

/// Parses and validates `source`, without features but subgroups, and looks around.
pub fn look(source: &str) -> Result<Seen, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let info = validate(&module, Capabilities::SUBGROUP).map_err(|e| e.emit_to_string(source))?;
    let [entry] = module.entry_points.as_slice() else { return Err("expected one entry point".into()) };
    if entry.name != "main" {
        return Err(format!("the entry point is {}, not main", entry.name));
    }
    let mut faults = walk::private_indices(&module, &info);
    let loops = walk::loops(&module);
    faults.extend(loops.iter().filter_map(|l| l.as_ref().err().cloned()));
    faults.extend(leftovers(source));
    faults.extend(unused(&module, &info));
    let params = params(&module, source, &mut faults);
    Ok(Seen {
        bindings: bindings(&module, &mut faults),
        params,
        invocations: entry.workgroup_size.iter().product(),
        shared_bytes: shared_bytes(&module),
        subgroup: validate(&module, Capabilities::empty()).is_err(),
        long_loops: loops.iter().any(|l| l == &Ok(true)),
        faults,
        module,
        info,
    })
}

type Invalid = naga::WithSpan<naga::valid::ValidationError>;

fn validate(module: &Module, features: Capabilities) -> Result<ModuleInfo, Box<Invalid>> {
    Validator::new(ValidationFlags::all(), features).validate(module).map_err(Box::new)
}

fn leftovers(source: &str) -> impl Iterator<Item = String> + '_ {
    let left = ["// unroll", "#import", "arrayLength"].into_iter().filter(|word| source.contains(word));
    left.map(|word| format!("{word} is left in it"))
}

fn unused(module: &Module, info: &ModuleInfo) -> Vec<String> {
    let bound = module.global_variables.iter().filter(|(_, v)| v.binding.is_some());
    let unused = bound.filter(|(handle, _)| info.get_entry_point(0)[*handle].is_empty());
    unused.map(|(_, v)| format!("{} is bound and never used", v.name.as_deref().unwrap_or("?"))).collect()
}

fn bindings(module: &Module, faults: &mut Vec<String>) -> BTreeMap<u32, Binding> {
    let mut found = BTreeMap::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(at) = &variable.binding else { continue };
        if at.group != 0 {
            faults.push(format!("group {} is used", at.group));
        }
        if found.insert(at.binding, binding(module, variable)).is_some() {
            faults.push(format!("binding {} is there twice", at.binding));
        }
    }
    found
}

fn binding(module: &Module, variable: &naga::GlobalVariable) -> Binding {
    let inner = &module.types[variable.ty].inner;
    match (variable.space, inner) {
        (AddressSpace::Uniform, _) => Binding::Uniform,
        (AddressSpace::Storage { access }, _) => Binding::Buffer { write: access.contains(StorageAccess::STORE) },
        (
            _,
            TypeInner::Image {
                dim: naga::ImageDimension::D2,
                arrayed: false,
                class: ImageClass::Storage { format, access },
            },
        ) if *format == StorageFormat::Rgba32Float && *access == StorageAccess::LOAD => Binding::Image { write: false },
        (
            _,
            TypeInner::Image {
                dim: naga::ImageDimension::D2,
                arrayed: false,
                class: ImageClass::Storage { format, access },
            },
        ) if *format == StorageFormat::Rgba32Float && *access == StorageAccess::STORE => Binding::Image { write: true },
        _ => Binding::Other(format!("{inner:?}")),
    }
}

/// Fields of the struct at binding 0; what the composer reads from the text must be the same, every field four bytes.
fn params(module: &Module, source: &str, faults: &mut Vec<String>) -> Vec<(String, String)> {
    let uniform = module.global_variables.iter().map(|(_, v)| v).find(|v| v.space == AddressSpace::Uniform);
    let Some(TypeInner::Struct { members, .. }) = uniform.map(|v| &module.types[v.ty].inner) else {
        faults.push("binding 0 holds no struct of params".into());
        return vec![];
    };
    let mut fields = vec![];
    for (i, member) in members.iter().enumerate() {
        let name = member.name.clone().unwrap_or_default();
        let kind = match module.types[member.ty].inner {
            TypeInner::Scalar(Scalar::U32) => "u32".to_string(),
            TypeInner::Scalar(Scalar::F32) => "f32".to_string(),
            ref other => format!("{other:?}"),
        };
        if member.offset as usize != 4 * i || !["u32", "f32"].contains(&kind.as_str()) {
            faults.push(format!("param {name} is a {kind} at offset {}", member.offset));
        }
        fields.push((name, kind));
    }
    let read = compose::params(source);
    if read != fields {
        faults.push(format!("the composer reads the params {read:?}, naga {fields:?}"));
    }
    fields
}

fn shared_bytes(module: &Module) -> u32 {
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).expect("validated types have a layout");
    let shared = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    shared.map(|(_, v)| layouter[v.ty].size).sum()
}
