"""Rows of the `tool_calls` suite out of sources that nobody trains on: `python -m experts.training.make_tool_calls`.

`sgd`: turns about the services of SGD's test file that its training file lacks: a call, or a required parameter is
missing (`missing`), so that a question is right. `metatool`: requests that need no tool, beside tools that are near to
them. `bfcl`: the `multiple` category and the even rows of `irrelevance`. Rows keep their sources' own words and calls;
SGD's turns with values that nobody said are left out.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from experts.evaluation.suites.rows import Row, read_rows
from experts.training.recipes.tasks import near_tools
from experts.training.recipes.tool_sources import is_learnt_irrelevance, sgd_tasks
from experts.training.write_sample import Sources, run

_TOOLS: Final = 3  # beside a request that needs none


def sgd_rows(folder: Path, rng: random.Random) -> Iterator[Row]:
    """Yield turns about services that are only in the test file."""
    known = {row["service"] for row in read_rows(folder / "sgd_tools_train_services.jsonl.gz")}
    for number, task in enumerate(sgd_tasks(folder, "test", without=known)):
        if not task.calls and not task.missing:
            continue
        kind = "call" if task.calls else "missing"
        yield {
            "id": f"sgd-{number}",
            "category": kind,
            "messages": [*task.history, {"role": "user", "content": task.text}],
            "tools": task.tools,
            "calls": task.calls,
            "missing": task.missing,
        }


def metatool_rows(folder: Path, rng: random.Random) -> Iterator[Row]:
    """Yield requests that need no tool, with tools whose descriptions share words with them."""
    tools = [_plugin(row) for row in read_rows(folder / "metatool_tools.jsonl.gz")]
    for number, row in enumerate(read_rows(folder / "metatool_need_tool_or_not.jsonl.gz")):
        if not row["needs_tool"]:
            yield {
                "id": f"metatool-{number}",
                "category": "irrelevance",
                "messages": [{"role": "user", "content": row["query"]}],
                "tools": near_tools(row["query"], tools, (), _TOOLS, rng),
                "calls": [],
            }


def bfcl_rows(folder: Path, rng: random.Random) -> Iterator[Row]:
    """Yield the rows that the recipe leaves out."""
    for row in read_rows(folder / "bfcl.jsonl.gz"):
        if row["category"] == "multiple" or (row["category"] == "irrelevance" and not is_learnt_irrelevance(row)):
            yield row


def _plugin(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a tool that has a description alone the one parameter that such tools have: what is asked."""
    query = {"query": {"type": "string", "description": "What to ask the tool"}}
    schema = {"type": "object", "properties": query, "required": ["query"]}
    return {"function": {"name": row["name"], "description": row["description"], "parameters": schema}}


SOURCES: Final[Sources] = MappingProxyType({"sgd": sgd_rows, "metatool": metatool_rows, "bfcl": bfcl_rows})


def main(arguments: list[str] | None = None) -> int:
    """Write the rows; return the exit status."""
    return run("experts.training.make_tool_calls", SOURCES, arguments, folder="tool-caller")


if __name__ == "__main__":
    sys.exit(main())
