//! Vision transformers (Dosovitskiy et al. 2021) with the norm before each half of a block: DINO (Caron et al. 2021), DeiT (Touvron et
//! al. 2021), DINOv2 (Oquab et al. 2023) with and without registers (Darcet et al. 2024), CLIP (Radford et al. 2021).
//!
//! What tells them apart stands in a [`Vit`]; nothing of it is taken from a file. Weights have DINO's names.

mod names;
mod published;

pub use names::NAMES;
pub use published::*;

use super::layers::classifier;
use super::{Places, Positions};
use crate::engine::{Scope, Var};

/// A vision transformer.
#[derive(Clone, Copy, Debug)]
pub struct Vit {
    /// Rows and columns of a patch.
    pub patch: usize,
    /// Values of a token.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// What is between the two layers of a block's second half.
    pub mlp: Mlp,
    /// Added to the variance by layer norms.
    pub eps: f32,
    /// Rows and columns of the grid that its position embeddings were trained for.
    pub grid: usize,
    /// Whether the patches' layer has a bias.
    pub patch_bias: bool,
    /// Whether a layer norm comes before the first block (CLIP).
    pub norm_pre: bool,
    /// Tokens after the class token that belong to no place and have no position.
    pub registers: usize,
    /// Whether what a half of a block adds is scaled, each of the `width` values by its own weight (LayerScale).
    pub layer_scale: bool,
    /// What the class token is made into at the end.
    pub head: Head,
}

/// What is between the two layers of a block's second half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mlp {
    /// So many values through x Φ(x), Φ by the error function.
    Gelu(usize),
    /// So many values through x σ(1.702 x).
    QuickGelu(usize),
    /// Twice as many; the first half through x σ(x), times the second half.
    SwiGlu(usize),
}

/// What the class token is made into at the end, where the weights are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Nothing.
    None,
    /// So many values that lie beside those of texts: the place `projected`.
    Projection(usize),
    /// Values for as many classes as the weights have: the place `logits`.
    Classifier,
}

/// Rows of a picture's tokens, and where its patches are.
#[derive(Clone, Copy)]
struct Tokens {
    pictures: usize,
    /// Class token and registers.
    first: usize,
    grid: [usize; 2],
}

impl Tokens {
    fn patches(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    fn all(&self) -> usize {
        self.first + self.patches()
    }

    /// Rows `from` to `to` of each picture, of tokens `[n, t, d]`: `[n * (to - from), d]`. Of a single picture they are a view.
    fn rows<'g>(&self, x: Var<'g>, [from, to]: [usize; 2]) -> Var<'g> {
        let d = x.dim(2);
        match self.pictures {
            1 => x.reshape([self.all(), d]).slice(0, from, to),
            n => x.slice(1, from, to).reshape([n * (to - from), d]),
        }
    }

    /// The patches as a map `[n, gh, gw, d]`.
    fn map<'g>(&self, x: Var<'g>) -> Var<'g> {
        let [h, w] = self.grid;
        self.rows(x, [self.first, self.all()]).reshape([self.pictures, h, w, x.dim(2)])
    }
}

impl Vit {
    /// The network for pictures `x` `[n, h, w, 3]`, preprocessed; rows and columns beyond the last whole patch are not looked at.
    /// `block0`, `block1`, … `[n, h/patch, w/patch, d]` are the patches after each block, `tokens` the same after the last norm; `cls`
    /// `[n, d]` is the class token after it. `projected` `[n, p]` or `logits` `[n, classes]` are there if the head and its weights are.
    pub fn places<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>, positions: Positions) -> Places<'g> {
        let (mut x, tokens) = self.embedded(x, p, positions);
        let mut places = Places::default();
        if self.norm_pre {
            x = self.norm(x, &p.at("norm_pre"));
        }
        for i in 0..self.depth {
            x = self.block(x, &p.at("blocks").at(&i.to_string()));
            places.push(format!("block{i}"), tokens.map(x));
        }
        let [h, w] = tokens.grid;
        let norm = self.normed(&p.at("norm"));
        let patches = norm(tokens.rows(x, [tokens.first, tokens.all()]));
        places.push("tokens", patches.reshape([tokens.pictures, h, w, self.width]));
        let cls = norm(tokens.rows(x, [0, 1]));
        places.push("cls", cls);
        if let Some((name, value)) = self.head(cls, &p.at("head")) {
            places.push(name, value);
        }
        places
    }

    /// All tokens `[n, t, d]`: class token and registers first, then the patches row by row.
    fn embedded<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>, positions: Positions) -> (Var<'g>, Tokens) {
        let (d, patch) = (self.width, p.at("patch_embed").at("proj"));
        let patches = x.conv2d(patch.param("weight", [d, 3, self.patch, self.patch]), self.patch, 0);
        let patches = if self.patch_bias { patches + patch.param("bias", [d]) } else { patches };
        let stored = p.param("pos_embed", [1, 1 + self.grid * self.grid, d]).reshape([1 + self.grid * self.grid, d]);
        let mut first = p.param("cls_token", [1, 1, d]).reshape([1, d]) + stored.slice(0, 0, 1);
        if self.registers > 0 {
            let registers = p.param("register_tokens", [1, self.registers, d]).reshape([self.registers, d]);
            first = first.concat(registers, 0);
        }
        let tokens = Tokens { pictures: x.dim(0), first: 1 + self.registers, grid: [patches.dim(1), patches.dim(2)] };
        let places = stored.slice(0, 1, 1 + self.grid * self.grid);
        let all = patches.tokens(first, positions.resampled(places, self.grid, tokens.grid));
        (all, tokens)
    }

    /// `x + attention(norm1(x))`, and then `x + mlp(norm2(x))`.
    pub(super) fn block<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>) -> Var<'g> {
        let d = self.width;
        let qkv = linear(self.norm(x, &p.at("norm1")), &p.at("attn").at("qkv"), 3 * d);
        let x = self.scaled(qkv.attention(self.heads), &p.at("attn").at("proj"), &p.at("ls1")) + x;
        let (y, mlp) = (self.norm(x, &p.at("norm2")), p.at("mlp"));
        let (y, last) = match self.mlp {
            Mlp::Gelu(inner) => (linear(y, &mlp.at("fc1"), inner).gelu(), "fc2"),
            Mlp::QuickGelu(inner) => (linear(y, &mlp.at("fc1"), inner).quick_gelu(), "fc2"),
            Mlp::SwiGlu(inner) => (swiglu(linear(y, &mlp.at("w12"), 2 * inner), inner), "w3"),
        };
        self.scaled(y, &mlp.at(last), &p.at("ls2")) + x
    }

    /// The layer that gives what is added, scaled where there is LayerScale: in its weights, which costs nothing at a run.
    fn scaled<'g>(&self, x: Var<'g>, layer: &Scope<'g, '_>, scale: &Scope<'g, '_>) -> Var<'g> {
        let d = self.width;
        if !self.layer_scale {
            return linear(x, layer, d);
        }
        let gamma = scale.param("gamma", [d]);
        let weight = layer.param("weight", [d, x.dim(2)]).scaled_rows(gamma);
        x.matmul_t(weight) + layer.param("bias", [d]) * gamma
    }

    pub(super) fn norm<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>) -> Var<'g> {
        self.normed(p)(x)
    }

    /// The layer norm at `p`: its weights are asked for once.
    fn normed<'g>(&self, p: &Scope<'g, '_>) -> impl Fn(Var<'g>) -> Var<'g> + use<'g> {
        let (d, eps) = ([self.width], self.eps);
        let (weight, bias) = (p.param("weight", d), p.param("bias", d));
        move |x| x.layer_norm(weight, bias, eps)
    }

    fn head<'g>(&self, cls: Var<'g>, p: &Scope<'g, '_>) -> Option<(&'static str, Var<'g>)> {
        match self.head {
            Head::None => None,
            Head::Projection(to) => {
                let shape = [to, self.width];
                let offered = p.shape("weight").map_or(p.offers("weight"), |s| s.dims() == shape);
                offered.then(|| ("projected", cls.matmul_t(p.param("weight", shape))))
            }
            Head::Classifier => classifier(cls, p).map(|logits| ("logits", logits)),
        }
    }
}

/// `x transpose(weight) + bias`, to `out` values.
fn linear<'g>(x: Var<'g>, p: &Scope<'g, '_>, out: usize) -> Var<'g> {
    x.matmul_t(p.param("weight", [out, x.shape().last()])) + p.param("bias", [out])
}

/// `a σ(a) b` of rows `[a | b]`; 1.702 a' σ(1.702 a') with a' = a / 1.702 is a σ(a).
fn swiglu(rows: Var<'_>, inner: usize) -> Var<'_> {
    let [a, b] = [[0, inner], [inner, 2 * inner]].map(|[from, to]| rows.slice(2, from, to));
    a.affine(1.0 / 1.702, 0.0).quick_gelu().affine(1.702, 0.0) * b
}
