"""The mean of adapters: `python -m experts.training.mean_adapter ADAPTER ADAPTER --out FOLDER`.

An adapter that was trained on for new tasks gains there and loses elsewhere; the mean of its changes and those of the
adapter it came from often keeps most of both (Wortsman et al. 2022, Model soups). Changes are averaged, not matrices:
the mean of two products B A is a sum of higher rank, of which the best approximation of `--rank` is written (Eckart and
Young 1936). Needs no torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from experts.commands.messages import complain
from experts.commands.outputs import NotOurs, claim, nothing, write
from experts.compilation.merge import AdapterError, Matrix, read_lora

WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
_A, _B = ".lora_A.", ".lora_B."
_PAD: Final = 8  # bytes that the header's length is a multiple of


def mean_adapter(adapters: Sequence[Path], shares: Sequence[float], rank: int) -> dict[str, Matrix]:
    """Return the matrices of the mean, whose product is multiplied by 1: A as (rank, in), B as (out, rank).

    Args:
        adapters: folders in PEFT's format, of one base.
        shares: how much each counts; they sum to 1.
        rank: of the result, at most; all the adapters' ranks together are enough for the mean itself.

    Raises:
        AdapterError: an adapter cannot be read, or they change different matrices.
    """
    read = [read_lora(folder) for folder in adapters]
    names = set(read[0][0])
    if any(set(found) != names for found, _ in read):
        raise AdapterError("the adapters change different matrices")
    made: dict[str, Matrix] = {}
    for name in sorted(one for one in names if _A in one):
        other = name.replace(_A, _B)
        try:
            downs = np.concatenate([found[name] for found, _ in read])
            ups = np.concatenate(
                [share * scale * found[other] for (found, scale), share in zip(read, shares, strict=True)], axis=1
            )
            made[name], made[other] = _best_of_rank(downs, ups, rank)
        except (KeyError, ValueError):
            raise AdapterError(f"the adapters' {name} do not fit each other: they are of different bases") from None
    return made


def safetensors_bytes(tensors: Mapping[str, Matrix]) -> bytes:
    """Write tensors as a safetensors file in bfloat16, rounded to the nearest."""
    bodies = {name: _bfloat16(tensor) for name, tensor in sorted(tensors.items())}
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, body in bodies.items():
        header[name] = {"dtype": "BF16", "shape": tensors[name].shape, "data_offsets": [end, end + len(body)]}
        end += len(body)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _PAD)
    return len(text).to_bytes(_PAD, "little") + text + b"".join(bodies.values())


def _best_of_rank(downs: Matrix, ups: Matrix, rank: int) -> tuple[Matrix, Matrix]:
    """Split the product `ups @ downs` into matrices of a rank, by the singular values of its small middle."""
    left, upper = np.linalg.qr(ups)
    right, lower = np.linalg.qr(downs.T)
    outer, values, inner = np.linalg.svd(upper @ lower.T)
    root = np.sqrt(values[:rank])
    return (root[:, None] * (inner[:rank] @ right.T)), (left @ outer[:, :rank]) * root


def _bfloat16(tensor: Matrix) -> bytes:
    bits = np.ascontiguousarray(tensor, np.float32).view(np.uint32)
    rounded: npt.NDArray[np.uint32] = bits + 0x7FFF + ((bits >> 16) & 1)
    return (rounded >> 16).astype("<u2").tobytes()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the mean; return the exit status."""
    options = _parse(arguments)
    try:
        for name in (WEIGHTS, CONFIG):
            claim(options.out / name, nothing)
        shares = options.shares or [1 / len(options.adapters)] * len(options.adapters)
        if options.rank < 1:
            raise AdapterError("--rank: at least 1")
        if len(shares) != len(options.adapters) or abs(sum(shares) - 1) > 1e-6:
            raise AdapterError("--shares: as many as there are adapters, and 1 in all")
        made = mean_adapter(options.adapters, shares, options.rank)
        rank = next(matrix.shape[0] for name, matrix in made.items() if _A in name)
        config = json.loads((options.adapters[-1] / CONFIG).read_text("utf-8"))
        config |= {"r": rank, "lora_alpha": rank, "use_rslora": False}
        options.out.mkdir(parents=True, exist_ok=True)
        write(options.out / WEIGHTS, safetensors_bytes(made))
        write(options.out / CONFIG, json.dumps(config, indent=1) + "\n")
    except (AdapterError, NotOurs, OSError) as error:
        complain(error)
        return 1
    print(f"{options.out}: {len(made) // 2} matrices of rank {rank}")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experts.training.mean_adapter", description=main.__doc__)
    parser.add_argument("adapters", type=Path, nargs="+", metavar="ADAPTER", help="folders in PEFT's format")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rank", type=int, default=16, help="at most")
    parser.add_argument("--shares", type=float, nargs="+", help="how much each counts (default: the same)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
