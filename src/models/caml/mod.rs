//! CAML (Fifty et al., ICLR 2024): a transformer over the features of labelled pictures and one query, which says the query's label.
//!
//! A token is a picture's feature with the code of its label behind it; the query has a code of its own. Every token attends to every
//! other one, and none has a position: the order of the labelled pictures does not matter. What the query's token has become is
//! projected to a logit for each label. The blocks are those of a vision transformer ([`Vit`]).

mod checkpoint;

pub use checkpoint::Checkpoint;

use super::vit::{DINO_S16, Mlp, Vit};
use crate::data::{Filter, Preprocess};
use crate::engine::{Scope, Var};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Heads of all released checkpoints; the shapes of the weights do not tell.
pub const HEADS: usize = 16;

/// The largest size of any kind that is believed.
const LARGEST: usize = 1 << 20;

/// The sizes of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caml {
    /// Values of a picture's feature.
    pub features: usize,
    /// Values of a label's code.
    pub code: usize,
    /// Labels.
    pub labels: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Values between the two layers of a block's second half.
    pub mlp: usize,
}

/// A released checkpoint: the sizes that tell it from the others, and the encoder that it was trained on.
#[derive(Clone, Copy, Debug)]
pub struct Released {
    /// What its folder is called.
    pub name: &'static str,
    /// The network that gives its features, by name.
    pub encoder: &'static str,
    /// Values of a feature.
    pub features: usize,
}

/// The released checkpoints.
pub const RELEASED: [Released; 3] = [
    Released { name: "CAML_CLIP", encoder: "vit_base_patch16_clip_224", features: 768 },
    Released { name: "CAML_Laion2b", encoder: "vit_huge_patch14_clip_224", features: 1280 },
    Released { name: "CAML_ResNet34", encoder: "resnet34", features: 512 },
];

/// How the pictures of an encoder are prepared: as timm does it, which has another filter and edge for ResNet-34 than torchvision.
pub fn preprocess(encoder: &str, own: Preprocess) -> Preprocess {
    match encoder {
        "resnet34" => Preprocess { filter: Filter::Bicubic, ..Preprocess::imagenet(235, 224) },
        _ => own,
    }
}

impl Caml {
    /// Values of a token.
    pub fn width(&self) -> usize {
        self.features + self.code
    }

    /// The released checkpoint that takes such features.
    pub fn released(&self) -> Option<&'static Released> {
        RELEASED.iter().find(|r| r.features == self.features)
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`Error::Weights`] for sizes that no transformer here can have.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Weights(vec![what]));
        let Caml { features, code, labels, depth, heads, mlp } = *self;
        if [features, code, labels, depth, heads, mlp].iter().any(|n| *n > LARGEST) {
            return fail(format!("expected sizes of at most {LARGEST}, found {self:?}"));
        }
        let (width, most) = (self.width(), crate::ops::attention::MOST);
        match heads {
            0 => fail("a transformer with no heads".into()),
            n if !width.is_multiple_of(n) => {
                fail(format!("its tokens of {width} values cannot be shared by {n} heads"))
            }
            n if width / n > most => {
                fail(format!("its heads would have {} values each; at most {most} are supported", width / n))
            }
            _ if features == 0 || labels < 2 || depth == 0 => {
                fail(format!("expected features, two labels or more and blocks, found {self:?}"))
            }
            _ => Ok(()),
        }
    }

    fn transformer(&self) -> Vit {
        Vit { width: self.width(), depth: self.depth, heads: self.heads, mlp: Mlp::Gelu(self.mlp), ..DINO_S16 }
    }

    /// The tokens of labelled pictures: rows of `features` `[s, f]`, each with the code of its label; `[s, f + c]`.
    pub fn support(&self, features: &[&[f32]], labels: &[usize], codes: &Tensor) -> Tensor {
        let rows = features.iter().zip(labels).flat_map(|(feature, label)| {
            let code = codes.data.chunks_exact(self.code).nth(*label).unwrap_or_default();
            feature.iter().chain(code).copied()
        });
        Tensor::new([features.len(), self.width()], rows.collect())
    }

    /// Logits `[k * q, labels]` of queries `[q, f]` after each of `k` supports `[s, f + c]`, all of one size: those of the first support
    /// come first. Weights come from `p` by the names of [`Checkpoint`].
    pub fn logits<'g>(&self, queries: Var<'g>, supports: &[Var<'g>], p: &Scope<'g, '_>) -> Var<'g> {
        let (vit, width) = (self.transformer(), self.width());
        let blank = p.param("unk_emb", [1, 1, self.code]).reshape([1, self.code]).pad(1, self.features, 0);
        let queries = queries.pad(1, 0, self.code).reshape([queries.dim(0), 1, width]);
        let sequences = supports.iter().map(|support| queries.tokens(*support, blank)).collect();
        let all = below_each_other(sequences).unwrap_or(queries);
        let [n, t] = [all.dim(0), all.dim(1)];
        let block = |x, i: usize| vit.block(x, &p.at("blocks").at(&i.to_string()));
        let x = (0..self.depth).fold(all, block);
        // What the other tokens have become is not asked for: the query's is the last.
        let said = vit.norm(x.slice(1, t - 1, t).reshape([n, width]), &p.at("norm"));
        said.matmul_t(p.param("output_proj.weight", [self.labels, width]))
    }
}

/// Values joined along their first axis, two by two, so that none is copied more often than there are twos in their number.
fn below_each_other(mut all: Vec<Var<'_>>) -> Option<Var<'_>> {
    while all.len() > 1 {
        all = all.chunks(2).filter_map(|pair| pair.iter().copied().reduce(|a, b| a.concat(b, 0))).collect();
    }
    all.pop()
}
