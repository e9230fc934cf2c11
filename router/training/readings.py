"""Labels of public prompts that have none of their own, given by reading them one by one.

`train --readings FILE...` joins the files with `readings.tsv` (digest of the conversation, labels by first letter, best
first), so that none of their text is kept here. Rows that nobody read, or could not decide on, are left out. Without
the files the router is trained on the seeds alone. `evaluate --held-out FILE...` does the same with `held_out.tsv`:
labels of other sources, from which the router never learns.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from router.features.featurize import query_from_openai
from router.training.dataset import READ_PREFIX, Row, read_json_lines

DEFAULT_PATH = Path(__file__).with_name("readings.tsv")
HELD_OUT_PATH = Path(__file__).with_name("held_out.tsv")
EXPERTS = {"a": "advisor", "c": "coder", "g": "generalist", "r": "researcher"}
DIGITS = 12
ALONE = ("prompt", "question", "query")  # what files call a request without a conversation


def read_readings(paths: Iterable[Path], table: Path = DEFAULT_PATH) -> list[Row]:
    """Read the rows of `paths` that have a label in `table`, once each, as `Row`s beside the seeds.

    A row holds `messages`, or one text under one of `ALONE`.

    Raises:
        DatasetError: a file cannot be read.
    """
    labels = dict(line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    found = []
    for path in paths:
        source = READ_PREFIX + path.name.split(".", maxsplit=1)[0]
        for _, raw in read_json_lines(path):
            alone = next((raw[name] for name in ALONE if name in raw), "")
            messages = raw.get("messages") or [{"role": "user", "content": alone}]
            letters = labels.pop(digest_of(messages), "")
            if letters:
                found.append(Row(source, query_from_openai(messages), tuple(EXPERTS[one] for one in letters)))
    return found


def read_held_out(paths: Iterable[Path], table: Path = HELD_OUT_PATH) -> list[Row]:
    """Read the rows of `paths` that have a label in `table`, as rows that judge: each file is a source of its own.

    Raises:
        DatasetError: a file cannot be read.
    """
    return [replace(row, source=row.source.removeprefix(READ_PREFIX)) for row in read_readings(paths, table)]


def digest_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Shorten a conversation's SHA-256, its turns' texts a line each, to twelve hex digits."""
    text = "\n".join(str(message["content"]) for message in messages)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:DIGITS]
