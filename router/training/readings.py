"""Labels of public prompts that have none of their own, given by reading them one by one.

`train --readings FILE...` joins the files with `readings.tsv` (digest of the text, labels by first letter), so that
none of their text is kept here. Rows that nobody read, or could not decide on, are left out.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from router.features.featurize import query_from_openai
from router.training.dataset import READ_PREFIX, Row, read_json_lines

DEFAULT_PATH = Path(__file__).with_name("readings.tsv")
EXPERTS = {"a": "advisor", "c": "coder", "g": "generalist", "r": "researcher"}
DIGITS = 12


def read_readings(paths: Iterable[Path], table: Path = DEFAULT_PATH) -> list[Row]:
    """Read the rows of `paths` that have a label in `table`, once each, as `Row`s beside the seeds.

    Raises:
        DatasetError: a file cannot be read.
    """
    labels = dict(line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    found = []
    for path in paths:
        source = READ_PREFIX + path.name.split(".", maxsplit=1)[0]
        for _, raw in read_json_lines(path):
            letters = labels.pop(digest_of(raw["messages"][-1]["content"]), "")
            if letters:
                query = query_from_openai(raw["messages"])
                found.append(Row(source, query, tuple(EXPERTS[letter] for letter in letters), ("en",)))
    return found


def digest_of(text: str) -> str:
    """Shorten a prompt's SHA-256 to twelve hex digits."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:DIGITS]
