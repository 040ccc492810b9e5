"""Builds what is compared: packages, Lupe's worker, the Rust peers, weights and models. All of it lies under target/peers."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STATE = ROOT / "target" / "peers"
VENV, MODELS = STATE / "venv", STATE / "models"
PYTHON = VENV / "bin" / "python"
SYSTEM_PYTHON = "/usr/bin/python3"  # with Debian's PyTorch: PyPI's brings gigabytes of CUDA
TRAINING = "efficientad_s_forward", "efficientad_s_step"  # tasks that have no network of their own
CARGO = os.environ.get("CARGO", "cargo")
# Built where `--with` asks for them; how the names of their tasks begin.
APART = {"burn": ("resnet", "wide", "pdn", "conv"), "burn_vit": ("vit",), "meganeura": ("resnet",)}
# What cargo is told to build of the ones that share a workspace with another.
SHARED = {"burn_vit": ("burn", ["--features", "vit", "--bin", "burn_vit"])}
NEEDED = ("numpy", "onnx", "onnxruntime")  # without these there is nothing to compare


def say(text):
    print(text, flush=True)


def quietly(command, log, **more):
    """Runs it with its output in a file; whether it went well."""
    with open(STATE / log, "ab") as file:
        done = subprocess.run(command, stderr=file, preexec_fn=lambda: os.nice(10), **{"stdout": file, **more})
    return done if done.returncode == 0 else None


def packages():
    """The environment with the peers from PyPI. One that has no wheel here is left out; its row will say so."""
    stamp, wanted = VENV / "installed.txt", (HERE / "requirements.txt").read_text()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    STATE.mkdir(parents=True, exist_ok=True)
    say("Installing the peers from PyPI ...")
    if not PYTHON.exists() and not quietly([sys.executable, "-m", "venv", str(VENV)], "pip.log"):
        raise SystemExit(f"python3 -m venv failed: {STATE / 'pip.log'}")
    for line in [l for l in wanted.splitlines() if l and not l.startswith("#")]:
        install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--only-binary", ":all:", line]
        if not quietly(install, "pip.log"):
            say(f"  {line} could not be installed: {STATE / 'pip.log'}")
            if line.split("==")[0] in NEEDED:
                raise SystemExit(1)
    stamp.write_text(wanted)


def built(command, log, **more):
    """Executables by target name, as cargo's messages give them; none where the build failed."""
    command = [CARGO, *command, "--locked", "--message-format", "json"]
    done = quietly(command, log, cwd=ROOT, stdout=subprocess.PIPE, **more)
    messages = [json.loads(l) for l in done.stdout.splitlines()] if done else []
    return {m["target"]["name"]: m["executable"] for m in messages if m.get("executable")}


@functools.cache
def torch():
    """The version of the PyTorch that the system's own Python has; None where it has none."""
    asked = [SYSTEM_PYTHON, "-c", "import numpy, torch; print(torch.__version__)"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def lupe():
    """Lupe's worker."""
    say("Building Lupe's worker ...")
    found = built(["bench", "--no-run", "--bench", "peers"], "cargo.log").get("peers")
    if not found:
        raise SystemExit(f"Lupe's worker was not built: {STATE / 'cargo.log'}")
    return found


def rust_peers():
    """Workers of the Rust peers, by name."""
    say("Building the Rust peers ...")
    return workspace("rs", "rs")


def apart(name):
    """One of the workers that are built apart. After `models`: burn's has the networks compiled into it."""
    say(f"Building {name}, which takes long the first time ...")
    folder, part = SHARED.get(name, (name, []))
    return workspace(folder, name, part, env={**os.environ, "PEERS_MODELS": str(MODELS)})


def workspace(folder, name, part=(), **more):
    """Executables of a workspace beside this file, by name; only a part of it where one is given."""
    manifest, target = HERE / folder / "Cargo.toml", STATE / folder
    command = ["build", "--release", *part, "--manifest-path", str(manifest), "--target-dir", str(target)]
    found = built(command, f"{name}.log", **more)
    if not found:
        say(f"  {name} was not built: {STATE / name}.log")
    return found


def models(worker):
    """Weights, inputs and models of every peer; again only where Lupe's worker or the conversion changed."""
    sources = [Path(worker), *(HERE / f"{name}.py" for name in ("networks", "transformers", "efficientad", "stored"))]
    stamp, wanted = MODELS / "made.txt", " ".join(f"{s.stat().st_mtime_ns}" for s in sources)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    say("Writing weights and models ...")
    if subprocess.run([worker, "export", str(MODELS)]).returncode:
        raise SystemExit("weights were not written")
    from networks import convert

    convert(MODELS)
    stamp.write_text(wanted)
