"""Converts a GGUF file into a form that OpenVINO computes with exactly: Q8_0 for every quantised matrix.

`experts.compile` calls it for the `cpu` target. OpenVINO keeps 4-bit blocks with an offset (Q4_1 and similar) as 4-bit
integers with an integer zero point, and rounds the offset. Its greedy text then follows the weights in the file on none
of ten prompts, whatever its precision settings are (docs/results.md). Q8_0 has no offset to lose, and stores a
dequantised value to within half a step in 127.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FAITHFUL = frozenset({"F32", "F16", "BF16", "Q8_0"})
_FILE_TYPE_Q8_0 = 7  # general.file_type, GGUF specification
_WRITTEN_ANEW = frozenset({"general.architecture", "general.file_type"})


def make_faithful(source: Path, target: Path) -> None:
    """Put at `target` what OpenVINO should load for `source`: the file itself, by a link, if it is faithful already.

    Raises:
        ValueError: it is no GGUF file.
    """
    if is_faithful(source):
        target.symlink_to(source.resolve())
    else:
        requantise(source, target)


def is_faithful(path: Path) -> bool:
    """Say whether every tensor of a GGUF file already has a type that OpenVINO keeps.

    Raises:
        ValueError: it is no GGUF file.
    """
    return all(tensor.tensor_type.name in FAITHFUL for tensor in _read(path).tensors)


@dataclass(frozen=True, slots=True)
class Change:
    """What to do to some matrices on their way: `apply(name, weights (out, in), heads)` returns the new weights.

    `heads` are the attention heads of the query and key matrices, by `attn_q` and `attn_k`.
    """

    names: frozenset[str]
    apply: Callable[[str, npt.NDArray[np.float32], Mapping[str, int]], npt.NDArray[np.float32]]


def requantise(source: Path, target: Path, change: Change | None = None) -> None:
    """Write `source` to `target` with its quantised matrices, and the changed ones, as Q8_0; the rest as it is.

    Raises:
        ValueError: it is no GGUF file.
    """
    import gguf  # noqa: PLC0415  # the [cpu] extra's

    reader = _read(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    _copy_metadata(reader.fields.values(), writer)
    heads = _heads(reader)
    writer.add_file_type(_FILE_TYPE_Q8_0)
    for tensor in reader.tensors:
        changed = change is not None and tensor.name in change.names
        kept = tensor.tensor_type.name in FAITHFUL and not changed
        kind = tensor.tensor_type if kept else gguf.GGMLQuantizationType.Q8_0
        data = tensor.data
        if not kept:
            weights = gguf.dequantize(tensor.data, tensor.tensor_type)
            data = gguf.quantize(change.apply(tensor.name, weights, heads) if change and changed else weights, kind)
        writer.add_tensor(tensor.name, np.ascontiguousarray(data), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _heads(reader: Any) -> dict[str, int]:  # noqa: ANN401  # gguf ships no types
    """Return how many attention heads the query and the key matrices hold."""
    architecture = reader.fields["general.architecture"].contents()
    queries = reader.fields.get(f"{architecture}.attention.head_count")
    keys = reader.fields.get(f"{architecture}.attention.head_count_kv", queries)
    return {"attn_q": int(queries.contents()), "attn_k": int(keys.contents())} if queries else {}


def _read(path: Path) -> Any:  # noqa: ANN401  # gguf ships no types
    import gguf  # noqa: PLC0415  # the [cpu] extra's

    return gguf.GGUFReader(path)


def _copy_metadata(fields: Iterable[Any], writer: Any) -> None:  # noqa: ANN401  # gguf ships no types
    """Copy every key but those of the container itself and those that are written anew."""
    import gguf  # noqa: PLC0415  # the [cpu] extra's

    for field in fields:
        if field.name.startswith("GGUF.") or field.name in _WRITTEN_ANEW:
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=element)
