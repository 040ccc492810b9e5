"""PyTorch as a resident peer of the report: a line of JSON is a question, a line of JSON the answer.

It needs torch with CUDA and nothing else: no torchvision, no numpy. LUPE_PEER_CPU=1 lets it run on the processor, to try it.
"""

import json
import os
import sys
import time


def say(answer):
    print(json.dumps(answer), flush=True)


try:
    import torch
    from torch import nn
    from torch.nn import functional
except Exception as error:  # whatever keeps torch from being imported, the report goes on without it
    say({"missing": f"python3 has no torch: {error}"})
    sys.exit()

CPU = os.environ.get("LUPE_PEER_CPU") == "1"
if not CPU and not torch.cuda.is_available():
    say({"missing": f"torch {torch.__version__} finds no CUDA device"})
    sys.exit()
DEVICE = torch.device("cpu" if CPU else "cuda")
WARM = 3


class Block(nn.Module):
    """A residual block; batch norms are folded into the convolutions."""

    def __init__(self, net, ci, planes, stride):
        super().__init__()
        self.bottleneck = net["bottleneck"]
        if self.bottleneck:
            inner, co = net["width"] * planes, 4 * planes
            first, middle = (stride, 1) if net["stride_first"] else (1, stride)
            self.conv1 = nn.Conv2d(ci, inner, 1, first)
            self.conv2 = nn.Conv2d(inner, inner, 3, middle, 1)
            self.conv3 = nn.Conv2d(inner, co, 1)
        else:
            co = planes
            self.conv1 = nn.Conv2d(ci, planes, 3, stride, 1)
            self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1)
        self.downsample = nn.Sequential(nn.Conv2d(ci, co, 1, stride)) if stride != 1 or ci != co else nn.Identity()
        self.channels = co

    def forward(self, x):
        y = self.conv2(functional.relu(self.conv1(x), inplace=True))
        if self.bottleneck:
            y = self.conv3(functional.relu(y, inplace=True))
        return functional.relu(y + self.downsample(x), inplace=True)


class ResNet(nn.Module):
    """As Lupe builds it: src/models/resnet.rs."""

    def __init__(self, net):
        super().__init__()
        self.pool_pad = net["pool_pad"]
        self.conv1 = nn.Conv2d(3, net["stem"], 7, 2, 3)
        ci = net["stem"]
        for stage, depth in enumerate(net["depths"]):
            blocks = []
            for block in range(depth):
                blocks.append(Block(net, ci, net["planes"] << stage, 2 if block == 0 and stage > 0 else 1))
                ci = blocks[-1].channels
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(ci, 1000)

    def forward(self, x):
        x = functional.relu(self.conv1(x), inplace=True)
        if self.pool_pad == [1, 1, 1, 1]:
            x = functional.max_pool2d(x, 3, 2, 1)
        else:
            x = functional.max_pool2d(functional.pad(x, self.pool_pad, value=float("-inf")), 3, 2)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def floats(path):
    with open(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.float32)


def safetensors(path):
    """Tensors by name of a file that holds f32 only."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = torch.frombuffer(data, dtype=torch.float32, count=(end - begin) // 4, offset=8 + length + begin)
        found[name] = values.reshape(entry["shape"])
    return found


def network(question, half, layout):
    """A function of the input, and the input on the host."""
    model = ResNet(question["net"])
    model.load_state_dict(safetensors(question["weights"]))
    size = question["size"]
    x = floats(question["files"][0]).reshape(1, size, size, 3).permute(0, 3, 1, 2)
    x = x.repeat(question["batch"], 1, 1, 1)
    order = torch.channels_last if layout == "nhwc" else torch.contiguous_format
    kind = torch.float16 if half else torch.float32
    model = model.eval().to(device=DEVICE, dtype=kind, memory_format=order)
    return model, [x.to(kind).contiguous(memory_format=order)]


def matmul(question, half, _):
    n = question["n"]
    kind = torch.float16 if half else torch.float32
    return torch.matmul, [floats(path).reshape(n, n).to(kind) for path in question["files"]]


def knn(question, half, _):
    """Products, then the nearest k: squared distances, as Lupe gives them."""
    q, m, d, k = question["sizes"]
    kind = torch.float16 if half else torch.float32
    queries, bank = (floats(path).reshape(n, d).to(kind) for path, n in zip(question["files"], (q, m)))
    bank = bank.to(DEVICE)
    squares = (bank.float() ** 2).sum(1)

    def nearest(x):
        distance = squares - 2 * (x @ bank.T).float()
        found = torch.topk(distance, k, largest=False)
        own = (x.float() ** 2).sum(1, keepdim=True)
        return torch.stack([found.values + own, found.indices.float()], -1)

    return nearest, [queries]


TASKS = {f.__name__: f for f in (network, matmul, knn)}


def graph_of(run, given):
    """A captured graph that computes `run` on `given` where it lies, and its output."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM):
            run(*given)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = run(*given)
    return graph.replay, output


def synchronize():
    if not CPU:
        torch.cuda.synchronize()


def device_ms(once):
    if CPU:
        start = time.perf_counter()
        once()
        return (time.perf_counter() - start) * 1e3
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    once()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def apart(question, output):
    """Largest difference from Lupe's values, of the largest value; of neighbours the distances alone, since ties may be named otherwise."""
    want = floats(question["want"]).reshape(output.shape)
    got = output.float().cpu()
    if question["task"] == "knn":
        want, got = want[..., 0], got[..., 0]
    return ((got - want).abs().max() / want.abs().max()).item()


def answer(question):
    precision, way, layout = question["mode"]
    tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    if CPU and way == "graph":
        raise RuntimeError("there are no CUDA graphs on a processor")
    run, host = TASKS[question["task"]](question, precision == "f16", layout)
    host = [t if CPU else t.pin_memory() for t in host]
    given = [t.to(DEVICE) for t in host]
    if way == "graph":
        once, output = graph_of(run, given)
        result = lambda: output
    else:
        kept = []

        def once():
            kept[:] = [run(*given)]

        result = lambda: kept[0]
    for _ in range(WARM):
        once()
    synchronize()
    device, whole = [], []
    for _ in range(question["runs"]):
        device.append(device_ms(once))
        start = time.perf_counter()
        for there, here in zip(given, host):
            there.copy_(here, non_blocking=True)
        once()
        result().cpu()
        whole.append((time.perf_counter() - start) * 1e3)
    return {"device_ms": median(device), "host_ms": median(whole), "apart": apart(question, result())}


def main():
    name = "a processor" if CPU else torch.cuda.get_device_name()
    say({"torch": torch.__version__, "device": name, "cuda": torch.version.cuda})
    for line in sys.stdin:
        try:
            with torch.inference_mode():
                say(answer(json.loads(line)))
        except Exception as error:  # one mode that fails is told and leaves the others as they are
            say({"error": f"{type(error).__name__}: {error}"[:300]})
        if not CPU:
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
