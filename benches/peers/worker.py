"""A peer in Python as a resident worker: `worker.py SYSTEM FOLDER TASK OUT`. The first result goes to OUT as raw f32,
then READY; a line `run K` is answered with LAT and K times in ms. Host memory in and out, two threads, f32."""

import json
import sys
import time
from pathlib import Path

THREADS = 2


def network(folder, task):
    """Facts of a network and its input in the peers' order."""
    import numpy as np

    facts = json.loads((folder / f"{task}.json").read_text())
    x = np.fromfile(folder / f"{task}.f32", "<f4").reshape(facts["input"])
    return facts, np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def ort(folder, task):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    _, x = network(folder, task)
    session = onnxruntime.InferenceSession(str(folder / f"{task}.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def openvino(folder, task):
    import numpy as np
    import openvino

    facts, x = network(folder, task)
    given = {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(folder / f"{task}.onnx"), "CPU", given)
    request = compiled.create_infer_request()

    def run():
        request.infer([x])
        return [np.array(request.get_output_tensor(i).data) for i in range(len(facts["names"]))]

    return run


def ncnn(folder, task, vulkan=False):
    import ncnn
    import numpy as np

    facts, x = network(folder, task)
    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = THREADS, vulkan
    for flag in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, flag, False)
    if vulkan:
        if ncnn.get_gpu_count() == 0:
            raise SystemExit("ncnn finds no Vulkan device")
        net.set_vulkan_device(0)
    if net.load_param(str(folder / f"{task}.param")) or net.load_model(str(folder / f"{task}.bin")):
        raise SystemExit("ncnn does not read its model")

    def one(picture):  # ncnn's layers know no batch
        extractor = net.create_extractor()
        extractor.input("x", ncnn.Mat(picture))
        found = [extractor.extract(name) for name in facts["ncnn"]]
        if any(code for code, _ in found):
            raise SystemExit("ncnn does not run its model")
        return [np.array(value) for _, value in found]

    return lambda: [np.stack(values) for values in zip(*(one(picture) for picture in x))]


def ncnn_vulkan(folder, task):
    return ncnn(folder, task, vulkan=True)


def wonnx(folder, task):
    import numpy as np
    import wonnx

    facts, x = network(folder, task)
    session = wonnx.Session.from_path(str(folder / f"{task}.onnx"))
    values = x.flatten().tolist()  # it takes lists only

    def run():
        found = session.run({"x": values})
        return [np.array(found[name], "<f4") for name in facts["names"]]

    return run


def knn_task(folder, task):
    """Queries, bank and k of `knn_ROWSk_topK`, thousands of rows."""
    import numpy as np

    rows, k = task.removeprefix("knn_").split("k_top")
    queries = np.fromfile(folder / "knn_queries.f32", "<f4").reshape(-1, 1536)
    bank = np.fromfile(folder / "knn_bank.f32", "<f4", int(rows) * 1000 * 1536).reshape(-1, 1536)
    return queries, bank, int(k)


def pairs(distances, indices):
    """As Lupe gives neighbours: distance and index."""
    import numpy as np

    return [np.stack([distances, indices.astype("<f4")], -1)]


def faiss(folder, task):
    import faiss

    faiss.omp_set_num_threads(THREADS)
    scoring = task.startswith("patchcore")
    queries, bank, k = scoring_task(folder, task) if scoring else knn_task(folder, task)
    index = faiss.IndexFlatL2(queries.shape[1])
    index.add(bank)
    print("faiss:", faiss.get_compile_options().strip(), file=sys.stderr)
    if scoring:
        score = scores_of_places(len(queries))
        return lambda: score(index.search(queries, k)[0][:, 0])
    return lambda: pairs(*index.search(queries, k))


def scoring_task(folder, task):
    """Patch vectors of a picture of 32x32 places, bank and k of `patchcore_VALUES`: values of the knn_ tasks in such rows."""
    import numpy as np

    width = int(task.removeprefix("patchcore_"))
    rows = lambda name, n: np.fromfile(folder / f"{name}.f32", "<f4", n * width).reshape(n, width)
    return rows("knn_queries", 1024), rows("knn_bank", 10_000), 1


def scores_of_places(places, size=256, sigma=4):
    """From the distances of places to the picture's score, them, and the anomaly map, as PatchCore's authors have it: the
    largest; bilinear between the centres of places (a product with weights from both sides), then scipy's Gaussian filter."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    side = int(places**0.5)
    at = np.clip((np.arange(size) + 0.5) * side / size - 0.5, 0, side - 1)
    between = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(side))).astype("<f4")

    def score(distances):
        map = between @ distances.reshape(side, side) @ between.T
        return [distances.max(keepdims=True), distances, gaussian_filter(map, sigma)]

    return score


def numpy_knn(folder, task):
    import numpy as np

    queries, bank, k = knn_task(folder, task)
    squares = np.einsum("ij,ij->i", bank, bank)
    own = np.einsum("ij,ij->i", queries, queries)[:, None]
    every = np.arange(len(queries))[:, None]

    def run():
        distance = queries @ bank.T
        distance *= -2
        distance += squares
        if k == 1:
            found = distance.argmin(1)[:, None]
        else:
            found = np.argpartition(distance, k, 1)[:, :k]
            found = np.take_along_axis(found, np.take_along_axis(distance, found, 1).argsort(1), 1)
        return pairs(distance[every, found] + own, found)

    return run


def numpy_coreset(folder, _):
    """Greedy k-centre, one pick a pass over all rows; a time is that of one pick. The first row is Lupe's first."""
    import numpy as np

    rows = np.fromfile(folder / "coreset.f32", "<f4").reshape(-1, 128)
    squares, first = np.einsum("ij,ij->i", rows, rows), json.loads((folder / "coreset.json").read_text())["first"]

    def run(count=60):
        nearest, picks = np.full(len(rows), np.inf, np.float32), [first]
        for _ in range(count):
            at = picks[-1]
            distance = rows @ rows[at]
            distance *= -2
            distance += squares
            distance += squares[at]
            np.minimum(nearest, distance, out=nearest)
            picks.append(int(nearest.argmax()))
        return [np.array(picks, "<f4")]

    run.repeats = 60
    return run


def numpy(folder, task):
    return numpy_coreset(folder, task) if task == "coreset" else numpy_knn(folder, task)


def torch(folder, task):
    import training

    return training.task(folder, task, THREADS)


SYSTEMS = {f.__name__: f for f in (ort, openvino, ncnn, ncnn_vulkan, wonnx, faiss, numpy, torch)}


def main():
    system, folder, task, out = sys.argv[1:]
    run = SYSTEMS[system](Path(folder), task)
    with open(out, "wb") as file:
        for value in getattr(run, "first", run)():
            file.write(value.astype("<f4").tobytes())
    print("READY", flush=True)
    for line in sys.stdin:
        words = line.split()
        if not words or words[0] != "run":
            break
        times = []
        for _ in range(int(words[1])):
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1e3 / getattr(run, "repeats", 1))
        print("LAT", *(f"{t:.4f}" for t in times), flush=True)


if __name__ == "__main__":
    main()
