"""Rows of the `json` suite out of sources that nobody trains on: `python -m experts.training.make_forms`.

`presidio`: sentences with marked spans, a field for each (guard/pii_presidio.jsonl.gz). `sgd`: turns of SGD's unseen
services that want a call, and `bfcl`: BFCL's `multiple` category; there the form is the parameters of the right tool.
Fields are required or optional by lot where the source does not say, and now and then the form has an optional field
that the words do not fill.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from experts.evaluation.suites.ast_rules import wire_name
from experts.evaluation.suites.rows import Row, read_rows
from experts.training.make_tool_calls import bfcl_rows, sgd_rows
from experts.training.write_sample import Sources, run

_KINDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "PERSON": ("person", "Name of the person"),
        "STREET_ADDRESS": ("street_address", "Street address"),
        "GPE": ("place", "City, state or country"),
        "ORGANIZATION": ("organization", "Name of the organization"),
        "CREDIT_CARD": ("card_number", "Number of the credit card"),
        "DATE_TIME": ("date", "Date or time, as it is written"),
        "TITLE": ("title", "Title or job of the person"),
        "PHONE_NUMBER": ("phone", "Phone number"),
        "AGE": ("age", "Age in years"),
        "EMAIL_ADDRESS": ("email", "E-mail address"),
        "ZIP_CODE": ("zip_code", "Zip code"),
        "DOMAIN_NAME": ("website", "Address of the website"),
        "IBAN_CODE": ("iban", "Account number (IBAN)"),
    }
)
"""Presidio's entity types as fields: name and description."""
_REQUIRED: Final = 0.6  # share of the fields that must be there
_MOST_ALIKE: Final = 4  # sentences of one template
_UNFILLED: Final = 0.3  # share of the forms with a field that the words do not fill


def presidio_rows(data: Path, rng: random.Random) -> Iterator[Row]:
    """Yield sentences with two marked spans or more, each of another type; of one template a few."""
    seen: Counter[str] = Counter()
    for number, row in enumerate(read_rows(data.parent / "guard" / "pii_presidio.jsonl.gz")):
        spans = {span["entity_type"]: span["entity_value"] for span in row["spans"]}
        is_clear = len(spans) == len(row["spans"]) >= 2 and spans.keys() <= _KINDS.keys()
        if not is_clear or "\n" in row["full_text"] or seen[row["masked"]] == _MOST_ALIKE:
            continue
        seen[row["masked"]] += 1
        value = {_KINDS[kind][0]: _read(kind, text) for kind, text in spans.items()}
        unfilled = rng.sample(sorted(_KINDS.keys() - spans.keys()), rng.random() < _UNFILLED)
        kinds = rng.sample([*spans, *unfilled], len(spans) + len(unfilled))
        required = [_KINDS[kind][0] for kind in kinds if kind in spans and rng.random() < _REQUIRED]
        properties = {_KINDS[kind][0]: _schema(kind) for kind in kinds}
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        messages = [{"role": "user", "content": row["full_text"]}]
        yield {"id": f"presidio-{number}", "messages": messages, "schema": schema, "value": value}


def sgd_forms(data: Path, rng: random.Random) -> Iterator[Row]:
    """Yield turns about services that are only in SGD's test file, as forms."""
    for row in sgd_rows(data / "tool-caller", rng):
        if len(row["calls"]) == 1 and row["calls"][0]["arguments"]:
            [call] = row["calls"]
            schema = _parameters(row, call["name"])
            yield {"id": row["id"], "messages": row["messages"], "schema": schema, "value": call["arguments"]}


def bfcl_forms(data: Path, rng: random.Random) -> Iterator[Row]:
    """Yield BFCL's requests with several tools, as the form of the right one."""
    for row in bfcl_rows(data / "tool-caller", rng):
        if row["category"] == "multiple":
            [[name, allowed]] = row["ground_truth"][0].items()
            yield {"id": row["id"], "messages": row["messages"], "schema": _parameters(row, name), "allowed": allowed}


def _parameters(row: Row, name: str) -> dict[str, Any]:
    """Return the parameters of a row's tool as a form's schema."""
    functions = [tool.get("function", tool) for tool in row["tools"]]
    found = next(function for function in functions if wire_name(function["name"]) == wire_name(name))
    return {**found["parameters"], "additionalProperties": False}


def _schema(kind: str) -> dict[str, str]:
    return {"type": "integer" if kind == "AGE" else "string", "description": _KINDS[kind][1]}


def _read(kind: str, text: str) -> int | str:
    return int(text) if kind == "AGE" else text


SOURCES: Final[Sources] = MappingProxyType({"presidio": presidio_rows, "sgd": sgd_forms, "bfcl": bfcl_forms})


def main(arguments: list[str] | None = None) -> int:
    """Write the rows; return the exit status."""
    return run("experts.training.make_forms", SOURCES, arguments, what="forms")


if __name__ == "__main__":
    sys.exit(main())
