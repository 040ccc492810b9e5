//! The languages that naga writes for the backends, as wgpu asks for them.

use super::seen::{Binding, Seen};
use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

fn policies(checked: bool) -> BoundsCheckPolicies {
    let policy = if checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    BoundsCheckPolicies {
        index: policy,
        buffer: policy,
        image_load: policy,
        binding_array: BoundsCheckPolicy::Unchecked,
    }
}

/// SPIR-V 1.3: what Vulkan 1.1 takes, and the first with subgroups.
pub fn spirv(seen: &Seen, checked: bool) -> Result<Vec<u8>, String> {
    let options = spv::Options {
        lang_version: (1, 3),
        bounds_check_policies: policies(checked),
        force_loop_bounding: checked,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..Default::default()
    };
    let words = spv::write_vec(&seen.module, &seen.info, &options, None).map_err(|e| e.to_string())?;
    Ok(words.iter().flat_map(|w| w.to_le_bytes()).collect())
}

/// GLSL ES 3.10: what the GL backend takes at least. wgpu leaves checks to the driver there.
pub fn glsl(seen: &Seen) -> Result<String, String> {
    let options = glsl::Options { version: glsl::Version::new_gles(310), ..Default::default() };
    let entry =
        glsl::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into(), multiview: None };
    let mut text = String::new();
    let writer = glsl::Writer::new(&mut text, &seen.module, &seen.info, &options, &entry, policies(false));
    writer.and_then(|mut w| w.write()).map_err(|e| e.to_string())?;
    Ok(text)
}

/// Metal Shading Language 2.4.
pub fn msl(seen: &Seen) -> Result<String, String> {
    let options = msl::Options { lang_version: (2, 4), bounds_check_policies: policies(true), ..Default::default() };
    let written = msl::write_string(&seen.module, &seen.info, &options, &msl::PipelineOptions::default());
    let (text, told) = written.map_err(|e| e.to_string())?;
    match told.entry_point_names.first() {
        Some(Ok(_)) => Ok(text),
        Some(Err(e)) => Err(e.to_string()),
        None => Err("no entry point was written".into()),
    }
}

/// HLSL as wgpu's DX12 backend has it written, and what the entry point is called there. A pipeline's layout counts registers in three
/// rows, the number of workgroups behind the uniforms; loops are trusted to end, and workgroup memory is left as it is.
pub fn hlsl(seen: &Seen, checked: bool, shader_model: hlsl::ShaderModel) -> Result<(String, String), String> {
    let [mut uniforms, mut inputs, mut outputs] = [hlsl::BindTarget::default(); 3];
    let mut binding_map = hlsl::BindingMap::default();
    for (&binding, kind) in &seen.bindings {
        let row = match kind {
            Binding::Uniform => &mut uniforms,
            Binding::Buffer { write: false } => &mut inputs,
            Binding::Buffer { write: true } | Binding::Image { .. } => &mut outputs,
            Binding::Other(what) => return Err(format!("binding {binding} is a {what}")),
        };
        binding_map.insert(naga::ResourceBinding { group: 0, binding }, *row);
        row.register += 1;
    }
    let options = hlsl::Options {
        shader_model,
        binding_map,
        fake_missing_bindings: false,
        special_constants_binding: Some(uniforms),
        zero_initialize_workgroup_memory: false,
        restrict_indexing: checked,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((naga::ShaderStage::Compute, "main".into())) };
    let mut text = String::new();
    let told = hlsl::Writer::new(&mut text, &options, &pipeline).write(&seen.module, &seen.info, None);
    match told.map_err(|e| e.to_string())?.entry_point_names.pop() {
        Some(Ok(entry)) => Ok((text, entry)),
        Some(Err(e)) => Err(e.to_string()),
        None => Err("no entry point was written".into()),
    }
}
