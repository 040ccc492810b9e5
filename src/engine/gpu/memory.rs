//! Memory on the device: buffers and images, upload and read-back.

use super::super::form::{Family, Form, Geometry, places};
use super::Gpu;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::tensor::{Shape, Tensor};
use std::sync::{Arc, Mutex};

/// Memory that holds a value.
#[derive(Clone, Debug)]
pub(crate) enum Resource {
    Buffer(wgpu::Buffer),
    Image { texture: wgpu::Texture, view: wgpu::TextureView, geometry: Geometry },
}

impl Gpu {
    /// A storage buffer of `bytes`.
    pub(crate) fn buffer(&self, label: &str, bytes: u64) -> wgpu::Buffer {
        use wgpu::BufferUsages as U;
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: U::STORAGE | U::COPY_SRC | U::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// A buffer that the host can read.
    pub(crate) fn staging(&self, bytes: u64) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read back"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// An image of that geometry, all zeros.
    pub(crate) fn image(&self, label: &str, geometry: Geometry) -> Resource {
        use wgpu::TextureUsages as U;
        let [width, height] = [geometry.width, geometry.height].map(|side| self.side(side));
        let texture = self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba32Float,
            usage: U::STORAGE_BINDING | U::COPY_SRC | U::COPY_DST,
            view_formats: &[],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        Resource::Image { texture, view, geometry }
    }

    /// Texels along the side of an image that holds `texels`. Mesa's software driver compiles a kernel once more for every pattern of
    /// sides that are powers of two among its images, so there no side is one: ResNet-18 takes 11 compilations instead of 17.
    fn side(&self, texels: u32) -> u32 {
        let more = if texels == 1 { 3 } else { texels + 1 };
        let avoid = self.caps.family == Family::Software && texels.is_power_of_two() && more <= self.caps.image_side;
        if avoid { more } else { texels }
    }

    /// Fresh memory for a value of `shape` in `form`, `extra` bytes longer where it is a buffer.
    pub(crate) fn memory(&self, label: &str, shape: Shape, form: Form, extra: u64) -> Resource {
        match form {
            Form::Buffer => Resource::Buffer(self.buffer(label, 4 * shape.len() as u64 + extra)),
            Form::Image { pad } => self.image(label, Geometry::new(shape, pad, self.caps.image_side)),
        }
    }

    /// Writes a value that lies in its memory as in that of the host ([`Form::plain`]).
    pub(crate) fn fill(&self, resource: &Resource, value: &Tensor) {
        match resource {
            Resource::Buffer(buffer) => self.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&value.data)),
            Resource::Image { texture, geometry, .. } => {
                let layout = wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(16 * geometry.width),
                    rows_per_image: None,
                };
                let size = wgpu::Extent3d { width: geometry.width, height: geometry.height, depth_or_array_layers: 1 };
                self.queue.write_texture(texture.as_image_copy(), bytemuck::cast_slice(&value.data), layout, size);
            }
        }
    }

    /// Words of a readable buffer, once all submitted work is done.
    pub(crate) fn read(&self, staging: &wgpu::Buffer) -> Result<Vec<f32>> {
        Ok(self.read_all(std::slice::from_ref(staging), None)?.pop().unwrap_or_default())
    }

    /// Words of readable buffers, bit by bit, after one wait for all of them: until `submission` is done, or all submitted work.
    pub(crate) fn read_all(
        &self,
        staging: &[wgpu::Buffer],
        submission: Option<wgpu::SubmissionIndex>,
    ) -> Result<Vec<Vec<f32>>> {
        let failed = Arc::new(Mutex::new(None));
        for buffer in staging {
            let report = failed.clone();
            buffer.map_async(wgpu::MapMode::Read, .., move |r| {
                if let Err(e) = r {
                    lock(&report).get_or_insert(e);
                }
            });
        }
        self.wait_for(submission)?;
        if let Some(e) = lock(&failed).take() {
            return Err(Error::DeviceLost(format!("results cannot be read back: {e}")));
        }
        let words = |buffer: &wgpu::Buffer| {
            let view = buffer.slice(..).get_mapped_range().map_err(|e| Error::Gpu(e.to_string()))?;
            let data = bytemuck::pod_collect_to_vec(&view);
            drop(view);
            buffer.unmap();
            Ok(data)
        };
        staging.iter().map(words).collect()
    }

    /// All words of a value's memory; an image row by row.
    pub(crate) fn words(&self, resource: &Resource) -> Result<Vec<f32>> {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let (staging, row, stride) = match resource {
            Resource::Buffer(buffer) => {
                let staging = self.staging(buffer.size());
                encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
                (staging, 1, 1)
            }
            Resource::Image { texture, geometry: g, .. } => {
                let stride = (16 * g.width).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
                let staging = self.staging(u64::from(stride) * u64::from(g.height));
                let layout =
                    wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride), rows_per_image: None };
                let to = wgpu::TexelCopyBufferInfo { buffer: &staging, layout };
                let size = wgpu::Extent3d { width: g.width, height: g.height, depth_or_array_layers: 1 };
                encoder.copy_texture_to_buffer(texture.as_image_copy(), to, size);
                (staging, 4 * g.width as usize, stride as usize / 4)
            }
        };
        self.queue.submit([encoder.finish()]);
        let all = self.read(&staging)?;
        Ok(all.chunks(stride).flat_map(|r| r.iter().take(row).copied()).collect())
    }

    /// The elements of a value of `shape`, in row-major order.
    pub(crate) fn values(&self, resource: &Resource, shape: Shape) -> Result<Vec<f32>> {
        let words = self.words(resource)?;
        Ok(match resource {
            Resource::Buffer(_) => words.into_iter().take(shape.len()).collect(),
            Resource::Image { geometry, .. } => places(shape, *geometry).map(|at| words[geometry.index(at)]).collect(),
        })
    }
}

impl Resource {
    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Resource::Buffer(b) => b.size(),
            Resource::Image { geometry, .. } => geometry.bytes(),
        }
    }
}

/// Where a value lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The memory.
    pub resource: &'a Resource,
    /// The byte of a buffer at which it begins.
    pub offset: u64,
    /// The bytes of a buffer that are bound.
    pub bytes: u64,
}

impl<'a> Place<'a> {
    /// As a binding: an image whole, of a buffer the value's bytes.
    pub(crate) fn binding(&self) -> wgpu::BindingResource<'a> {
        match self.resource {
            Resource::Buffer(buffer) => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: self.offset,
                size: wgpu::BufferSize::new(self.bytes),
            }),
            Resource::Image { view, .. } => wgpu::BindingResource::TextureView(view),
        }
    }
}
