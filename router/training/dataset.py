"""Reading, checking, de-duplicating and weighting of data rows, for training and evaluation.

`train`, `calibrate` and `evaluate` read `.jsonl` and `.jsonl.gz` files through here. A row is
`{source, messages, tools?, tool_choice?, label | labels}`; a row without `source` gets its file's name.
"""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from router.errors import DatasetError
from router.features.featurize import RouteQuery, query_from_openai, window_of

SEED_PREFIX = "seed:"
READ_PREFIX = "seed:read:"
READ_SHARE = 0.14  # of what is learned: rows of one public source, labelled by reading, beside seeds written for it

Doubles = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled request: any of `labels` is right, the first is best."""

    source: str
    query: RouteQuery
    labels: tuple[str, ...]
    tags: tuple[str, ...] = ()

    @property
    def is_seed(self) -> bool:
        """Say whether it was written for the router (always in training, never held out)."""
        return self.source.startswith(SEED_PREFIX)


def read_rows(paths: Iterable[Path]) -> list[Row]:
    """Read labelled rows in order.

    Raises:
        DatasetError: a file cannot be read, or a line is not a row; names file and line.
    """
    return [row for path in paths for row in _read_file(path)]


def read_seeds(folder: Path) -> list[Row]:
    """Read every seed file of a folder in name order; no folder, no seeds."""
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    return [replace(row, source=SEED_PREFIX + row.source) for path in files for row in _read_file(path)]


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON-lines file, gzipped or not.

    Raises:
        DatasetError: the file cannot be read, or a line is not a JSON object.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, _parse(line, path, number)
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise DatasetError(f"{path.name}: cannot be read ({type(error).__name__})") from error


def without_duplicates(rows: Sequence[Row]) -> list[Row]:
    """Keep the first of rows whose window, turns, system prompt and tools are the same, case and spaces aside."""
    seen: set[bytes] = set()
    kept = []
    for row in rows:
        window = window_of(row.query)
        text = " ".join(f"{window.own}\n{window.document}\n{window.previous}".split())
        key = hashlib.sha256(
            f"{text}\n{row.query.tool_names}\n{row.query.thread.system}".encode("utf-8", "replace")
        ).digest()
        if key not in seen:
            seen.add(key)
            kept.append(row)
    return kept


def at_most(rows: Sequence[Row], per_source: int, seed: int) -> list[Row]:
    """Keep at most `per_source` rows of each source that is not a seed file, drawn by `seed`, in the order given."""
    generator = np.random.default_rng(seed)
    places: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        places.setdefault(row.source, []).append(at)
    keep: set[int] = set()
    for source, found in sorted(places.items()):
        drawn = found if source.startswith(SEED_PREFIX) else generator.permutation(found)[:per_source].tolist()
        keep.update(drawn)
    return [row for at, row in enumerate(rows) if at in keep]


def taught(rows: Sequence[Row]) -> list[Row]:
    """Pick the rows to learn from: the seeds alone where there are any.

    A benchmark's row is one of thousands of a kind; even at one per cent of the weight they made the router worse on
    other people's sources (measured: CARD.md), so they only judge it.
    """
    return [row for row in rows if row.is_seed] or list(rows)


def weights(rows: Sequence[Row]) -> Doubles:
    """Weigh rows (n,), mean 1, so that no source and no class decides by its size.

    A source counts by the square root of its rows; seeds count one by one, those labelled by reading `READ_SHARE` in
    all; then every class (a row's best label) weighs the same.
    """
    sizes = Counter(row.source for row in rows)
    raw = np.array([1.0 if row.is_seed else sizes[row.source] ** -0.5 for row in rows])
    is_read = np.array([row.source.startswith(READ_PREFIX) for row in rows], dtype=np.bool_)
    if is_read.any() and not is_read.all():
        raw[is_read] *= READ_SHARE / (1.0 - READ_SHARE) * raw[~is_read].sum() / raw[is_read].sum()
    best = np.array([row.labels[0] for row in rows])
    for name in np.unique(best):
        raw[best == name] /= raw[best == name].sum()
    return np.asarray(raw / raw.mean(), dtype=np.float64)


def source_weights(sources: Sequence[str] | np.ndarray[Any, Any]) -> Doubles:
    """Weigh rows so that every source counts the same, mean 1."""
    _, inverse, counts = np.unique(np.asarray(sources), return_inverse=True, return_counts=True)
    raw = 1.0 / counts[inverse]
    return np.asarray(raw / raw.mean(), dtype=np.float64)


def digest(path: Path) -> str:
    """Shorten a file's SHA-256 to twelve hex digits, for the artefact's record of its data."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _read_file(path: Path) -> Iterator[Row]:
    """Yield the rows of one file."""
    fallback_source = path.name.split(".", maxsplit=1)[0]
    for number, raw in read_json_lines(path):
        labels = raw.get("labels") or ([raw["label"]] if raw.get("label") else [])
        if not labels or not all(isinstance(label, str) for label in labels):
            raise DatasetError(f"{path.name}:{number}: no label")
        messages = raw.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(turn, Mapping) for turn in messages):
            raise DatasetError(f"{path.name}:{number}: messages is not a list of objects")
        query = query_from_openai(messages, raw.get("tools"), raw.get("tool_choice"))
        yield Row(str(raw.get("source") or fallback_source), query, tuple(labels), tuple(raw.get("tags") or ()))


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    """Parse one line; the error names the place and holds nothing of the line."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        raise DatasetError(f"{path.name}:{number}: not JSON") from None
    if not isinstance(value, dict):
        raise DatasetError(f"{path.name}:{number}: not an object")
    return value
