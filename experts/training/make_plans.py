"""Rows of the `plans` suite out of sources that no recipe learns plans from: `python -m experts.training.make_plans`.

`restbench`: RestBench's requests for The Movie Database, with their paths as tools, beside paths of other requests. Its
gold is a list of paths; which step needs which is read out of them: a step with `{movie_id}` needs the latest step that
finds films, or the one before it where none does. What else its arguments are nobody says, so `args` tells nothing.
`seal`: Seal-Tools' out-of-domain requests for several calls; `API_call_0` is a reference to the first one.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from experts.evaluation.suites.rows import Row, read_rows
from experts.training.recipes.sample import Json
from experts.training.recipes.tasks import near_tools, tool_name
from experts.training.write_sample import Sources, run

_TOOLS: Final = 8  # beside a request of RestBench, those that it needs among them
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_API_CALL: Final = re.compile(r"\bAPI_call_(\d+)\b")
_PEOPLE: Final = "person"
_FOUND_BY: Final = {"credits": {_PEOPLE}, "movie_credits": {"movie"}, "tv_credits": {"tv"}}
_OF_ONE_KIND: Final = frozenset({"similar", "popular", "top_rated", "recommendations", "now_playing", "latest"})


def restbench_rows(folder: Path, rng: random.Random) -> Iterator[Row]:
    """Yield requests for films and television, with the paths that answer them."""
    rows = [row for row in read_rows(folder / "planner" / "restbench_queries.jsonl.gz") if row["api"] == "tmdb"]
    paths = [[path.strip() for path in row["solution"]] for row in rows]
    pool = list({path: path_tool(path) for solution in paths for path in solution}.values())
    for number, (row, solution) in enumerate(zip(rows, paths, strict=True)):
        needed = list({path: path_tool(path) for path in solution}.values())
        others = near_tools(row["query"], pool, map(tool_name, needed), _TOOLS - len(needed), rng)
        tools = rng.sample([*needed, *others], len(needed) + len(others))
        yield {"id": f"restbench-{number}", "query": row["query"], "tools": tools, "plan": path_plan(solution)}


def path_tool(path: str) -> dict[str, Any]:
    """Make a tool of a path such as `GET /movie/{movie_id}/credits`; the data set describes it no further."""
    words = re.findall(r"\w+", _PARAMETER.sub("", path))
    names = ["query"] if "/search/" in path else _PARAMETER.findall(path)
    properties = {name: {"type": "string"} for name in names}
    schema = {"type": "object", "properties": properties, "required": names}
    return {"function": {"name": "_".join(words).lower(), "description": path, "parameters": schema}}


def path_plan(solution: Sequence[str]) -> list[dict[str, Any]]:
    """Say which step needs which."""
    plan = []
    for at, path in enumerate(solution):
        wanted = [name for name in _PARAMETER.findall(path) if name.endswith("_id")]
        arguments = {name: f"${_finder(name.removesuffix('_id'), solution[:at])}.{name}" for name in wanted if at}
        plan.append({"id": at + 1, "tool": tool_name(path_tool(path)), "args": arguments})
    return plan


def _finder(kind: str, before: Sequence[str]) -> int:
    return max((number for number, path in enumerate(before, start=1) if kind in _finds(path)), default=len(before))


def _finds(path: str) -> set[str]:
    """Say what a path's answer lists."""
    first, *_, last = [part for part in path.split("/")[1:] if not part.startswith("{")] * 2
    if first == "search":
        return {last}
    return _FOUND_BY.get(last, {first} if last in _OF_ONE_KIND else set())


def seal_rows(folder: Path, rng: random.Random) -> Iterator[Row]:
    """Yield requests for several calls."""
    for row in read_rows(folder / "tool-caller" / "seal_tools_out_domain_eval.jsonl.gz"):
        if len(row["calls"]) > 1:
            plan = [
                {"id": number, "tool": call["name"], "args": _referring(call["arguments"], number)}
                for number, call in enumerate(row["calls"], start=1)
            ]
            yield {"id": row["id"], "query": row["messages"][-1]["content"], "tools": row["tools"], "plan": plan}


def _referring(arguments: Json, number: int) -> dict[str, Any]:
    """Write references to earlier calls as plans have them; what names no earlier call stays text."""

    def reference(found: re.Match[str]) -> str:
        earlier = int(found[1]) + 1
        return f"${earlier}" if earlier < number else found[0]

    return {
        name: _API_CALL.sub(reference, value) if isinstance(value, str) else value for name, value in arguments.items()
    }


SOURCES: Final[Sources] = MappingProxyType({"restbench": restbench_rows, "seal": seal_rows})


def main(arguments: list[str] | None = None) -> int:
    """Write the rows; return the exit status."""
    return run("experts.training.make_plans", SOURCES, arguments)


if __name__ == "__main__":
    sys.exit(main())
