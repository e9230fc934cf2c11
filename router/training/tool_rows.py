"""Rows that teach when offered tools fit: rows that do, rows that do not, and some made by exchanging tools.

`train` calls this once. A request with another request's tools is nearly always a misfit; that is the only augmentation
here. Requests without tools give each language and subject its share of misfits. Requests with tools keep the head from
believing that words which sound like a call fit any tool.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from router.features.featurize import RouteQuery, query_from_openai
from router.model.gate import TOOL_CALLER
from router.training.dataset import Row, read_json_lines, taught
from router.training.heads import Bools, Doubles

EXCHANGED = "exchanged"  # words that came without tools
SWAPPED = "swapped"  # words that came with other tools
MISFITS = "misfits"
NEAR_MISS = "near"  # tag of requests that want another action of the same tools: they teach no words
OTHER = "other"
FOLDS = 5
SHARES = {
    True: {"seed": 0.5, "source": 0.5},
    False: {"seed": 0.35, MISFITS: 0.1, EXCHANGED: 0.3, SWAPPED: 0.25},
}

Ints = np.ndarray[Any, np.dtype[np.int64]]


def read_misfits(paths: Iterable[Path]) -> list[Row]:
    """Read requests whose tools do not fit; in files with categories (BFCL's) only `irrelevance` counts.

    Raises:
        DatasetError: a file cannot be read.
    """
    return [
        Row(MISFITS, query_from_openai(raw["messages"], raw["tools"]), (OTHER,))
        for path in paths
        for _, raw in read_json_lines(path)
        if raw.get("category", "irrelevance") == "irrelevance"
    ]


def tool_rows(rows: Sequence[Row], misfits: Sequence[Row], seed: int) -> list[Row]:
    """Collect all rows that offer tools, and make misfits by exchange; requests without tools are the taught ones."""
    offered = [row for row in rows if row.query.has_tools]
    without = [row for row in taught(rows) if not row.query.has_tools]
    generator = np.random.default_rng(seed)
    made = []
    for kind, asked in ((EXCHANGED, without), (SWAPPED, [row for row in offered if TOOL_CALLER in row.labels])):
        for row in asked if offered else ():
            tools = offered[int(generator.integers(len(offered)))].query
            if not set(tools.tool_names) & set(row.query.tool_names):
                made.append(Row(kind, _offer(row.query, tools), (OTHER,)))
    return [*offered, *misfits, *made]


def _offer(query: RouteQuery, tools: RouteQuery) -> RouteQuery:
    """Make the same request with another's tools."""
    return replace(query, tool_names=tools.tool_names, tool_text=tools.tool_text, has_tools=True, must_call=False)


def fits(rows: Sequence[Row]) -> Bools:
    """Say which rows' tools fit, (n,)."""
    return np.array([TOOL_CALLER in row.labels for row in rows], dtype=np.bool_)


def fold_of_requests(rows: Sequence[Row], seed: int) -> Ints:
    """Part rows into `FOLDS`, (n,), a request and its swapped copies together."""
    requests = {turns: at for at, turns in enumerate(dict.fromkeys(row.query.turns for row in rows))}
    fold = np.random.default_rng(seed).integers(FOLDS, size=len(requests))
    return np.asarray(fold[[requests[row.query.turns] for row in rows]], dtype=np.int64)


def tool_weights(rows: Sequence[Row]) -> Doubles:
    """Weigh rows (n,), mean 1: fits and misfits the same, and each kind of row its share of `SHARES`."""
    own = (MISFITS, EXCHANGED, SWAPPED)
    kinds = np.array(["seed" if row.is_seed else row.source if row.source in own else "source" for row in rows])
    target = fits(rows)
    found: Any = np.zeros(len(rows))
    for is_fit, shares in SHARES.items():
        for kind, share in shares.items():
            members = (kinds == kind) & (target == is_fit)
            if members.any():
                found[members] = share / members.sum()
    return np.asarray(np.maximum(found, 1e-9) / found.mean(), dtype=np.float64)
