//! Names of the weights of vision transformers: DINO's are Lupe's own, the others become these.

use crate::models::spelling::Form::{AfterZeros, Rows, Same, ThreeAxes, Transposed};
use crate::models::spelling::{Names, Rule, Spelling};

/// Of all vision transformers here.
pub const NAMES: Names = Names {
    spellings: &[OPENAI, HF_CLIP, HF_VIT, TIMM_REGISTERS, CHUNKED],
    parts: &["cls_token", "dist_token", "pos_embed", "patch_embed", "blocks", "norm", "norm_pre", "register_tokens"],
    needless: &["mask_token", "position_ids", "pooler."],
};

/// CLIP's picture tower as OpenAI and open_clip have it; the names of the texts' tower, without `visual`, become such of no network.
const OPENAI: Spelling = Spelling {
    publisher: "OpenAI",
    mark: "transformer.resblocks.#.attn.in_proj_weight",
    rules: &[
        Rule("class_embedding", "cls_token", ThreeAxes),
        Rule("positional_embedding", "pos_embed", ThreeAxes),
        Rule("conv1.weight", "patch_embed.proj.weight", Same),
        Rule("ln_pre.*", "norm_pre.*", Same),
        Rule("ln_post.*", "norm.*", Same),
        Rule("proj", "head.weight", Transposed),
        Rule("transformer.resblocks.#.ln_1.*", "blocks.#.norm1.*", Same),
        Rule("transformer.resblocks.#.ln_2.*", "blocks.#.norm2.*", Same),
        Rule("transformer.resblocks.#.attn.in_proj_weight", "blocks.#.attn.qkv.weight", Same),
        Rule("transformer.resblocks.#.attn.in_proj_bias", "blocks.#.attn.qkv.bias", Same),
        Rule("transformer.resblocks.#.attn.out_proj.*", "blocks.#.attn.proj.*", Same),
        Rule("transformer.resblocks.#.mlp.c_fc.*", "blocks.#.mlp.fc1.*", Same),
        Rule("transformer.resblocks.#.mlp.c_proj.*", "blocks.#.mlp.fc2.*", Same),
    ],
};

/// CLIP's picture tower in Hugging Face's transformers; `pre_layrnorm` is spelled so.
const HF_CLIP: Spelling = Spelling {
    publisher: "Hugging Face",
    mark: "pre_layrnorm.weight",
    rules: &[
        Rule("embeddings.class_embedding", "cls_token", ThreeAxes),
        Rule("embeddings.position_embedding.weight", "pos_embed", ThreeAxes),
        Rule("embeddings.position_ids", "position_ids", Same),
        Rule("embeddings.patch_embedding.*", "patch_embed.proj.*", Same),
        Rule("pre_layrnorm.*", "norm_pre.*", Same),
        Rule("post_layernorm.*", "norm.*", Same),
        Rule("visual_projection.weight", "vision_model.head.weight", Same),
        Rule("encoder.layers.#.layer_norm1.*", "blocks.#.norm1.*", Same),
        Rule("encoder.layers.#.layer_norm2.*", "blocks.#.norm2.*", Same),
        Rule("encoder.layers.#.self_attn.q_proj.*", "blocks.#.attn.qkv.*", Rows(0, 3)),
        Rule("encoder.layers.#.self_attn.k_proj.*", "blocks.#.attn.qkv.*", Rows(1, 3)),
        Rule("encoder.layers.#.self_attn.v_proj.*", "blocks.#.attn.qkv.*", Rows(2, 3)),
        Rule("encoder.layers.#.self_attn.out_proj.*", "blocks.#.attn.proj.*", Same),
        Rule("encoder.layers.#.mlp.*", "blocks.#.mlp.*", Same),
    ],
};

/// ViT, DINO and DINOv2 in Hugging Face's transformers, files of version 4 and modules of version 5.
const HF_VIT: Spelling = Spelling {
    publisher: "Hugging Face",
    mark: "embeddings.cls_token",
    rules: &[
        Rule("embeddings.cls_token", "cls_token", Same),
        Rule("embeddings.position_embeddings", "pos_embed", Same),
        Rule("embeddings.register_tokens", "register_tokens", Same),
        Rule("embeddings.mask_token", "mask_token", Same),
        Rule("embeddings.patch_embeddings.projection.*", "patch_embed.proj.*", Same),
        Rule("encoder.layer.#.layernorm_before.*", "blocks.#.norm1.*", Same),
        Rule("encoder.layer.#.layernorm_after.*", "blocks.#.norm2.*", Same),
        Rule("encoder.layer.#.norm1.*", "blocks.#.norm1.*", Same),
        Rule("encoder.layer.#.norm2.*", "blocks.#.norm2.*", Same),
        Rule("encoder.layer.#.attention.attention.query.*", "blocks.#.attn.qkv.*", Rows(0, 3)),
        Rule("encoder.layer.#.attention.attention.key.*", "blocks.#.attn.qkv.*", Rows(1, 3)),
        Rule("encoder.layer.#.attention.attention.value.*", "blocks.#.attn.qkv.*", Rows(2, 3)),
        Rule("encoder.layer.#.attention.output.dense.*", "blocks.#.attn.proj.*", Same),
        Rule("encoder.layer.#.attention.q_proj.*", "blocks.#.attn.qkv.*", Rows(0, 3)),
        Rule("encoder.layer.#.attention.k_proj.*", "blocks.#.attn.qkv.*", Rows(1, 3)),
        Rule("encoder.layer.#.attention.v_proj.*", "blocks.#.attn.qkv.*", Rows(2, 3)),
        Rule("encoder.layer.#.attention.o_proj.*", "blocks.#.attn.proj.*", Same),
        Rule("encoder.layer.#.layer_scale1.lambda1", "blocks.#.ls1.gamma", Same),
        Rule("encoder.layer.#.layer_scale2.lambda1", "blocks.#.ls2.gamma", Same),
        Rule("encoder.layer.#.intermediate.dense.*", "blocks.#.mlp.fc1.*", Same),
        Rule("encoder.layer.#.output.dense.*", "blocks.#.mlp.fc2.*", Same),
        Rule("encoder.layer.#.mlp.weights_in.*", "blocks.#.mlp.w12.*", Same),
        Rule("encoder.layer.#.mlp.weights_out.*", "blocks.#.mlp.w3.*", Same),
        Rule("encoder.layer.#.mlp.gate_proj.*", "blocks.#.mlp.w12.*", Rows(0, 2)),
        Rule("encoder.layer.#.mlp.up_proj.*", "blocks.#.mlp.w12.*", Rows(1, 2)),
        Rule("encoder.layer.#.mlp.down_proj.*", "blocks.#.mlp.w3.*", Same),
        Rule("encoder.layer.#.mlp.*", "blocks.#.mlp.*", Same),
        Rule("layernorm.*", "norm.*", Same),
    ],
};

/// DINOv2 with registers in timm: the class token's position is already added to it, so that what is added here is nothing.
const TIMM_REGISTERS: Spelling = Spelling {
    publisher: "timm",
    mark: "reg_token",
    rules: &[Rule("reg_token", "register_tokens", Same), Rule("pos_embed", "pos_embed", AfterZeros)],
};

/// DINOv2 as it is trained: blocks in chunks, numbered throughout.
const CHUNKED: Spelling = Spelling {
    publisher: "DINOv2's training",
    mark: "blocks.#.#.norm1.weight",
    rules: &[Rule("blocks.#.#.*", "blocks.#.*", Same)],
};
