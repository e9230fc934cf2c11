"""Reads safetensors files (https://github.com/huggingface/safetensors#format) into numpy, one tensor at a time.

The format's own library has no bfloat16 for numpy; the header is all there is to it. `merge` reads adapters with it,
`gguf_from_folder` whole models, which are larger than memory once they are float32.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Tensor = npt.NDArray[np.float32]
_HEADER_SIZE = 8  # bytes of the header's length


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return every tensor's shape by its name, in the file's order.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be read.
    """
    with _opened(path) as raw:
        return {name: tuple(entry["shape"]) for name, entry in _header(raw)[0].items()}


def read_tensors(path: Path, skip: Callable[[str], bool] = lambda name: False) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor by name as float32, in the file's order; `skip` names those that nobody needs.

    Raises:
        ValueError: the file is damaged, or has tensors of a type that is not read.
        OSError: it cannot be read.
    """
    with _opened(path) as raw:
        header, begin = _header(raw)
        for name, entry in header.items():
            if skip(name):
                continue
            start, end = (begin + offset for offset in entry["data_offsets"])
            yield name, _tensor(entry, raw[start:end])


@contextmanager
def _opened(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file:
        if path.stat().st_size < _HEADER_SIZE:
            raise ValueError("the file is shorter than a header")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            yield raw


def _header(raw: mmap.mmap) -> tuple[dict[str, Any], int]:
    """Return the entries by name, and where their bytes begin."""
    length = int.from_bytes(raw[:_HEADER_SIZE], "little")
    if length > len(raw) - _HEADER_SIZE:
        raise ValueError("the file is shorter than its header says")
    header: dict[str, Any] = json.loads(raw[_HEADER_SIZE : _HEADER_SIZE + length])
    header.pop("__metadata__", None)
    return header, _HEADER_SIZE + length


def _tensor(entry: Mapping[str, Any], body: bytes) -> Tensor:
    match entry["dtype"]:
        case "BF16":
            values = (np.frombuffer(body, np.uint16).astype(np.uint32) << 16).view(np.float32)
        case "F16" | "F32" as kind:
            values = np.frombuffer(body, np.float16 if kind == "F16" else np.float32).astype(np.float32)
        case other:
            raise ValueError(f"tensors of type {other} are not read")
    return values.reshape(entry["shape"])
