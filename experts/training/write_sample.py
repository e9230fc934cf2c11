"""What the commands that make rows to judge by share: sources, options, and a sample in a file of its own."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from experts.commands.messages import complain
from experts.commands.outputs import NotOurs, claim, nothing, write
from experts.evaluation.suites.rows import Row, RowError, sample
from experts.training.recipes.sample import BadSample, one_shape

Sources = Mapping[str, Callable[[Path, random.Random], Iterator[Row]]]
"""Sources by name: each yields its rows out of a folder, and draws what it leaves to chance."""


def run(command: str, sources: Sources, arguments: list[str] | None, *, what: str = "rows", folder: str = "") -> int:
    """Write a source's rows, as the command line asks for; return the exit status.

    Args:
        command: the module's name.
        sources: what may be asked for.
        arguments: the command line; None = the process's.
        what: what is made; each kind of rows draws from a seed of its own.
        folder: below `--data`, where the sources are.
    """
    options = _parse(command, sources, arguments)
    rows = sources[options.source](options.data / folder, random.Random(f"{what} {options.seed}"))
    return write_sample(rows, options.out, source=options.source, limit=options.limit, seed=options.seed)


def write_sample(rows: Iterable[Row], out: Path, *, source: str, limit: int | None, seed: int) -> int:
    """Write at most `limit` of a source's rows, drawn with `seed`; return the exit status.

    Nothing is replaced: people keep rows of this form, too.
    """
    try:
        claim(out, nothing)
        with one_shape(source):
            made = list(rows)
        kept = sample(made, limit, seed)
        write(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))
    except (RowError, BadSample, NotOurs, OSError) as error:
        complain(error)
        return 1
    print(f"{len(kept)} of {len(made)} rows")
    return 0


def _parse(command: str, sources: Sources, arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {command}", description="Write the rows of one source.")
    parser.add_argument("--source", choices=sorted(sources), required=True)
    parser.add_argument("--data", type=Path, required=True, help="the folder that the recipes read")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="at most so many rows")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)
