//! Which adapters there are, and which one a choice means.

use super::super::form::{Caps, Family};
use crate::error::{Error, Result};
use std::str::FromStr;

/// Kind of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A card of its own.
    Discrete,
    /// Part of the processor.
    Integrated,
    /// In a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
    /// A driver that runs on the processor.
    Cpu,
}

/// What is known of an adapter.
#[derive(Clone, Debug)]
pub struct AdapterInfo {
    /// Its number in the list.
    pub index: usize,
    /// `vulkan`, `metal`, `dx12` or `gl`.
    pub backend: &'static str,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Name of the driver.
    pub driver: String,
    /// Version of the driver.
    pub driver_info: String,
    /// Bits of the vectors that a driver on the processor computes with, where its name says so.
    pub width: Option<u32>,
    /// Smallest and largest subgroup.
    pub subgroup: (u32, u32),
    /// Bytes of the largest buffer.
    pub buffer_bytes: u64,
    /// Whether single kernels can be timed.
    pub timestamps: bool,
    /// Whether it computes with half precision.
    pub f16: bool,
    /// What the interface calls all that it can do.
    pub features: Vec<String>,
    /// Products of small matrices that a subgroup computes together, as in `16x16x16 F16 + F32`: rows, columns, inner side, type of the
    /// factors and of the sum.
    pub cooperative: Vec<String>,
    /// What kernels may count on.
    pub caps: Caps,
}

impl AdapterInfo {
    /// `vulkan:NAME`.
    pub fn title(&self) -> String {
        format!("{}:{}", self.backend, self.name)
    }

    /// `vulkan:NAME, DRIVER, software kernels`.
    pub fn describe(&self) -> String {
        let family = if self.caps.family == Family::Software { "software" } else { "GPU" };
        format!("{}, {} {}, {family} kernels", self.title(), self.driver, self.driver_info)
    }
}

/// Which adapter is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    /// The best one; GL only when nothing else exists.
    #[default]
    Auto,
    /// The one of that number in the list.
    Index(usize),
    /// The first whose `backend:name` contains this text, case ignored.
    Name(String),
}

impl FromStr for Choice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Choice, Self::Err> {
        Ok(match (text, text.parse()) {
            ("auto", _) => Choice::Auto,
            (_, Ok(index)) => Choice::Index(index),
            _ => Choice::Name(text.into()),
        })
    }
}

/// What to do where there is no adapter.
pub const NO_ADAPTER: &str = "no GPU adapter was found. Install a Vulkan driver: your vendor's, or Mesa's software driver \
    (Debian and Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1; Fedora: dnf install mesa-vulkan-drivers \
    vulkan-loader; Arch: pacman -S vulkan-swrast vulkan-icd-loader)";

/// All adapters, GL last; `backends` restricts the search as in `vulkan,gl`.
pub async fn adapters(backends: Option<&str>) -> Vec<AdapterInfo> {
    list(backends).await.into_iter().map(|a| a.1).collect()
}

/// Which of all adapters, numbered as they come, a choice means.
pub fn choose_of<'a>(choice: &Choice, all: &'a [AdapterInfo]) -> Option<&'a AdapterInfo> {
    match choice {
        Choice::Auto => all.iter().min_by_key(|a| (a.backend == "gl", a.kind, a.index)),
        Choice::Index(i) => all.get(*i),
        Choice::Name(name) => {
            let name = name.to_lowercase();
            all.iter().find(|a| a.title().to_lowercase().contains(&name))
        }
    }
}

pub(super) async fn choose(choice: &Choice, backends: Option<&str>) -> Result<(wgpu::Adapter, AdapterInfo)> {
    // GL is asked for only where nothing else is found: looking for it takes as long as opening a Vulkan device.
    let native =
        if *choice == Choice::Auto && backends.is_none() { list(Some("vulkan,metal,dx12")).await } else { vec![] };
    let all = if native.is_empty() { list(backends).await } else { native };
    if all.is_empty() {
        return Err(Error::Adapter(NO_ADAPTER.into()));
    }
    let infos: Vec<AdapterInfo> = all.iter().map(|a| a.1.clone()).collect();
    let index = chosen(choice, &infos)?.index;
    all.into_iter().nth(index).ok_or_else(|| unknown(choice, &infos))
}

/// As [`choose_of`].
///
/// # Errors
/// [`Error::Adapter`] with those that there are.
pub fn chosen<'a>(choice: &Choice, all: &'a [AdapterInfo]) -> Result<&'a AdapterInfo> {
    choose_of(choice, all).ok_or_else(|| unknown(choice, all))
}

fn unknown(choice: &Choice, all: &[AdapterInfo]) -> Error {
    let names: Vec<String> = all.iter().map(|a| format!("{} {}", a.index, a.title())).collect();
    let asked = match choice {
        Choice::Auto => "that can be used".to_string(),
        Choice::Index(number) => number.to_string(),
        Choice::Name(text) => format!("with \"{text}\" in its name"),
    };
    Error::Adapter(format!("there is no adapter {asked}; there are: {}", names.join(", ")))
}

async fn list(backends: Option<&str>) -> Vec<(wgpu::Adapter, AdapterInfo)> {
    let mut desc = wgpu::InstanceDescriptor::new_without_display_handle();
    desc.backends = backends.map_or(wgpu::Backends::all(), wgpu::Backends::from_comma_list);
    // Neither names nor lines of source in what the driver gets, which debug builds have by default: they took a fifth of a start.
    desc.flags = wgpu::InstanceFlags::empty().with_env();
    let instance = wgpu::Instance::new(desc);
    let mut all = instance.enumerate_adapters(wgpu::Backends::all()).await;
    all.retain(|a| backend(a) != "other");
    all.sort_by_key(|a| backend(a) == "gl");
    all.into_iter().enumerate().map(|(i, a)| (info(&a, i), a)).map(|(i, a)| (a, i)).collect()
}

fn backend(adapter: &wgpu::Adapter) -> &'static str {
    match adapter.get_info().backend {
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        wgpu::Backend::Gl => "gl",
        _ => "other",
    }
}

fn info(adapter: &wgpu::Adapter, index: usize) -> AdapterInfo {
    let (i, l, f) = (adapter.get_info(), adapter.limits(), adapter.features());
    let kind = match i.device_type {
        wgpu::DeviceType::DiscreteGpu => Kind::Discrete,
        wgpu::DeviceType::IntegratedGpu => Kind::Integrated,
        wgpu::DeviceType::VirtualGpu => Kind::Virtual,
        wgpu::DeviceType::Cpu => Kind::Cpu,
        wgpu::DeviceType::Other => Kind::Other,
    };
    let one_size = i.subgroup_min_size == i.subgroup_max_size && f.contains(wgpu::Features::SUBGROUP);
    let caps = Caps {
        family: if kind == Kind::Cpu { Family::Software } else { Family::Gpu },
        vendor: i.vendor,
        subgroup: one_size.then_some(i.subgroup_min_size),
        invocations: l.max_compute_invocations_per_workgroup,
        shared_bytes: l.max_compute_workgroup_storage_size,
        storage_buffers: l.max_storage_buffers_per_shader_stage,
        storage_textures: l.max_storage_textures_per_shader_stage,
        groups: l.max_compute_workgroups_per_dimension,
        binding_bytes: l.max_storage_buffer_binding_size.min(l.max_buffer_size),
        image_side: l.max_texture_dimension_2d,
        binding_offset: l.min_storage_buffer_offset_alignment,
        slow_loads: kind == Kind::Cpu && !inserts_by_mask(),
    };
    AdapterInfo {
        index,
        backend: backend(adapter),
        width: width(&i.name),
        name: i.name,
        kind,
        driver: i.driver,
        driver_info: i.driver_info,
        subgroup: (i.subgroup_min_size, i.subgroup_max_size),
        buffer_bytes: l.max_buffer_size,
        timestamps: f.contains(wgpu::Features::TIMESTAMP_QUERY),
        f16: f.contains(wgpu::Features::SHADER_F16),
        features: f.iter_names().map(|(name, _)| name.to_lowercase()).collect(),
        cooperative: adapter.cooperative_matrix_properties().iter().map(cooperative).collect(),
        caps,
    }
}

/// Whether this processor can put a value into any lane of a vector by a mask, which is AVX-512's way.
fn inserts_by_mask() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx512vl");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

fn cooperative(p: &wgpu::CooperativeMatrixProperties) -> String {
    let saturating = if p.saturating_accumulation { ", saturating" } else { "" };
    format!("{}x{}x{} {:?} + {:?}{saturating}", p.m_size, p.n_size, p.k_size, p.ab_type, p.cr_type)
}

/// 256 of `llvmpipe (LLVM 15.0.6, 256 bits)`.
fn width(name: &str) -> Option<u32> {
    name.strip_suffix(" bits)")?.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::width;

    #[test]
    fn widths_are_read_from_names() {
        assert_eq!(width("llvmpipe (LLVM 15.0.6, 256 bits)"), Some(256));
        assert_eq!(width("llvmpipe (LLVM 19.1.7, 512 bits)"), Some(512));
        for none in ["NVIDIA H100", "llvmpipe (LLVM 15.0.6)", "x (some bits)", " bits)", ""] {
            assert_eq!(width(none), None, "{none}");
        }
    }
}
