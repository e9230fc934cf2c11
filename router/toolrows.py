"""Rows that teach when offered tools fit: those that do, those that do not, and some made by exchanging tools.

`train` calls this once. A request that came without tools, offered another request's tools, is nearly always a misfit:
that is the one augmentation here, and it gives each language and subject its share of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from router.dataset import Row, read_json_lines
from router.features import query_from_openai
from router.gate import TOOL_CALLER
from router.heads import Bools, Doubles

EXCHANGED = "exchanged"
MISFITS = "misfits"
EXCHANGES = 3_000
OTHER = "other"
SHARES = {True: {"seed": 0.6, "source": 0.4}, False: {"seed": 0.45, MISFITS: 0.15, EXCHANGED: 0.4}}


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
    """Collect all rows that offer tools, and make misfits by exchange."""
    offered = [row for row in rows if row.query.has_tools]
    without = [row for row in rows if not row.query.has_tools]
    generator = np.random.default_rng(seed)
    made = []
    for at in generator.permutation(len(without))[:EXCHANGES] if offered else ():
        tools = offered[int(generator.integers(len(offered)))].query
        query = replace(
            without[at].query, tool_names=tools.tool_names, tool_text=tools.tool_text, has_tools=tools.has_tools
        )
        made.append(Row(EXCHANGED, query, (OTHER,)))
    return [*offered, *misfits, *made]


def fits(rows: Sequence[Row]) -> Bools:
    """Say which rows' tools fit, (n,)."""
    return np.array([TOOL_CALLER in row.labels for row in rows], dtype=np.bool_)


def tool_weights(rows: Sequence[Row]) -> Doubles:
    """Weigh rows (n,), mean 1: fits and misfits the same, and each kind of row its share of `SHARES`."""
    own = (MISFITS, EXCHANGED)
    kinds = np.array(["seed" if row.is_seed else row.source if row.source in own else "source" for row in rows])
    target = fits(rows)
    found: Any = np.zeros(len(rows))
    for is_fit, shares in SHARES.items():
        for kind, share in shares.items():
            members = (kinds == kind) & (target == is_fit)
            if members.any():
                found[members] = share / members.sum()
    return np.asarray(np.maximum(found, 1e-9) / found.mean(), dtype=np.float64)
