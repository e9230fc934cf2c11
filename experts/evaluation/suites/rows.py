"""Rows of a data file: JSON lines, plain or gzipped, and a seeded sample of them.

Every suite reads its data here, so that a wrong file is one kind of error that names the file and the line.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

Row = dict[str, Any]
_T = TypeVar("_T")


class RowError(Exception):
    """A data file cannot be used; the message names the file and the line, never the text of a row."""


def read_rows(path: Path) -> list[Row]:
    """Read every row of a `.jsonl` or `.jsonl.gz` file; empty lines are skipped.

    Raises:
        RowError: the file cannot be read, or a line is no JSON object.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise RowError(f"{path}: cannot be read: {type(error).__name__}") from None
    # Not splitlines: a string of JSON may hold U+2028 and its kin unescaped.
    lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    return [_parse(line, f"{path}:{number}") for number, line in lines]


def _parse(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        raise RowError(f"{where}: not JSON") from None
    if not isinstance(row, dict):
        raise RowError(f"{where}: not a JSON object")
    return row


def sample(rows: Sequence[_T], limit: int | None, seed: int) -> list[_T]:
    """Draw `limit` rows without replacement, in the file's order; all of them when there are no more."""
    if limit is None or limit >= len(rows):
        return list(rows)
    # The purpose is part of the seed: rows that the same number chose elsewhere must not be the ones drawn here.
    rng = random.Random(f"sample {seed}")
    return [rows[index] for index in sorted(rng.sample(range(len(rows)), limit))]
