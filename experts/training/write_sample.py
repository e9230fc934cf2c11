"""What the commands that make rows to judge by share: a sample of a source's rows, in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from experts.commands.messages import complain
from experts.commands.outputs import NotOurs, claim, nothing, write
from experts.evaluation.suites.rows import Row, RowError, sample
from experts.training.recipes.sample import BadSample, one_shape


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
