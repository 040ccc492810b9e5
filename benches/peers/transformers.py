"""Vision transformers for networks.py: their layers one by one, and what ONNX and ncnn have for the kinds that only they use."""

import struct

import numpy as np
from onnx import helper, numpy_helper

EPS = 1e-6


def vit(c, patch, heads, depth, take):
    """Layers into the Chain `c`, with the norm before each half of a block; `take` what is looked at in the end: first, the class token,
    or rest, the patches. Names are those of Lupe's weights."""
    c.conv("patch_embed.proj", patch, patch, pad=0)
    c.put("flat", "patch_embed.flat")
    patches = c.put("turned", "patch_embed.tokens")
    c.put("concat", "tokens", [c.put("constant", "cls_token", []), patches])
    x = c.put("add", "embedded", ["tokens", c.put("constant", "pos_embed", [])])
    for block in range(depth):
        at = f"blocks.{block}"
        c.put("norm", f"{at}.norm1", [x])
        x = c.put("add", f"{at}.middle", [c.put("attention", f"{at}.attn", heads=heads), x])
        c.put("norm", f"{at}.norm2", [x])
        c.put("linear", f"{at}.mlp.fc1", act="gelu")
        x = c.put("add", f"{at}.out", [c.put("linear", f"{at}.mlp.fc2"), x])
    c.put(take, "taken")
    return c.layers, [c.put("norm", "norm")]


def prepared(weights):
    """Weights as Lupe's plan has them at a run: LayerScale multiplied into the layer before it, positions at the picture's grid."""
    if "pos_embed" not in weights:
        return weights
    weights = dict(weights)
    for name in [n for n in weights if n.endswith(".gamma")]:
        layer, gamma = name.replace("ls1.gamma", "attn.proj").replace("ls2.gamma", "mlp.fc2"), weights.pop(name)
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"] * gamma[:, None]
        weights[f"{layer}.bias"] = weights[f"{layer}.bias"] * gamma
    first, places = np.split(weights["pos_embed"], [1], 1)
    for matrix in [weights[n] for n in weights if n.startswith("positions.")]:  # one at most, as the pictures are square
        side, d = matrix.shape[1], places.shape[-1]
        down = np.tensordot(matrix.astype("f8"), places.reshape(side, side, d), 1)
        places = np.einsum("bj,ajd->abd", matrix, down).reshape(1, -1, d).astype("f4")
    weights["pos_embed"] = np.concatenate([first, places], 1)
    return weights


class Onnx:
    """Nodes of one layer, and the tensors that they read. Tokens are [1, tokens, values], as PyTorch exports them."""

    def __init__(self, layer, weights):
        self.layer, self.weights, self.nodes, self.stored = layer, weights, [], []
        getattr(self, layer.kind)(layer.y, *layer.x)

    def node(self, op, x, y, **given):
        self.nodes.append(helper.make_node(op, x, [y], **given))
        return y

    def keep(self, name, value):
        self.stored.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def number(self, name, value):
        return self.keep(name, np.array(value, "f4"))

    def whole(self, name, value):
        return self.keep(name, np.array(value, "i8"))

    def product(self, name, x, y):
        """The layer `name`: `y` of `x`."""
        given = [self.keep(f"{name}.weight", self.weights[f"{name}.weight"].T)]
        bias = self.keep(f"{name}.bias", self.weights[f"{name}.bias"])
        return self.node("Add", [self.node("MatMul", [x, *given], f"{y}.product"), bias], y)

    def flat(self, y, x):
        shape = self.whole(f"{y}.shape", [1, self.weights["pos_embed"].shape[-1], -1])
        self.node("Reshape", [x, shape], y)

    def turned(self, y, x):
        self.node("Transpose", [x], y, perm=[0, 2, 1])

    def constant(self, y):
        self.keep(y, self.weights[y])

    def concat(self, y, *x):
        self.node("Concat", x, y, axis=1)

    def norm(self, y, x):
        given = [self.keep(f"{y}.{part}", self.weights[f"{y}.{part}"]) for part in ("weight", "bias")]
        self.node("LayerNormalization", [x, *given], y, axis=-1, epsilon=EPS)

    def linear(self, y, x):
        if not self.layer.act:
            self.product(y, x, y)
            return
        x = self.product(y, x, f"{y}.linear")
        erf = self.node("Erf", [self.node("Div", [x, self.number(f"{y}.root", 2**0.5)], f"{y}.scaled")], f"{y}.erf")
        part = self.node("Add", [erf, self.number(f"{y}.one", 1)], f"{y}.part")
        doubled = self.node("Mul", [x, part], f"{y}.doubled")
        self.node("Mul", [doubled, self.number(f"{y}.half", 0.5)], y)

    def attention(self, y, x):
        heads, d = self.layer.heads, self.weights["pos_embed"].shape[-1]
        x = self.product(f"{y}.qkv", x, f"{y}.qkv")
        shape = self.whole(f"{y}.split", [1, -1, 3, heads, d // heads])
        x = self.node("Transpose", [self.node("Reshape", [x, shape], f"{y}.parts")], f"{y}.all", perm=[2, 0, 3, 1, 4])
        part = lambda i: self.node("Gather", [x, self.whole(f"{y}.index{i}", i)], f"{y}.part{i}", axis=0)
        scale = self.number(f"{y}.scale", (d // heads) ** -0.5)
        q, k, v = self.node("Mul", [part(0), scale], f"{y}.q"), part(1), part(2)
        k = self.node("Transpose", [k], f"{y}.k", perm=[0, 1, 3, 2])
        shares = self.node("Softmax", [self.node("MatMul", [q, k], f"{y}.logits")], f"{y}.shares", axis=-1)
        x = self.node("Transpose", [self.node("MatMul", [shares, v], f"{y}.each")], f"{y}.turned", perm=[0, 2, 1, 3])
        x = self.node("Reshape", [x, self.whole(f"{y}.shape", [1, -1, d])], f"{y}.together")
        self.product(f"{y}.proj", x, y)

    def first(self, y, x):
        self.node("Gather", [x, self.whole(f"{y}.index", 0)], y, axis=1)

    def rest(self, y, x):
        bounds = [self.whole(f"{y}.{end}", [value]) for end, value in (("from", 1), ("to", 2**31 - 1), ("axis", 1))]
        self.node("Slice", [x, *bounds], y)


KINDS = ("flat", "turned", "constant", "concat", "norm", "linear", "attention", "first", "rest")


def ncnn_line(layer, weights):
    """ncnn's type and parameters of one layer. Tokens are [tokens, values]; ncnn names axes from the outermost. A product is a Gemm, which
    on two axes takes a quarter of the time of an InnerProduct (3.1 and 12.2 ms of 197x384 by 384x1536 on a processor)."""
    d = weights["pos_embed"].shape[-1]
    if layer.kind == "constant":
        return "MemoryData", f"0={d} 1={weights[layer.y].shape[1]}"
    if layer.kind == "linear":
        n, k = weights[f"{layer.y}.weight"].shape
        return "Gemm", f"3=1 5=1 6=1 8={n} 9={k} 10=4"  # the weight transposed, a bias for each of n
    return {
        "flat": ("Reshape", f"0=-1 1={d}"),
        "turned": ("Permute", "0=1"),
        "concat": ("Concat", "0=0"),
        "norm": ("LayerNorm", f"0={d} 1={EPS:e} 2=1"),
        "attention": ("MultiHeadAttention", f"0={d} 1={layer.heads} 2={d * d}"),
        "first": ("Crop", "-23309=1,0 -23310=1,1 -23311=1,0"),
        "rest": ("Crop", "-23309=1,1 -23310=1,2147483647 -23311=1,0"),
    }[layer.kind]


def ncnn_weights(layer, weights):
    """The bytes that ncnn reads for one layer."""
    plain, flagged = lambda a: a.tobytes(), lambda a: struct.pack("<I", 0) + a.tobytes()  # 0: f32 follows
    y = layer.y
    if layer.kind == "constant":
        return plain(weights[y])
    if layer.kind == "norm":
        return plain(weights[f"{y}.weight"]) + plain(weights[f"{y}.bias"])
    if layer.kind == "linear":
        return flagged(weights[f"{y}.weight"]) + flagged(weights[f"{y}.bias"])
    if layer.kind == "attention":
        parts = zip(np.split(weights[f"{y}.qkv.weight"], 3), np.split(weights[f"{y}.qkv.bias"], 3))
        parts = [*parts, (weights[f"{y}.proj.weight"], weights[f"{y}.proj.bias"])]
        return b"".join(flagged(weight) + plain(bias) for weight, bias in parts)
    return b""
