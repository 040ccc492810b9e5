"""The networks of networks.rs, layer by layer, with Lupe's exported weights: as ONNX models and as ncnn's files."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

import efficientad
import transformers
from stored import read_safetensors

OWN = transformers, efficientad  # modules with kinds of layers of their own

# Repeats, kernel, stride of the first, expansion and channels of EfficientNet-Lite0's stages.
LITE0 = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192)]
LITE0 += [(1, 3, 1, 6, 320)]


@dataclass
class Layer:
    """One layer; `y` is the name of its value, and of its weights where it has some."""

    kind: str  # conv, max, mean, global, add, dense, and the KINDS of OWN
    y: str
    x: list
    k: int = 0  # of the kernel, or of what is resized, the side
    stride: int = 1
    pad: int = 0
    more: int = 0  # padding below and on the right beyond `pad`
    groups: int = 1
    act: str = ""  # relu, relu6, gelu
    heads: int = 0


class Chain:
    """Layers being written down."""

    def __init__(self):
        self.layers, self.last = [], "x"

    def put(self, kind, y, x=None, **more):
        x = [self.last] if x is None else x
        self.layers.append(Layer(kind, y, x, **more))
        self.last = y
        return y

    def conv(self, y, k, stride=1, pad=None, act="", x=None):
        return self.put("conv", y, x and [x], k=k, stride=stride, pad=k // 2 if pad is None else pad, act=act)

    def same(self, y, k=1, stride=1, groups=1, act=""):
        """A convolution with TensorFlow's SAME padding, of a map whose edges the stride divides."""
        pad, more = divmod(k - stride, 2)
        return self.put("conv", y, k=k, stride=stride, pad=pad, more=more, groups=groups, act=act)


def resnet(depths, bottleneck, stages=4):
    """ResNet with the stride in the 3x3 convolution, up to so many of its stages."""
    c = Chain()
    c.conv("conv1", 7, 2, act="relu")
    c.put("max", "pool", k=3, stride=2, pad=1)
    for stage in range(1, stages + 1):
        for block in range(depths[stage - 1]):
            before, at = c.last, f"layer{stage}.{block}"
            stride = 2 if block == 0 and stage > 1 else 1
            if bottleneck:
                c.conv(f"{at}.conv1", 1, act="relu")
                c.conv(f"{at}.conv2", 3, stride, act="relu")
                end = c.conv(f"{at}.conv3", 1)
            else:
                c.conv(f"{at}.conv1", 3, stride, act="relu")
                end = c.conv(f"{at}.conv2", 3)
            if stride == 2 or (bottleneck and block == 0):
                before = c.conv(f"{at}.downsample.0", 1, stride, x=before)
            c.put("add", f"{at}.out", [end, before], act="relu")
    return c


def whole(depths, bottleneck):
    c = resnet(depths, bottleneck)
    c.put("global", "feature")
    return c.layers, [c.put("dense", "fc")]


def efficientnet_lite0():
    c = Chain()
    c.same("_conv_stem", 3, 2, act="relu6")
    wide, block = 32, 0
    for repeats, k, first, expansion, out in LITE0:
        for stride in [first] + [1] * (repeats - 1):
            before, at, inner = c.last, f"_blocks.{block}", wide * expansion
            if expansion > 1:
                c.same(f"{at}._expand_conv", act="relu6")
            c.same(f"{at}._depthwise_conv", k, stride, inner, act="relu6")
            end = c.same(f"{at}._project_conv")
            if stride == 1 and wide == out:
                c.put("add", f"{at}.out", [end, before])
            wide, block = out, block + 1
    c.same("_conv_head", act="relu6")
    c.put("global", "pool")
    return c.layers, [c.put("dense", "_fc")]


def layers_2_and_3():
    c = resnet([3, 4, 6], True, stages=3)
    return c.layers, ["layer2.3.out", "layer3.5.out"]


def pdn_s():
    c = Chain()
    efficientad.trunk(c)
    return c.layers, [c.conv("conv4", 4, pad=0)]


def one_layer():
    c = Chain()
    return c.layers, [c.conv("conv", 3, act="relu")]


NETWORKS = {
    "resnet18_b1": lambda: whole([2, 2, 2, 2], False),
    "resnet18_b8": lambda: whole([2, 2, 2, 2], False),
    "resnet50_b4": lambda: whole([3, 4, 6, 3], True),
    "wide_resnet50_2": lambda: whole([3, 4, 6, 3], True),
    "wide_resnet50_2_layer3": layers_2_and_3,
    "efficientnet_lite0_b1": efficientnet_lite0,
    "efficientnet_lite0_b8": efficientnet_lite0,
    "vit_s16_b1": lambda: transformers.vit(Chain(), patch=16, heads=6, depth=12, take="first"),
    "vit_s14_448": lambda: transformers.vit(Chain(), patch=14, heads=6, depth=12, take="rest"),
    "pdn_s": pdn_s,
    efficientad.TRAINED: lambda: efficientad.maps(Chain()),
    "conv64": one_layer,
    "conv128": one_layer,
    "conv256": one_layer,
    "conv512": one_layer,
}


def nchw(shape):
    """A shape of Lupe's in the peers' order."""
    return [shape[0], shape[3], shape[1], shape[2]] if len(shape) == 4 else list(shape)


def owner(layer):
    """The module that knows the layer's kind; None for those that are known here."""
    return next((module for module in OWN if layer.kind in module.KINDS), None)


def onnx_node(layer):
    """The ONNX nodes of one layer, its activation included."""
    out = f"{layer.y}.linear" if layer.act else layer.y
    pads = [layer.pad] * 2 + [layer.pad + layer.more] * 2
    window = {"kernel_shape": [layer.k] * 2, "strides": [layer.stride] * 2, "pads": pads}
    weights = [f"{layer.y}.weight", f"{layer.y}.bias"]
    if layer.kind == "conv":
        nodes = [helper.make_node("Conv", layer.x + weights, [out], dilations=[1, 1], group=layer.groups, **window)]
    elif layer.kind == "max":
        nodes = [helper.make_node("MaxPool", layer.x, [out], **window)]
    elif layer.kind == "mean":
        nodes = [helper.make_node("AveragePool", layer.x, [out], **window)]
    elif layer.kind == "global":
        flat = helper.make_node("Flatten", [f"{out}.kept"], [out], axis=1)
        nodes = [helper.make_node("GlobalAveragePool", layer.x, [f"{out}.kept"]), flat]
    elif layer.kind == "add":
        nodes = [helper.make_node("Add", layer.x, [out])]
    else:
        nodes = [helper.make_node("Gemm", layer.x + weights, [out])]
    if layer.act:
        kind, bounds = {"relu": ("Relu", []), "relu6": ("Clip", ["zero", "six"])}[layer.act]
        nodes.append(helper.make_node(kind, [out, *bounds], [layer.y]))
    return nodes


def write_onnx(path, layers, outputs, weights, facts):
    """Opset 13, or 17 where there are layer norms, shapes inferred, the last layer's weight transposed: what the pickiest of the peers
    wants."""
    bounds = {"zero": 0, "six": 6} if any(layer.act == "relu6" for layer in layers) else {}
    stored = [numpy_helper.from_array(np.array(v, "<f4"), name) for name, v in bounds.items()]
    for layer in layers:
        if layer.kind in ("conv", "dense"):
            weight = weights[f"{layer.y}.weight"]
            weight = np.ascontiguousarray(weight.T) if layer.kind == "dense" else weight
            stored.append(numpy_helper.from_array(weight, f"{layer.y}.weight"))
            stored.append(numpy_helper.from_array(weights[f"{layer.y}.bias"], f"{layer.y}.bias"))
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, nchw(shape))
    ends = [value(name, shape) for name, shape in zip(outputs, facts["outputs"])]
    nodes = []
    for layer in layers:
        own = owner(layer) and owner(layer).Onnx(layer, weights)
        nodes += own.nodes if own else onnx_node(layer)
        stored += own.stored if own else []
    opset = 17 if any(layer.kind in transformers.KINDS for layer in layers) else 13
    graph = helper.make_graph(nodes, "network", [value("x", facts["input"])], ends, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    model = shape_inference.infer_shapes(model, strict_mode=True)
    onnx.save(model, path)
    return model


def ncnn_line(layer, weights):
    """ncnn's type and parameters of one layer (docs/developer-guide/operators.md of ncnn)."""
    if owner(layer):
        return owner(layer).ncnn_line(layer, weights)
    if layer.kind in ("conv", "dense"):
        weight = weights[f"{layer.y}.weight"]
        if layer.kind == "dense":
            return "InnerProduct", f"0={weight.shape[0]} 1=1 2={weight.size}"
        given = f"0={weight.shape[0]} 1={layer.k} 3={layer.stride} 4={layer.pad} 5=1 6={weight.size}"
        if layer.more:
            given += f" 15={layer.pad + layer.more} 16={layer.pad + layer.more}"  # on the right and below
        given += {"": "", "relu": " 9=1", "relu6": " 9=3 -23310=2,0.0,6.0"}[layer.act]
        return ("ConvolutionDepthWise", f"{given} 7={layer.groups}") if layer.groups > 1 else ("Convolution", given)
    if layer.kind == "global":
        return "Pooling", "0=1 4=1"
    if layer.kind == "add":
        return "BinaryOp", "0=0"
    kind = {"max": 0, "mean": 1}[layer.kind]
    return "Pooling", f"0={kind} 1={layer.k} 2={layer.stride} 3={layer.pad} 5=1"  # 5=1: partial windows are left out


def write_ncnn(path, layers, outputs, weights):
    """`path`.param and `path`.bin. A value that several layers read goes through a Split, as ncnn wants it."""
    readers = {}
    for layer in layers:
        for x in layer.x:
            readers[x] = readers.get(x, 0) + 1
    for name in outputs:
        readers[name] = readers.get(name, 0) + 1
    lines, blobs, copies = [], 0, {}

    def line(kind, name, x, y, given):
        nonlocal blobs
        blobs += len(y)
        lines.append(" ".join([kind, name, str(len(x)), str(len(y)), *x, *y, given]).strip())

    def made(name):
        if readers.get(name, 0) > 1:
            copies[name] = [f"{name}.copy{i}" for i in range(readers[name])]
            line("Split", f"{name}.split", [name], copies[name], "")
            copies[name] = copies[name][::-1]

    def take(name):
        return copies[name].pop() if name in copies else name

    line("Input", "x", [], ["x"], "")
    made("x")
    for layer in layers:
        kind, given = ncnn_line(layer, weights)
        apart = layer.act and layer.kind != "conv"
        out = f"{layer.y}.linear" if apart else layer.y
        line(kind, layer.y, [take(x) for x in layer.x], [out], given)
        if apart:
            kind, given = {"relu": ("ReLU", ""), "relu6": ("Clip", "0=0.0 1=6.0"), "gelu": ("GELU", "0=0")}[layer.act]
            line(kind, f"{layer.y}.{layer.act}", [out], [layer.y], given)
        made(layer.y)
    ends = [take(name) for name in outputs]
    Path(f"{path}.param").write_text(f"7767517\n{len(lines)} {blobs}\n" + "\n".join(lines) + "\n")
    with open(f"{path}.bin", "wb") as file:
        for layer in layers:
            if layer.kind in ("conv", "dense"):
                file.write(struct.pack("<I", 0))  # plain f32 follows
                file.write(weights[f"{layer.y}.weight"].tobytes())
                file.write(weights[f"{layer.y}.bias"].tobytes())
            if owner(layer):
                file.write(owner(layer).ncnn_weights(layer, weights))
    return ends


def flops(model):
    """Floating-point operations of convolutions and products, two for each multiply-add, by the weights or the output's name."""
    values = [*model.graph.value_info, *model.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    sizes = {w.name: list(w.dims) for w in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            weight = sizes[node.input[1]]
            products = int(np.prod(weight[1:])) if node.op_type == "Conv" else weight[0]
            found[node.input[1].removesuffix(".weight")] = 2 * int(np.prod(shapes[node.output[0]])) * products
        if node.op_type == "MatMul":
            name = node.output[0]
            found[name] = 2 * int(np.prod(shapes[name])) * shapes[node.input[0]][-1]
    return found


def convert(folder):
    """Every network in `folder`, for every peer; what was found out is added to its facts."""
    for name, describe in NETWORKS.items():
        path = Path(folder) / name
        facts = json.loads(path.with_suffix(".json").read_text())
        weights = read_safetensors(path.with_suffix(".safetensors"))
        weights = efficientad.prepared(transformers.prepared(weights))
        layers, outputs = describe()
        model = write_onnx(path.with_suffix(".onnx"), layers, outputs, weights, facts)
        ends, by_layer = write_ncnn(path, layers, outputs, weights), flops(model)
        facts.update(flops=sum(by_layer.values()), names=outputs, ncnn=ends)
        path.with_suffix(".json").write_text(json.dumps(facts))
        if name == efficientad.TRAINED:
            for task, count in zip(efficientad.TRAINING, efficientad.training_flops(by_layer)):
                (Path(folder) / f"{task}.json").write_text(json.dumps({"flops": count}))
