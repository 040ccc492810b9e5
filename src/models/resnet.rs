//! ResNet (He et al. 2015) with the stride of a stage in its 3x3 convolution ("v1.5", as torchvision), wide ResNets
//! (Zagoruyko and Komodakis 2016), and Yahoo's half-width ResNet-50.
//!
//! Weights may be folded or not: where a batch norm's statistics are there, it is applied; where they are not, the
//! convolution has a bias instead.

use crate::engine::{Scope, Var};
use crate::ops::Pad;

/// Added to the variance by every batch norm: PyTorch's default, which torchvision keeps.
const EPS: f32 = 1e-5;

/// Which residual block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, 1x1; the last one has four times the planes.
    Bottleneck,
}

/// One member of the family.
#[derive(Clone, Copy, Debug)]
pub struct ResNet {
    /// Its block.
    pub block: Block,
    /// Blocks of the four stages.
    pub depths: [usize; 4],
    /// Output channels of the first convolution.
    pub stem: usize,
    /// Planes of the first stage; each further stage doubles them.
    pub planes: usize,
    /// Inner channels of a bottleneck, as a multiple of the planes.
    pub width: usize,
    /// Whether the stride of a stage sits in its first 1x1 convolution instead of the 3x3.
    pub stride_first: bool,
    /// Padding of the max pool.
    pub pool_pad: Pad,
}

/// Values along the way.
#[derive(Clone, Copy, Debug)]
pub struct Stages<'g> {
    /// After the first convolution and ReLU, `[n, h/2, w/2, stem]`.
    pub stem: Var<'g>,
    /// After the max pool, `[n, h/4, w/4, stem]`.
    pub pool: Var<'g>,
    /// Outputs of layer1 to layer4.
    pub layers: [Var<'g>; 4],
    /// Mean of layer4 over rows and columns, `[n, c]`.
    pub feature: Var<'g>,
}

impl ResNet {
    /// Output channels of stage `i` (0 is layer1).
    pub fn channels(&self, i: usize) -> usize {
        let planes = self.planes << i;
        if self.block == Block::Basic { planes } else { 4 * planes }
    }

    /// The network up to its pooled feature; `x` is `[n, h, w, 3]`, preprocessed.
    pub fn features<'g>(&self, x: Var<'g>, p: &Scope<'g>) -> Stages<'g> {
        let stem = conv(x, p, "conv1", "bn1", self.stem, 7, 2).relu();
        let pool = stem.max_pool(3, 2, self.pool_pad);
        let mut y = pool;
        let layers = [0, 1, 2, 3].map(|i| {
            y = self.stage(y, &p.at(&format!("layer{}", i + 1)), i);
            y
        });
        Stages { stem, pool, layers, feature: y.global_pool() }
    }

    fn stage<'g>(&self, mut x: Var<'g>, p: &Scope<'g>, i: usize) -> Var<'g> {
        for b in 0..self.depths[i] {
            let stride = if b == 0 && i > 0 { 2 } else { 1 };
            x = self.block(x, &p.at(&b.to_string()), self.planes << i, stride);
        }
        x
    }

    /// One residual block with `planes`.
    pub fn block<'g>(&self, x: Var<'g>, p: &Scope<'g>, planes: usize, stride: usize) -> Var<'g> {
        match self.block {
            Block::Basic => basic(x, p, planes, stride),
            Block::Bottleneck => self.bottleneck(x, p, planes, stride),
        }
    }

    fn bottleneck<'g>(&self, x: Var<'g>, p: &Scope<'g>, planes: usize, stride: usize) -> Var<'g> {
        let (inner, first, middle) =
            if self.stride_first { (self.width * planes, stride, 1) } else { (self.width * planes, 1, stride) };
        let y = conv(x, p, "conv1", "bn1", inner, 1, first).relu();
        let y = conv(y, p, "conv2", "bn2", inner, 3, middle).relu();
        let y = conv(y, p, "conv3", "bn3", 4 * planes, 1, 1);
        (y + shortcut(x, p, 4 * planes, stride)).relu()
    }
}

fn basic<'g>(x: Var<'g>, p: &Scope<'g>, planes: usize, stride: usize) -> Var<'g> {
    let y = conv(x, p, "conv1", "bn1", planes, 3, stride).relu();
    let y = conv(y, p, "conv2", "bn2", planes, 3, 1);
    (y + shortcut(x, p, planes, stride)).relu()
}

/// The input itself, or its projection where size or channels change.
fn shortcut<'g>(x: Var<'g>, p: &Scope<'g>, co: usize, stride: usize) -> Var<'g> {
    if stride == 1 && x.dim(3) == co { x } else { conv(x, p, "downsample.0", "downsample.1", co, 1, stride) }
}

/// A square convolution that keeps the size but for the stride, and its batch norm.
fn conv<'g>(x: Var<'g>, p: &Scope<'g>, name: &str, norm: &str, co: usize, k: usize, stride: usize) -> Var<'g> {
    let y = x.conv2d(p.at(name).param("weight", [co, x.dim(3), k, k]), stride, k / 2);
    batch_norm(y, &p.at(name), &p.at(norm))
}

/// The batch norm at `norm`; where it was folded into the convolution, that one's bias.
fn batch_norm<'g>(y: Var<'g>, conv: &Scope<'g>, norm: &Scope<'g>) -> Var<'g> {
    let c = [y.dim(3)];
    if !norm.has("running_var") {
        return y + conv.param("bias", c);
    }
    let [weight, bias, mean, var] = ["weight", "bias", "running_mean", "running_var"].map(|name| norm.param(name, c));
    y.batch_norm(weight, bias, mean, var, EPS)
}

/// The classifier: `feature x fc.weight + fc.bias`, `[n, classes]`; as many classes as the weights have.
pub fn classifier<'g>(feature: Var<'g>, p: &Scope<'g>) -> Var<'g> {
    let (fc, c) = (p.at("fc"), feature.dim(1));
    let classes = fc.shape("bias").map_or(1000, |s| s.dim(0));
    feature.matmul_t(fc.param("weight", [classes, c])) + fc.param("bias", [classes])
}
