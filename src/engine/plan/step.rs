//! One step made ready: params packed by name, pipeline, bind group.

use super::super::form::{Form, Geometry};
use super::super::gpu::{Gpu, Pipeline, Place, Resource};
use super::super::lower::{Lowered, Step};
use super::super::shader::Word;
use super::fact::Fact;
use crate::error::{Error, Result};

/// A step that can be replayed.
#[derive(Debug)]
pub(crate) struct Ready {
    pub pipeline: wgpu::ComputePipeline,
    pub group: wgpu::BindGroup,
    pub groups: [u32; 3],
    pub fact: Fact,
    /// What it writes to.
    pub output: Resource,
}

/// Windows of the params of all steps in one uniform buffer: what devices ask for at most.
pub(crate) const WINDOW: usize = 256;

/// The words of a step's params, in the order in which its shader declares them.
pub(crate) fn words(lowered: &Lowered, step: &Step, pipeline: &Pipeline, side: u32) -> Result<Vec<u32>> {
    let bad = |message: String| Error::Shader { name: step.kernel.label(), message };
    for (name, _) in &step.kernel.params {
        if !pipeline.params.iter().any(|(field, _)| field == name) {
            return Err(bad(format!("struct Params has no field {name}")));
        }
    }
    let words = pipeline.params.iter().map(|(name, ty)| {
        let given = step.kernel.params.iter().find(|p| p.0 == name).map(|p| p.1);
        match (given.or_else(|| fact(lowered, step, name, side)), ty.as_str()) {
            (Some(Word::U32(v)), "u32") => Ok(v),
            (Some(Word::F32(v)), "f32") => Ok(v.to_bits()),
            (Some(_), _) => Err(bad(format!("param {name} is not of type {ty}"))),
            (None, _) => Err(bad(format!("param {name} is not given"))),
        }
    });
    let words = words.collect::<Result<Vec<u32>>>()?;
    if words.len() * 4 > WINDOW { Err(bad(format!("more than {WINDOW} bytes of params"))) } else { Ok(words) }
}

/// A fact of a value's geometry, by its name in shaders: `in0_plane_w` (binding 2), `in1_…` (binding 3), …, `out_pad`.
/// An optional input that is not there has geometry 0.
fn fact(lowered: &Lowered, step: &Step, name: &str, side: u32) -> Option<Word> {
    let (which, fact) = name.split_once('_')?;
    let value = if which == "out" {
        step.output
    } else {
        let binding = which.strip_prefix("in")?.parse::<u32>().ok()? + 2;
        match step.kernel.reads.iter().position(|r| r.0 == binding) {
            Some(i) => *step.inputs.get(i)?,
            None => return Some(Word::U32(0)),
        }
    };
    let value = &lowered.values[value];
    // A kernel may have a twin that reads or writes an image there.
    let Form::Image { pad } = value.form else {
        return ["plane_w", "plane_h", "pad"].contains(&fact).then_some(Word::U32(0));
    };
    Geometry::new(value.shape, pad, side).fact(fact).map(Word::U32)
}

/// The step with its bindings; `place` tells where each value lies.
pub(crate) fn ready<'a>(
    gpu: &Gpu,
    lowered: &Lowered,
    step: &Step,
    pipeline: &Pipeline,
    params: (&wgpu::Buffer, u64),
    place: impl Fn(usize) -> Result<Place<'a>>,
) -> Result<Ready> {
    let window = wgpu::BufferBinding {
        buffer: params.0,
        offset: params.1,
        size: wgpu::BufferSize::new((pipeline.params.len() as u64 * 4).next_multiple_of(16)),
    };
    let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(window) }];
    let reads = step.inputs.iter().zip(&step.kernel.reads).map(|(&v, r)| (r.0, v)).filter(|r| r.0 != 1);
    for (binding, value) in [(1, step.output)].into_iter().chain(reads) {
        entries.push(wgpu::BindGroupEntry { binding, resource: place(value)?.binding() });
    }
    let desc = wgpu::BindGroupDescriptor { label: Some(&step.label), layout: &pipeline.layout, entries: &entries };
    let group = gpu.device.create_bind_group(&desc);
    gpu.check().map_err(|e| Error::Shader { name: step.kernel.label(), message: e.to_string() })?;
    Ok(Ready {
        pipeline: pipeline.pipeline.clone(),
        group,
        groups: step.kernel.groups,
        fact: Fact::new(lowered, step, None),
        output: place(step.output)?.resource.clone(),
    })
}

impl Ready {
    /// Records it.
    pub(crate) fn record(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        let [x, y, z] = self.groups;
        pass.dispatch_workgroups(x, y, z);
    }
}
