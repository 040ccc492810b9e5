"""Runs systems as resident workers in interleaved rounds. Only the one that is being timed runs: the others are stopped."""

import ctypes
import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from setup import TRAINING

SLOW_MS = 2000  # systems that take longer run in every third round only
MOST_STARTS = 6
CPUS = sorted(os.sched_getaffinity(0))[:2]  # two threads on two processors, whatever an engine believes
ALIVE = set()


class Failed(Exception):
    """A system that does not work here; its message says why."""


@dataclass
class System:
    """How a system is started. `cache`: where its driver keeps compiled kernels; `absent`: why it cannot be started; `tasks`: how the
    names of those that it has begin."""

    name: str
    command: list
    env: dict = field(default_factory=dict)
    cache: Path = None
    absent: str = ""
    tasks: tuple = ("",)

    def environment(self):
        """Two threads for every library, and where the driver's kernels are kept."""
        env = dict(os.environ, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2", RAYON_NUM_THREADS="2", LP_NUM_THREADS="2")
        env.update(PYTHONWARNINGS="ignore", NODEVICE_SELECT="1")
        for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            env.pop(name, None)
        env.update(self.env)
        if self.cache:
            env["MESA_SHADER_CACHE_DIR"] = str(self.cache)
        return env


def ours_to_the_end():
    """In the child: on two processors, and killed by the kernel when this process ends, however it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.sched_setaffinity(0, CPUS)


class Worker:
    """One process that has loaded one task."""

    def __init__(self, system, folder, task, state, timeout=900):
        self.out, self.log = state / f"{task}.{system.name}.out", state / f"{task}.{system.name}.err"
        self.buffer, self.stderr = b"", open(self.log, "wb")
        start = time.perf_counter()
        command, pipe = [*system.command, str(folder), task, str(self.out)], subprocess.PIPE
        streams = {"stdin": pipe, "stdout": pipe, "stderr": self.stderr}
        try:
            self.process = subprocess.Popen(
                command, env=system.environment(), start_new_session=True, preexec_fn=ours_to_the_end, **streams
            )
        except OSError as e:
            raise Failed(f"it does not start: {e.strerror}") from e
        ALIVE.add(self)
        try:
            self.answer(b"READY", timeout)
        except Failed:
            self.close()
            raise
        self.start_ms = (time.perf_counter() - start) * 1e3
        self.signal(signal.SIGSTOP)

    def signal(self, which):
        try:
            os.killpg(self.process.pid, which)
        except ProcessLookupError:
            pass

    def answer(self, tag, timeout):
        """The next line that begins with `tag`; engines may say other things."""
        end = time.monotonic() + timeout
        while True:
            while b"\n" in self.buffer:
                line, self.buffer = self.buffer.split(b"\n", 1)
                if line.startswith(tag):
                    return line.decode()
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise Failed(f"no answer in {timeout} s")
            found = os.read(self.process.stdout.fileno(), 65536)
            if not found:
                raise Failed(self.reason())
            self.buffer += found

    def reason(self):
        """Why it ended: what it wrote to stderr, of a Python traceback the last line, else the first."""
        code = self.process.wait()
        lines = [l for l in self.log.read_text(errors="replace").splitlines() if l.strip()]
        traceback = any(l.startswith("Traceback") for l in lines)
        panicked = [i for i, l in enumerate(lines) if "panicked at" in l]
        said = lines[-1] if traceback else " ".join(lines[panicked[0] :][:2]) if panicked else lines[0] if lines else ""
        return (said[:200] or "it said nothing") + f" (status {code})"

    def run(self, count, timeout=900):
        """Times of so many runs, in ms."""
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.write(f"run {count}\n".encode())
            self.process.stdin.flush()
            line = self.answer(b"LAT", timeout)
        except (BrokenPipeError, Failed) as e:
            self.close()
            raise e if isinstance(e, Failed) else Failed(self.reason())
        self.signal(signal.SIGSTOP)
        return [float(word) for word in line.split()[1:]]

    def memory(self):
        """MB it holds now, and at most until now."""
        try:
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        except OSError:
            return None, None
        kib = {l.split(":")[0]: int(l.split()[1]) for l in lines if l.startswith(("VmRSS", "VmHWM"))}
        return kib["VmRSS"] * 1024 / 1e6, kib["VmHWM"] * 1024 / 1e6

    def leave(self, patience=20):
        """Lets it end by itself, as a driver may still be writing what it compiled."""
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.close()
            self.process.wait(patience)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass
        self.close()

    def close(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.stderr.close()
        ALIVE.discard(self)


def profile(system, folder, task):
    """What the kernels of one of Lupe's systems take, as its worker's `profile` says it."""
    command = [system.command[0], "profile", str(folder), task]
    asked = {"env": system.environment(), "preexec_fn": ours_to_the_end, "timeout": 900}
    try:
        done = subprocess.run(command, capture_output=True, text=True, **asked)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"no profile in {asked['timeout']} s") from e
    if done.returncode:
        raise Failed(done.stderr.strip()[:200] or f"status {done.returncode}")
    return json.loads(done.stdout)


def close_all():
    for worker in list(ALIVE):
        worker.close()


def difference(task, ours, base, facts, order):
    """Largest difference relative to the largest value of the base; what the order of Lupe's values is, `order` says."""
    if ours.size != base.size and task != "coreset":
        return float("inf")
    if task == "coreset":  # the share of picks that are others, as far as both go
        n = min(ours.size, base.size)
        return float((ours[:n] != base[:n]).mean())
    if task.startswith("patchcore"):  # score, distances of the places and map, each by its own largest
        ends = [1, 1 + 1024]
        parts = zip(np.split(ours.astype("f8"), ends), np.split(base, ends))
        return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in parts)
    if task in TRAINING:  # losses, each by its own size, then what a step changed of weights, on average
        (losses, changes), (want, by) = (np.split(v.astype("f8"), [3]) for v in (ours, base))
        apart = (np.abs(losses - want) / np.abs(want)).max()
        return float(np.maximum(apart, np.abs(changes - by).mean() / np.abs(by).mean()) if by.size else apart)
    if task.startswith("knn"):
        ours, base = ours.reshape(-1, 2)[:, 0], base.reshape(-1, 2)[:, 0]
    elif order == "nhwc":
        parts, at = [], 0
        for shape in facts["outputs"]:
            n = int(np.prod(shape))
            part = ours[at : at + n].reshape(shape)
            parts.append((part.transpose(0, 3, 1, 2) if len(shape) == 4 else part).ravel())
            at += n
        ours = np.concatenate(parts)
    return float(np.abs(ours.astype("f8") - base).max() / np.abs(base).max())


def start(system, folder, task, state):
    """A worker that is up, with the time of its first start (an empty cache, where it has one) and of one that adds nothing to the
    cache: a driver may keep one kernel under several keys, of which a start meets some, so that the second start may not be enough."""
    if system.absent:
        raise Failed(system.absent)
    if system.cache:
        shutil.rmtree(system.cache, ignore_errors=True)
        system.cache.mkdir(parents=True)
    worker = Worker(system, folder, task, state)
    cold, starts, kept = worker.start_ms, 1, None
    while starts < MOST_STARTS:
        worker.leave()
        before, kept = kept, sum(1 for _ in system.cache.rglob("*")) if system.cache else None
        worker, starts = Worker(system, folder, task, state), starts + 1
        if kept == before:
            break
    return worker, {"cold_ms": cold if system.cache else None, "start_ms": worker.start_ms, "starts": starts}


def warm_up(worker):
    """Runs it warm; how many runs a round are worth about 0.3 s, and whether it is slow."""

    def wall(count):
        start = time.perf_counter()
        worker.run(count)
        return (time.perf_counter() - start) * 1e3 / count

    once = wall(1)
    if once < SLOW_MS:
        once = wall(2)
    return max(1, min(20, int(300 / once))), once > SLOW_MS


def measure(task, systems, base, folder, state, rounds, facts, say):
    """Everything that is to be known of one task, by system."""
    results, workers, plans = {}, {}, {}
    for system in systems:
        result = results[system.name] = {"rounds": {}}
        try:
            worker, starts = start(system, folder, task, state)
            result.update(starts)
            plans[system.name] = warm_up(worker)
            workers[system.name] = worker
            say(f"  {system.name}: up in {worker.start_ms:.0f} ms at start {starts['starts']}")
        except Failed as e:
            result["failed"] = str(e)
            say(f"  {system.name}: {e}")
    for r in range(rounds):
        names = [s.name for s in systems]
        turned = names[r % len(names) :] + names[: r % len(names)]  # no system always follows the same one
        for name in turned:
            count, slow = plans.get(name, (0, False))
            if name not in workers or (slow and r % 3):
                continue
            try:
                results[name]["rounds"][str(r)] = workers[name].run(count)
            except Failed as e:
                results[name]["failed"] = str(e)
                workers.pop(name)
    compare(task, workers, base, facts, results)
    for name, worker in workers.items():
        results[name]["memory_mb"], results[name]["peak_mb"] = worker.memory()
        worker.close()
    return results


def compare(task, workers, base, facts, results):
    if base not in workers:
        return
    want = np.fromfile(workers[base].out, "<f4")
    for name, worker in workers.items():
        got = np.fromfile(worker.out, "<f4")
        order = "nhwc" if name.startswith("lupe") else "nchw"
        results[name]["difference"] = difference(task, got, want, facts, order)


def median(result):
    """Median of all its runs, in ms."""
    runs = [t for times in result["rounds"].values() for t in times]
    return statistics.median(runs) if runs else None


def ratios(result, base):
    """Its median by the base's, of every round in which both ran, rising."""
    both = [r for r in result["rounds"] if r in base["rounds"]]
    return sorted(statistics.median(result["rounds"][r]) / statistics.median(base["rounds"][r]) for r in both)


def percentile(rising, p):
    return rising[min(len(rising) - 1, int(p * len(rising)))] if rising else None
