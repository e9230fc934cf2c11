"""Makes rows of the `mixed` suite: `python -m experts.evaluation.suites.make_mixture --part K=SUITE:FILE --out FILE`.

Each part (`--part` may be repeated) is a file of rows of another suite. As many are drawn of each kind, so that a mean
over all rows is the mean over kinds; parts of the same kind share its number. Rows are shuffled, so that the first of
them are a mixture, too.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experts.commands.messages import complain
from experts.commands.outputs import NotOurs, claim, nothing, write
from experts.evaluation.suites.known import ONE_TASK, named_rows
from experts.evaluation.suites.rows import Row, RowError, read_rows, sample


@dataclass(frozen=True, slots=True)
class Part:
    """One file of rows."""

    kind: str
    suite: str
    file: Path


def make_mixture(parts: Sequence[Part], per_kind: int, seed: int) -> list[Row]:
    """Draw `per_kind` rows of each kind, evenly over its parts, shuffled.

    Raises:
        RowError: a file cannot be read, or holds rows that are not its suite's.
    """
    rows = []
    for kind in dict.fromkeys(part.kind for part in parts):
        alike = [part for part in parts if part.kind == kind]
        for at, part in enumerate(alike):
            share = per_kind // len(alike) + (at < per_kind % len(alike))
            suite = ONE_TASK[part.suite]()
            for index, row in sample(list(enumerate(read_rows(part.file))), share, seed):
                suite.read(row, index)
                name = f"{part.file.name.partition('.')[0]}-{row.get('id', index)}"
                rows.append(row | {"id": name, "suite": part.suite, "kind": kind})
    random.Random(f"mixture {seed}").shuffle(rows)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the rows; return the exit status."""
    options = _parse(arguments)
    try:
        claim(options.out, nothing)  # people write rows of this form, too
        rows = make_mixture(options.part, options.per_kind, options.seed)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        write(options.out, gzip.compress(lines) if options.out.suffix == ".gz" else lines)
    except (RowError, NotOurs, OSError) as error:
        complain(error)
        return 1
    print(f"{len(rows)} rows of {len({row['kind'] for row in rows})} kinds")
    return 0


def _part(text: str) -> Part:
    return Part(*named_rows(text, "KIND", ONE_TASK))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experts.evaluation.suites.make_mixture", description=main.__doc__)
    parser.add_argument("--part", type=_part, action="append", required=True, metavar="KIND=SUITE:FILE")
    parser.add_argument("--per-kind", type=int, default=30, metavar="N", help="rows of each kind")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
