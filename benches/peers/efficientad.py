"""EfficientAD's three networks for networks.py: their layers, and what ONNX and ncnn have for the kinds that only they use."""

import transformers
from setup import TRAINING

HALVES = "first", "second"  # of the student's outputs: what the teacher says, what the autoencoder says
DECODED = 3, 8, 15, 32, 63, 127, 56  # sides that the decoder resizes to, each before a layer
TRAINED = "efficientad_s_b1"  # the network whose weights a training begins with


def trunk(c, at=""):
    """PDN-S without padding, up to what its last layer reads, from the picture into the Chain `c`."""
    c.conv(f"{at}conv1", 4, pad=0, act="relu", x="x")
    c.put("mean", f"{at}pool1", k=2, stride=2)
    c.conv(f"{at}conv2", 4, pad=0, act="relu")
    c.put("mean", f"{at}pool2", k=2, stride=2)
    return c.conv(f"{at}conv3", 3, pad=0, act="relu")


def autoencoder(c, at="ae."):
    c.conv(f"{at}enconv1", 4, 2, 1, act="relu", x="x")
    for i in range(2, 6):
        c.conv(f"{at}enconv{i}", 4, 2, 1, act="relu")
    c.conv(f"{at}enconv6", 8, pad=0)
    for i, side in enumerate(DECODED, 1):
        c.put("resize", f"{at}resized{i}", k=side)
        k, pad = (3, 1) if i == len(DECODED) else (4, 2)
        c.conv(f"{at}deconv{i}", k, pad=pad, act="relu")
    return c.conv(f"{at}deconv8", 3)


def maps(c):
    """From a picture to the mean squared differences of teacher and student, and of autoencoder and student."""
    trunk(c, "teacher.")
    taught = c.conv("teacher.conv4", 4, pad=0)
    inner = trunk(c, "student.")
    first, second = (c.conv(f"student.conv4.{half}", 4, pad=0, x=inner) for half in HALVES)
    ends = []
    for name, one, other in (("student", taught, first), ("ae", autoencoder(c), second)):
        c.put("less", f"{name}.apart", [one, other])
        c.put("square", f"{name}.square")
        ends.append(c.put("channels", f"{name}.map"))
    return c.layers, ends


def prepared(weights):
    """Weights with a layer for each half of the student's outputs, as Lupe's plan has them."""
    weights, last = dict(weights), "student.conv4"
    for part in [p for p in ("weight", "bias") if f"{last}.{p}" in weights]:
        whole = weights.pop(f"{last}.{part}")
        for i, half in enumerate(HALVES):
            rows = len(whole) // 2
            weights[f"{last}.{half}.{part}"] = whole[i * rows : (i + 1) * rows]
    return weights


class Onnx(transformers.Onnx):
    """Nodes of one layer, and the tensors that they read."""

    def resize(self, y, x):
        channels = self.weights["ae.deconv1.weight"].shape[1]  # the same between all layers of the decoder
        sizes = self.whole(f"{y}.sizes", [1, channels, self.layer.k, self.layer.k])
        self.node("Resize", [x, "", "", sizes], y, mode="linear", coordinate_transformation_mode="half_pixel")

    def less(self, y, *x):
        self.node("Sub", x, y)

    def square(self, y, x):
        self.node("Mul", [x, x], y)

    def channels(self, y, x):
        self.node("ReduceMean", [x], y, axes=[1], keepdims=0)


KINDS = "resize", "less", "square", "channels"


def ncnn_line(layer, _):
    """ncnn's type and parameters of one layer; nothing else of it is stored."""
    return {
        "resize": ("Interp", f"0=2 3={layer.k} 4={layer.k}"),
        "less": ("BinaryOp", "0=1"),
        "square": ("UnaryOp", "0=4"),
        "channels": ("Reduction", "0=3 1=0 5=1 -23303=1,0"),
    }[layer.kind]


def ncnn_weights(*_):
    return b""


def training_flops(by_layer):
    """Of a step's losses and of a whole step, from those of a picture's maps: two pictures, of which each needs one half of the student's
    outputs and one the autoencoder. A gradient by the weights takes as much as a layer, one by what it reads as well; nothing is asked
    for of the teacher, nor by the pictures."""
    forward = step = 0
    for name, flops in by_layer.items():
        once = name.startswith(("ae.", "student.conv4."))
        all_of_it = flops if once else 2 * flops
        back = 0 if name.startswith("teacher.") else 1 if name in ("student.conv1", "ae.enconv1") else 2
        forward += all_of_it
        step += all_of_it * (1 + back)
    return forward, step
