"""Does an expert call better when it is shown fewer tools? `python -m loadtests.distractors --data ROWS --out FILE`.

Puts tools of other rows beside each row of the `tool_calls` suite (`--distractors`, 40), in any order; with `--select`
leaves those that the gateway's step keeps (`serve.steps.tool_selection`, the shipped selector, the settings' defaults
but for `--recall`, by the words alone).
Both files have the same rows in the same order, so `python -m experts.evaluate tool-caller --suite tool_calls` compares
them pairwise. Rows that call nothing are left out: what is to be kept for them nobody can say.

Prints, as one line of JSON, how many rows keep every tool that they need, and the share of tools and characters kept.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experts.commands.messages import complain
from experts.commands.outputs import NotOurs, claim, nothing, write
from experts.evaluation.suites.ast_rules import wire_name
from experts.evaluation.suites.rows import Row, RowError, read_rows, sample
from experts.evaluation.suites.suite import Case
from experts.evaluation.suites.tool_calls import ToolCallSuite, wanted_calls
from router.tools.index import build_index
from router.tools.selector import Selector, shipped_selector
from serve.settings.tool_selection import ToolSelectionSettings
from serve.steps.tool_selection.prepared import text_of
from serve.steps.tool_selection.step import always_kept, question_of


def crowded(rows: Sequence[Row], distractors: int, seed: int) -> list[dict[str, Any]]:
    """Put tools of other rows beside the tools of each row, in any order."""
    rng = random.Random(f"distractors {seed}")
    pool = list({_name(tool): tool for row in rows for tool in row["tools"]}.items())
    made = []
    for row in rows:
        own = {_name(tool) for tool in row["tools"]}
        others = [tool for name, tool in pool if name not in own]
        tools = [*row["tools"], *rng.sample(others, min(distractors, len(others)))]
        made.append({**row, "tools": rng.sample(tools, len(tools))})
    return made


def selected(row: Row, selector: Selector, settings: ToolSelectionSettings) -> dict[str, Any]:
    """Leave the tools that the gateway's step would."""
    asked = _case(row).conversation
    kept = selector.select(
        question_of(asked.messages),
        build_index([text_of(tool) for tool in asked.tools]),
        recall=settings.recall,
        at_most=settings.max_kept,
        always=always_kept(asked),
    ).kept
    return {**row, "tools": [row["tools"][place] for place in kept]}


def needed(row: Row) -> set[str]:
    """Return the names of the tools that a row calls."""
    return {wire_name(wanted.name) for wanted in wanted_calls(row, "")}


def figures(rows: Sequence[Row], kept: Sequence[Row]) -> dict[str, Any]:
    """Count what a selection kept of each row's tools."""
    whole = sum(needed(row) <= {_name(tool) for tool in less["tools"]} for row, less in zip(rows, kept, strict=True))
    tools, characters = (sum(map(size, kept)) / sum(map(size, rows)) for size in (_tools, _characters))
    return {"n": len(rows), "whole": whole, "tools": round(tools, 4), "characters": round(characters, 4)}


def _tools(row: Row) -> int:
    return len(row["tools"])


def _characters(row: Row) -> int:
    return len(json.dumps(row["tools"]))


def _case(row: Row) -> Case:
    return ToolCallSuite().read(row, 0)


def _name(tool: Mapping[str, Any]) -> str:
    return wire_name(str(tool.get("function", tool)["name"]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="rows of the tool_calls suite")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--distractors", type=int, default=40, help="tools of other rows (40)")
    parser.add_argument("--select", action="store_true", help="keep those that the shipped selector keeps")
    parser.add_argument("--recall", type=float, help="stated recall (the settings' default)")
    parser.add_argument("--limit", type=int, help="at most so many rows")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        claim(options.out, nothing)
        calling = [row for row in read_rows(options.data) if wanted_calls(row, "")]
        rows = sample(crowded(calling, options.distractors, options.seed), options.limit, options.seed)
        asked = {} if options.recall is None else {"recall": options.recall}
        settings, selector = ToolSelectionSettings.model_validate(asked), shipped_selector()
        kept = [selected(row, selector, settings) for row in rows] if options.select else rows
        write(options.out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))
    except (RowError, NotOurs, OSError) as error:
        complain(error)
        return 1
    print(json.dumps(figures(rows, kept)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
