//! The two forms in which a value lies in GPU memory, what an adapter can do, and the geometry of images. No GPU call here.

use crate::tensor::Shape;

/// How a value lies in GPU memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Form {
    /// Row-major f32, last axis innermost.
    Buffer,
    /// An `rgba32float` storage texture, four channels a texel, with a ring of zeros `pad` texels wide around every plane.
    Image {
        /// Width of the ring in texels; 0 for anything but pictures `[n, h, w, c]`.
        pad: u32,
    },
}

impl Form {
    /// Whether a value of `shape` lies in this form as it does in host memory.
    pub fn plain(self, shape: Shape) -> bool {
        self == Form::Buffer || self == (Form::Image { pad: 0 }) && matches!(shape.dims(), [1, _, _, 4])
    }
}

/// Workgroups that a GPU wants of a dispatch: two for each processor of the largest cards.
pub const ENOUGH: u32 = 256;

/// Which family of kernels comes first on an adapter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Buffers, shared-memory tiles: real GPUs.
    Gpu,
    /// Images, subgroup shuffles: drivers that run on the CPU.
    Software,
}

/// What an adapter can do, as far as kernels care.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Family that comes first.
    pub family: Family,
    /// PCI vendor number.
    pub vendor: u32,
    /// Lanes of a subgroup, where the adapter has exactly one size and shuffles may be used.
    pub subgroup: Option<u32>,
    /// Invocations in a workgroup.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub shared_bytes: u32,
    /// Storage buffers in a stage.
    pub storage_buffers: u32,
    /// Storage textures in a stage.
    pub storage_textures: u32,
    /// Workgroups along one dimension of a grid.
    pub groups: u32,
    /// Bytes of one storage binding.
    pub binding_bytes: u64,
    /// Texels along a side of an image.
    pub image_side: u32,
    /// What the offset of a storage binding in its buffer must be a multiple of, in bytes.
    pub binding_offset: u32,
    /// Whether a load from a buffer costs several times one from an image: a driver that runs on a processor without AVX-512, where it puts
    /// what lanes load together by way of the stack.
    pub slow_loads: bool,
}

impl Caps {
    /// WebGPU's base limits and no features: what every portable candidate must run on.
    pub const BASE: Caps = Caps {
        family: Family::Gpu,
        vendor: 0,
        subgroup: None,
        invocations: 256,
        shared_bytes: 16384,
        storage_buffers: 8,
        storage_textures: 4,
        groups: 65535,
        binding_bytes: 128 << 20,
        image_side: 8192,
        binding_offset: 256,
        slow_loads: false,
    };
}

/// Adapters that stand for those there are: WebGPU's base limits, GPUs by vendor (tiles are ordered by it), and drivers that run on the
/// processor at their three widths.
pub fn typical() -> Vec<(&'static str, Caps)> {
    let desktop = Caps {
        subgroup: Some(32),
        invocations: 1024,
        shared_bytes: 48 << 10,
        storage_buffers: 16,
        storage_textures: 8,
        binding_bytes: 2 << 30,
        image_side: 16384,
        ..Caps::BASE
    };
    let software = |lanes| Caps {
        family: Family::Software,
        subgroup: Some(lanes),
        invocations: 1024,
        shared_bytes: 32 << 10,
        storage_buffers: 32,
        storage_textures: 32,
        image_side: 16384,
        ..Caps::BASE
    };
    let intel = Caps { vendor: 0x8086, subgroup: None, ..desktop };
    vec![
        ("base", Caps::BASE),
        ("desktop", desktop),
        ("intel", intel),
        ("software128", software(4)),
        ("software256", software(8)),
        ("software512", software(16)),
    ]
}

/// Where the texels of a value lie in its image.
///
/// A picture batch `[n, h, w, c]` is, for each picture, `ceil(c/4)` planes of `(h + 2 pad) x (w + 2 pad)` texels stacked
/// downwards; the pictures lie side by side. Any other shape is a matrix `[m, k]`, laid out as the picture `[1, ceil(m/w), w, k]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Geometry {
    /// Width of one plane in texels, ring included.
    pub plane_w: u32,
    /// Height of one plane in texels, ring included.
    pub plane_h: u32,
    /// Width of the ring.
    pub pad: u32,
    /// Width of the image.
    pub width: u32,
    /// Height of the image.
    pub height: u32,
}

impl Geometry {
    /// Geometry of a value of `shape` with a ring of `pad`, on an adapter whose images have at most `side` texels a side.
    pub fn new(shape: Shape, pad: u32, side: u32) -> Geometry {
        let (n, h, w, c, pad) = match shape.dims() {
            &[n, h, w, c] => (n, h, w, c, pad as usize),
            _ => {
                let (m, k) = shape.rows();
                let w = m.clamp(1, side as usize);
                (1, m.div_ceil(w), w, k, 0)
            }
        };
        let (plane_w, plane_h) = (w + 2 * pad, h + 2 * pad);
        let (width, height) = (n * plane_w, c.div_ceil(4) * plane_h);
        let [plane_w, plane_h, pad, width, height] =
            [plane_w, plane_h, pad, width, height].map(|v| u32::try_from(v).unwrap_or(u32::MAX));
        Geometry { plane_w, plane_h, pad, width, height }
    }

    /// Whether an image of this geometry can exist on an adapter with images of `side` texels a side.
    pub fn fits(&self, side: u32) -> bool {
        (1..=side).contains(&self.width) && (1..=side).contains(&self.height)
    }

    /// Bytes of the image.
    pub fn bytes(&self) -> u64 {
        16 * u64::from(self.width) * u64::from(self.height)
    }

    /// The geometry's facts under the names that shaders use after `in0_`, `out_`, ….
    pub fn fact(&self, name: &str) -> Option<u32> {
        match name {
            "plane_w" => Some(self.plane_w),
            "plane_h" => Some(self.plane_h),
            "pad" => Some(self.pad),
            _ => None,
        }
    }

    /// Texel and component of element (row, channel) of picture `n`, in the flat `width x height x 4` array of the image.
    pub fn index(&self, [n, y, x, c]: [usize; 4]) -> usize {
        let column = n * self.plane_w as usize + x + self.pad as usize;
        let row = c / 4 * self.plane_h as usize + y + self.pad as usize;
        (row * self.width as usize + column) * 4 + c % 4
    }
}

/// Elements of `shape` as picture coordinates under `g`, in row-major order.
pub fn places(shape: Shape, g: Geometry) -> impl Iterator<Item = [usize; 4]> {
    let (_, c) = shape.rows();
    let [_, h, w, _] = shape.nhwc();
    let matrix = shape.rank() != 4;
    (0..shape.len()).map(move |i| {
        let (row, channel) = (i / c, i % c);
        if matrix {
            let wide = g.plane_w as usize;
            [0, row / wide, row % wide, channel]
        } else {
            [row / (h * w), row / w % h, row % w, channel]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_lie_side_by_side_with_their_planes_below() {
        let g = Geometry::new(Shape::from([3, 5, 7, 10]), 1, 8192);
        assert_eq!((g.plane_w, g.plane_h, g.width, g.height), (9, 7, 27, 21));
        assert_eq!(g.index([1, 0, 0, 0]), (27 + 9 + 1) * 4);
        assert_eq!(g.index([0, 0, 0, 5]), ((7 + 1) * 27 + 1) * 4 + 1);
    }

    #[test]
    fn a_long_matrix_wraps() {
        let shape = Shape::from([160_000, 64]);
        let g = Geometry::new(shape, 3, 8192);
        assert_eq!((g.plane_w, g.plane_h, g.pad, g.height), (8192, 20, 0, 320));
        assert!(g.fits(8192));
        assert_eq!(places(shape, g).nth(8193 * 64 + 5), Some([0, 1, 1, 5]));
    }

    #[test]
    fn what_is_too_large_does_not_fit() {
        assert!(!Geometry::new(Shape::from([1, 9000, 1, 4]), 0, 8192).fits(8192));
        assert!(!Geometry::new(Shape::from([0, 4]), 0, 8192).fits(8192));
    }
}
