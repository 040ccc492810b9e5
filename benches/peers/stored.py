"""What Lupe exports, for every interpreter that has NumPy."""

import json
import struct
from pathlib import Path

import numpy as np


def read_safetensors(path):
    """Tensors by name; the files hold f32 only."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data, "<f4", (end - begin) // 4, 8 + length + begin)
        found[name] = values.reshape(entry["shape"])
    return found
