"""The loops that `benches/patchcore.rs` is held against, in plain numpy: `python3 benches/numpy_loop.py`. Wall clock, medians."""

import statistics
import time

import numpy as np


def coreset(n, d, picks):
    """Greedy k-centre: one matrix-vector product, a minimum and an arg-max a pick."""
    x = np.random.default_rng(0).random((n, d), dtype=np.float32)
    squares = np.einsum("ij,ij->i", x, x)
    anchor, at, times = np.full(n, np.inf, np.float32), 0, []
    for _ in range(picks):
        start = time.perf_counter()
        distance = squares - 2 * (x @ x[at]) + squares[at]
        np.minimum(anchor, distance, out=anchor)
        at = int(anchor.argmax())
        times.append(time.perf_counter() - start)
    print(f"coreset {n} x {d}, {picks} picks: {sum(times):.1f} s, median {statistics.median(times) * 1e3:.2f} ms a pick")


def knn(q, m, d, k):
    """All distances by one matrix product, then the k smallest of each row."""
    rng = np.random.default_rng(0)
    bank, queries, times = rng.random((m, d), dtype=np.float32), rng.random((q, d), dtype=np.float32), []
    half = np.einsum("ij,ij->i", bank, bank)
    for _ in range(7):
        start = time.perf_counter()
        distance = half[None] - 2 * (queries @ bank.T)
        if k == 1:
            distance.argmin(1)
        else:
            np.argpartition(distance, k, 1)[:, :k]
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    print(f"knn {q} x {m} x {d}, top {k}: median {median * 1e3:.1f} ms, {2e-9 * q * m * d / median:.1f} GFLOP/s")


if __name__ == "__main__":
    print("numpy", np.__version__)
    coreset(21_952, 128, 2000)
    coreset(160_000, 128, 500)
    coreset(300_000, 128, 1000)
    knn(784, 2195, 1024, 1)
    knn(784, 10_000, 1536, 1)
    knn(784, 10_000, 1536, 9)
