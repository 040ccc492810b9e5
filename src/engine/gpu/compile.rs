//! Kernels to pipelines: one by one, or several side by side on threads.

use super::super::compose::params;
use super::super::form::Form;
use super::super::shader::{Kernel, Shader};
use super::Gpu;
use crate::error::{Error, Result};
use crate::lock::lock;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::thread;

/// A compiled kernel.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    /// Names and types of the params, in order.
    pub params: Arc<Vec<(String, String)>>,
}

/// All that a compiled kernel depends on: the shader's text and what is changed in it, and whether all checks are kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    source: &'static str,
    set: Vec<(&'static str, String)>,
    imports: Vec<(&'static str, &'static str)>,
    checks: [bool; 2],
}

/// A kernel on its way to a thread.
struct Draft {
    key: Key,
    shader: &'static Shader,
    label: String,
    entries: Vec<wgpu::BindGroupLayoutEntry>,
}

impl Draft {
    fn new(kernel: &Kernel, checked: bool) -> Draft {
        Draft {
            key: Key {
                source: kernel.shader.source,
                set: kernel.set.clone(),
                imports: kernel.swaps(),
                checks: [checked, checked || !kernel.unchecked],
            },
            shader: kernel.shader,
            label: kernel.label(),
            entries: layout_entries(kernel).collect(),
        }
    }
}

/// Threads that compile at most: a network has a dozen kernels.
const THREADS: usize = 4;

impl Gpu {
    /// The pipeline of a kernel; `checked` keeps bounds checks and loop bounding whatever the kernel says.
    pub(crate) fn pipeline(&self, kernel: &Kernel, checked: bool) -> Result<Pipeline> {
        let draft = Draft::new(kernel, checked);
        if let Some(known) = self.known().get(&draft.key) {
            return Ok(known.clone());
        }
        let made = self.compile(&draft)?;
        self.check().map_err(|e| Error::Shader { name: draft.label, message: e.to_string() })?;
        self.known().insert(draft.key, made.clone());
        Ok(made)
    }

    /// Compiles those of `kernels` that are not known yet on threads, while `work` is done on this one. Each thread keeps what is said
    /// of its kernels to itself: neither are they blamed for what goes wrong in `work`, nor is it for them.
    pub(crate) async fn pipelines_beside<T>(
        &self,
        kernels: impl Iterator<Item = &Kernel>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let mut seen: HashSet<Key> = self.known().keys().cloned().collect();
        let mut drafts: Vec<Draft> = kernels.map(|k| Draft::new(k, false)).collect();
        drafts.retain(|d| seen.insert(d.key.clone()));
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS).min(drafts.len());
        let queue = Mutex::new(drafts.into_iter());
        let (done, compiled) = thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.compile_from(&queue))).collect();
            let done = work();
            (done, running.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>())
        });
        let done = done?;
        for thread in compiled {
            for (draft, made, said) in thread.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                if let Some(e) = said.await {
                    return Err(Error::Shader { name: draft.label, message: e.to_string() });
                }
                self.known().insert(draft.key, made?);
            }
        }
        Ok(done)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Pipeline>> {
        lock(&self.pipelines)
    }

    /// Compiles until the queue is empty; with every pipeline what was said of it.
    #[allow(clippy::type_complexity)]
    fn compile_from(
        &self,
        queue: &Mutex<std::vec::IntoIter<Draft>>,
    ) -> Vec<(Draft, Result<Pipeline>, impl Future<Output = Option<wgpu::Error>> + Send + use<>)> {
        let next = || lock(queue).next();
        let compiled = std::iter::from_fn(next).map(|draft| {
            let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
            let made = self.compile(&draft);
            (draft, made, scope.pop())
        });
        compiled.collect()
    }

    fn compile(&self, draft: &Draft) -> Result<Pipeline> {
        let Draft { key, shader, label, entries } = draft;
        let label = Some(label.as_str());
        let source = shader.compose(&key.set, &key.imports)?;
        let mut checks = wgpu::ShaderRuntimeChecks::checked();
        [checks.force_loop_bounding, checks.bounds_checks] = key.checks;
        let desc = wgpu::ShaderModuleDescriptor { label, source: wgpu::ShaderSource::Wgsl(source.as_str().into()) };
        // SAFETY: every loop of our shaders is bounded by a param or a constant (tests/engine/shaders.rs), so loop bounding adds nothing;
        // kernels that drop bounds checks guard their accesses by sizes in params, and sweeps run them against checked modules.
        #[allow(unsafe_code)]
        let module = unsafe { self.device.create_shader_module_trusted(desc, checks) };
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries });
        let whole = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&whole),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        Ok(Pipeline { pipeline, layout, params: Arc::new(params(&source)) })
    }
}

fn layout_entries(kernel: &Kernel) -> impl Iterator<Item = wgpu::BindGroupLayoutEntry> + '_ {
    let uniform = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    let entry = |(binding, ty)| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty,
        count: None,
    };
    let inputs = kernel.bound().map(|(binding, form)| (binding, binding_type(form, true)));
    [(0, uniform), (1, binding_type(kernel.writes, false))].into_iter().chain(inputs).map(entry)
}

fn binding_type(form: Form, read: bool) -> wgpu::BindingType {
    match form {
        Form::Buffer => wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: read },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        Form::Image { .. } => wgpu::BindingType::StorageTexture {
            access: if read { wgpu::StorageTextureAccess::ReadOnly } else { wgpu::StorageTextureAccess::WriteOnly },
            format: wgpu::TextureFormat::Rgba32Float,
            view_dimension: wgpu::TextureViewDimension::D2,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::Choice;
    use super::*;

    macro_rules! kernel {
        ($name:literal, $body:literal) => {{
            static SHADER: Shader = Shader {
                name: $name,
                source: concat!(
                    "struct Params { n: u32 }\n@group(0) @binding(0) var<uniform> p: Params;\n",
                    "@group(0) @binding(1) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(1)\n",
                    "fn main() { y[0] = ",
                    $body,
                    "; }\n"
                ),
            };
            Kernel::new(&SHADER, 0, 1)
        }};
    }

    #[test]
    fn each_error_stays_with_its_kernel() {
        if std::env::var_os("LUPE_NO_GPU").is_some() {
            println!("LUPE_NO_GPU is set: skipped");
            return;
        }
        let gpu = pollster::block_on(Gpu::new(&Choice::Auto, None)).expect("an adapter");
        let good = [kernel!("one", "1.0"), kernel!("two", "2.0"), kernel!("params", "f32(p.n)")];
        let all = |more: &[Kernel]| [&good[..], more, &good[..]].concat();
        let beside = |kernels: &[Kernel], work: &dyn Fn() -> Result<u32>| {
            pollster::block_on(gpu.pipelines_beside(kernels.iter(), work))
        };
        assert_eq!(beside(&all(&[]), &|| Ok(7)).expect("all compile"), 7);
        assert_eq!(gpu.known().len(), 3);
        // What the work reports is found by whom it concerns, while a broken kernel is compiled beside it.
        for broken in [kernel!("not WGSL", "1.0 +"), kernel!("of another type", "vec2f(1.0)")] {
            let error = beside(&all(std::slice::from_ref(&broken)), &|| gpu.check().map(|()| 0))
                .expect_err("it does not compile");
            assert!(matches!(&error, Error::Shader { name, .. } if *name == broken.label()), "{error:?}");
            gpu.check().expect("nothing is left to blame others for");
        }
        let composed = kernel!("no such constant", "3.0").set("MISSING", 1);
        assert!(matches!(beside(&[composed], &|| Ok(0)), Err(Error::Shader { .. })));
        let fresh = kernel!("four", "4.0");
        let error = beside(&[fresh], &|| Err(Error::Gpu("the work".into()))).expect_err("the work fails");
        assert!(matches!(&error, Error::Gpu(what) if what == "the work"), "{error:?}");
    }
}
