"""Weights in the safetensors format: 8 bytes with the header's length, a JSON header, the numbers (little-endian).

The format is short enough to be written and read here, so that a machine with torch alone can train and sample.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sapggan_lib.base.files import atomic_path

TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors of the types in `TYPES` to a .safetensors file, atomically."""
    names = {kind: name for name, kind in TYPES.items()}
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    end = 0
    for name, tensor in weights.items():
        part = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        offsets = [end, end + len(part)]
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        parts.append(part)
        end += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join([len(text).to_bytes(8, "little"), text, *parts]))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file; ValueError, KeyError or TypeError when it is damaged.

    The tensors share the file's bytes, each its own: together they are never larger than the file.
    """
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    entries = {name: entry for name, entry in json.loads(data[8:start]).items() if name != "__metadata__"}
    weights, expected = {}, 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        shape, kind, (begin, end) = entry["shape"], TYPES[entry["dtype"]], entry["data_offsets"]
        if begin != expected or end - begin != math.prod(shape) * kind.itemsize or min(shape, default=1) < 1:
            raise ValueError(f"{name}: shape {shape} does not fit its place in the file")
        weights[name] = torch.frombuffer(data, dtype=kind, count=math.prod(shape), offset=start + begin).reshape(shape)
        expected = end
    return weights
