"""EfficientAD's training in PyTorch for worker.py, with the arithmetic of Lupe's (src/methods/efficientad/step.rs): the teacher and the
student's first layers see both pictures at once, of the student's last layer only the half that is needed is computed. No dropout. What
is at least the quantile is taken by topk, which gives the same: 13 ms of one processor where torch.quantile, which sorts all, takes 170."""

import math

import numpy as np
import torch
from torch.nn import functional

from stored import read_safetensors

WEIGHTS, PICTURES = "efficientad_s_b1", "efficientad_s_pictures"
HARD = 0.999  # the share of the squared differences that the hard loss leaves out
DECODED = 3, 8, 15, 32, 63, 127, 56  # sides that the decoder resizes to
CHANGED = "student.conv1.weight", "ae.enconv1.weight"  # as training.rs has them


def conv(x, w, name, stride=1, pad=0):
    return functional.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, pad)


def relu(x):
    return functional.relu(x, inplace=True)


def trunk(x, w, at):
    x = functional.avg_pool2d(relu(conv(x, w, f"{at}.conv1")), 2)
    x = functional.avg_pool2d(relu(conv(x, w, f"{at}.conv2")), 2)
    return relu(conv(x, w, f"{at}.conv3"))


def halves(x, w, name):
    """What the first half of a layer's outputs says of the first picture, and the second of the second."""
    parts = zip(x.split(1), w[f"{name}.weight"].chunk(2), w[f"{name}.bias"].chunk(2))
    return [functional.conv2d(*part) for part in parts]


def autoencoder(x, w):
    for i in range(1, 6):
        x = relu(conv(x, w, f"ae.enconv{i}", 2, 1))
    x = conv(x, w, "ae.enconv6")
    for i, side in enumerate(DECODED, 1):
        x = functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
        x = relu(conv(x, w, f"ae.deconv{i}", 1, 1 if i == len(DECODED) else 2))
    return conv(x, w, "ae.deconv8", 1, 1)


def losses(pictures, w):
    """Of a good picture and of the same changed: teacher against student where they differ most, teacher against autoencoder, autoencoder
    against student."""
    with torch.no_grad():
        plain, changed = conv(trunk(pictures, w, "teacher"), w, "teacher.conv4").split(1)
    said, of_whole = halves(trunk(pictures, w, "student"), w, "student.conv4")
    whole = autoencoder(pictures[1:], w)
    apart = ((plain - said) ** 2).flatten()
    count = apart.numel() - math.ceil(HARD * (apart.numel() - 1))
    return [apart.topk(count).values.mean(), ((changed - whole) ** 2).mean(), ((whole - of_whole) ** 2).mean()]


def task(folder, name, threads):
    """A function that gives the losses; where weights learn, its `first` gives what the first step changed of some, too. Values lie
    channels last: a forward pass takes 1.3 s of processor time so and 1.9 otherwise, a step the same."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    x = np.fromfile(folder / f"{PICTURES}.f32", "<f4").reshape(2, 256, 256, 3)
    x, last = torch.from_numpy(x).permute(0, 3, 1, 2), torch.channels_last
    w = {n: torch.from_numpy(v.copy()) for n, v in read_safetensors(folder / f"{WEIGHTS}.safetensors").items()}
    w = {n: v.contiguous(memory_format=last) if v.dim() == 4 else v for n, v in w.items()}
    values = lambda found: [torch.stack(found).detach().numpy()]

    def forward():
        with torch.no_grad():
            return values(losses(x, w))

    if name.endswith("forward"):
        return forward
    learned = [v.requires_grad_() for n, v in w.items() if not n.startswith("teacher.")]
    adam = torch.optim.Adam(learned, lr=1e-4, weight_decay=1e-5)

    def step():
        adam.zero_grad(set_to_none=True)
        found = losses(x, w)
        sum(found).backward()
        adam.step()
        return values(found)

    def first():
        before = [w[n].detach().clone() for n in CHANGED]
        return step() + [(w[n].detach() - b).numpy() for n, b in zip(CHANGED, before)]

    step.first = first
    return step
