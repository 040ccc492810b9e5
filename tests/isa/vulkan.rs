//! A Vulkan device as wgpu opens it, on which pipelines are compiled and asked what became of them; nothing is ever run.
#![allow(unsafe_code)] // Every call below gets handles that this file made and structures that live until it returns.

use crate::kernels::Unit;
use ash::vk;
use lupe::engine::{Caps, Family, Form};
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::ffi::{CStr, c_char};

/// What a compiler says of one pipeline.
pub struct Compiled {
    /// Lanes of a subgroup.
    pub lanes: u32,
    /// The driver's figures by its names.
    pub statistics: Vec<(String, u64)>,
    pub assembly: String,
}

/// An open device.
pub struct Device {
    _entry: ash::Entry,
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    api: u32,
    /// Whether the device itself keeps accesses within what is bound: naga adds no checks then.
    robust: bool,
    /// Whether subgroups may have any size.
    varying: bool,
    pub driver: String,
    pub caps: Caps,
}

fn text(c: &[c_char]) -> String {
    let bytes: Vec<u8> = c.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    String::from_utf8_lossy(&bytes).trim().to_string()
}

/// Limits as the engine sees them. Shuffles are left out: the family that uses them is for drivers on the processor.
fn caps(p: &vk::PhysicalDeviceProperties) -> Caps {
    let l = &p.limits;
    Caps {
        family: Family::Gpu,
        vendor: p.vendor_id,
        subgroup: None,
        invocations: l.max_compute_work_group_invocations,
        shared_bytes: l.max_compute_shared_memory_size,
        storage_buffers: l.max_per_stage_descriptor_storage_buffers,
        storage_textures: l.max_per_stage_descriptor_storage_images,
        groups: l.max_compute_work_group_count.into_iter().min().unwrap_or(0),
        binding_bytes: l.max_storage_buffer_range.into(),
        image_side: l.max_image_dimension2_d,
        binding_offset: u32::try_from(l.min_storage_buffer_offset_alignment).unwrap_or(u32::MAX),
        slow_loads: false,
    }
}

impl Device {
    /// The first device that the loader finds.
    ///
    /// # Errors
    /// Where there is none, or it does not tell about its pipelines.
    pub fn open() -> Result<Device, String> {
        let fault = |what: &'static str| move |e: vk::Result| format!("{what}: {e}");
        unsafe {
            let entry = ash::Entry::load().map_err(|e| format!("no Vulkan loader (Debian: libvulkan1): {e}"))?;
            let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let info = vk::InstanceCreateInfo::default().application_info(&app);
            let instance = entry.create_instance(&info, None).map_err(fault("no Vulkan instance"))?;
            let found = instance.enumerate_physical_devices().map_err(fault("no devices"))?;
            let physical = *found.first().ok_or("the driver offers no device")?;
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            instance.get_physical_device_properties2(physical, &mut properties);
            let properties = properties.properties;
            let (device, robust, varying) = create(&instance, physical, properties.api_version)?;
            Ok(Device {
                executables: ash::khr::pipeline_executable_properties::Device::new(&instance, &device),
                _entry: entry,
                device,
                api: properties.api_version,
                robust,
                varying,
                driver: text(&driver.driver_info),
                caps: caps(&properties),
            })
        }
    }

    /// Compiles a kernel as production does (src/engine/gpu/mod.rs).
    ///
    /// # Errors
    /// What naga or the driver has against it.
    pub fn compile(&self, unit: &Unit) -> Result<Compiled, String> {
        let words = self.spirv(unit)?;
        let made = unsafe { self.pipeline(unit, &words) }.map_err(|e| format!("the driver refuses it: {e}"))?;
        unsafe { self.ask(made) }.map_err(|e| format!("the driver does not tell about it: {e}"))
    }

    /// SPIR-V as wgpu has naga write it: no loop bounding, no zeroes in workgroup memory, and checks of bounds where the kernel
    /// keeps them, of buffers only where the device has none itself.
    fn spirv(&self, unit: &Unit) -> Result<Vec<u32>, String> {
        let module = naga::front::wgsl::parse_str(&unit.source).map_err(|e| e.emit_to_string(&unit.source))?;
        let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
        let info = validated.map_err(|e| e.emit_to_string(&unit.source))?;
        let policy = |checked: bool| if checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
        let checked = !unit.kernel.unchecked;
        let options = spv::Options {
            lang_version: match self.api {
                vk::API_VERSION_1_3.. => (1, 6),
                vk::API_VERSION_1_2.. => (1, 5),
                _ => (1, 3),
            },
            flags: spv::WriterFlags::empty(),
            bounds_check_policies: BoundsCheckPolicies {
                index: policy(checked),
                buffer: policy(checked && !self.robust),
                image_load: policy(checked && !self.robust),
                binding_array: BoundsCheckPolicy::Unchecked,
            },
            force_loop_bounding: false,
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            emit_int_div_checks: true,
            ..Default::default()
        };
        let entry = spv::PipelineOptions { entry_point: "main".into(), shader_stage: naga::ShaderStage::Compute };
        spv::write_vec(&module, &info, &options, Some(&entry)).map_err(|e| e.to_string())
    }

    unsafe fn pipeline(&self, unit: &Unit, words: &[u32]) -> Result<vk::Pipeline, vk::Result> {
        let binding = |(binding, kind)| {
            let stages = vk::ShaderStageFlags::COMPUTE;
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(stages)
        };
        let kind = |form: Form| match form {
            Form::Buffer => vk::DescriptorType::STORAGE_BUFFER,
            Form::Image { .. } => vk::DescriptorType::STORAGE_IMAGE,
        };
        let reads = unit.kernel.reads.iter().map(|&(at, form)| (at, kind(form)));
        let own = [(0, vk::DescriptorType::UNIFORM_BUFFER), (1, kind(unit.kernel.writes))];
        let bindings: Vec<_> = own.into_iter().chain(reads).map(binding).collect();
        unsafe {
            let code = vk::ShaderModuleCreateInfo::default().code(words);
            let module = self.device.create_shader_module(&code, None)?;
            let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [self.device.create_descriptor_set_layout(&set, None)?];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let mut stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            if self.varying {
                stage = stage.flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE);
            }
            let told = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let info = vk::ComputePipelineCreateInfo::default()
                .stage(stage)
                .layout(self.device.create_pipeline_layout(&layout, None)?)
                .flags(told);
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            made.map_err(|(_, e)| e)?.into_iter().next().ok_or(vk::Result::ERROR_UNKNOWN)
        }
    }

    unsafe fn ask(&self, pipeline: vk::Pipeline) -> Result<Compiled, vk::Result> {
        let whole = vk::PipelineInfoKHR::default().pipeline(pipeline);
        let first = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        let (properties, statistics) = unsafe {
            (
                self.executables.get_pipeline_executable_properties(&whole)?,
                self.executables.get_pipeline_executable_statistics(&first)?,
            )
        };
        let value = |s: &vk::PipelineExecutableStatisticKHR| match s.format {
            vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => unsafe { s.value.f64 as u64 },
            vk::PipelineExecutableStatisticFormatKHR::BOOL32 => unsafe { s.value.b32.into() },
            _ => unsafe { s.value.u64 },
        };
        Ok(Compiled {
            lanes: properties.first().map_or(0, |p| p.subgroup_size),
            statistics: statistics.iter().map(|s| (text(&s.name), value(s))).collect(),
            assembly: unsafe { self.assembly(&first) }?,
        })
    }

    /// The listing that the driver calls its assembly. ash has no safe call for these: sizes first, then texts.
    unsafe fn assembly(&self, of: &vk::PipelineExecutableInfoKHR) -> Result<String, vk::Result> {
        let get = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        let mut count = 0;
        unsafe { get(self.device.handle(), of, &mut count, std::ptr::null_mut()) }.result()?;
        let mut all = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
        unsafe { get(self.device.handle(), of, &mut count, all.as_mut_ptr()) }.result()?;
        let mut texts: Vec<Vec<u8>> = all.iter().map(|r| vec![0; r.data_size]).collect();
        all.iter_mut().zip(&mut texts).for_each(|(r, text)| r.p_data = text.as_mut_ptr().cast());
        unsafe { get(self.device.handle(), of, &mut count, all.as_mut_ptr()) }.result()?;
        let listing = all.iter().zip(&texts).find(|(r, _)| text(&r.name).to_lowercase().ends_with("assembly"));
        let bytes = listing.map_or(&[][..], |(_, text)| text);
        Ok(String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string())
    }
}

/// Features that wgpu turns on and that change code, as far as a device has them.
struct Features {
    robust: vk::Bool32,
    robust2: Option<vk::PhysicalDeviceRobustness2FeaturesEXT<'static>>,
    vulkan13: Option<vk::PhysicalDeviceVulkan13Features<'static>>,
}

unsafe fn features(instance: &ash::Instance, physical: vk::PhysicalDevice, robust2: bool, vulkan13: bool) -> Features {
    let mut has_robust2 = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
    let mut has13 = vk::PhysicalDeviceVulkan13Features::default();
    let mut has = vk::PhysicalDeviceFeatures2::default();
    if robust2 {
        has = has.push_next(&mut has_robust2);
    }
    if vulkan13 {
        has = has.push_next(&mut has13);
    }
    unsafe { instance.get_physical_device_features2(physical, &mut has) };
    let robust = has.features.robust_buffer_access;
    let wanted = vk::PhysicalDeviceRobustness2FeaturesEXT {
        robust_buffer_access2: has_robust2.robust_buffer_access2,
        robust_image_access2: has_robust2.robust_image_access2,
        ..Default::default()
    };
    let wanted13 = vk::PhysicalDeviceVulkan13Features {
        robust_image_access: has13.robust_image_access,
        subgroup_size_control: has13.subgroup_size_control,
        ..Default::default()
    };
    Features { robust, robust2: robust2.then_some(wanted), vulkan13: vulkan13.then_some(wanted13) }
}

/// The device, whether it is robust, and whether subgroups vary.
unsafe fn create(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    api: u32,
) -> Result<(ash::Device, bool, bool), String> {
    const TELLS: &CStr = ash::khr::pipeline_executable_properties::NAME;
    const ROBUST: &CStr = ash::ext::robustness2::NAME;
    let fault = |e: vk::Result| format!("the device does not open: {e}");
    unsafe {
        let offered = instance.enumerate_device_extension_properties(physical).map_err(fault)?;
        let offers = |name: &&CStr| offered.iter().any(|e| e.extension_name_as_c_str() == Ok(*name));
        if !offers(&TELLS) {
            return Err("the driver does not tell what it makes of shaders".into());
        }
        let names: Vec<_> = [TELLS, ROBUST].into_iter().filter(offers).map(CStr::as_ptr).collect();
        let mut features = features(instance, physical, offers(&ROBUST), api >= vk::API_VERSION_1_3);
        let robust = features.robust2.is_some_and(|f| f.robust_buffer_access2 == 1);
        let varying = features.vulkan13.is_some_and(|f| f.subgroup_size_control == 1);
        let core = vk::PhysicalDeviceFeatures { robust_buffer_access: features.robust, ..Default::default() };
        let mut told =
            vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
        let mut info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .enabled_features(&core)
            .push_next(&mut told);
        if let Some(robust2) = &mut features.robust2 {
            info = info.push_next(robust2);
        }
        if let Some(vulkan13) = &mut features.vulkan13 {
            info = info.push_next(vulkan13);
        }
        let device = instance.create_device(physical, &info, None).map_err(fault)?;
        Ok((device, robust, varying))
    }
}
