"""Requests with the tools that they need, and catalogues of tools, as public sources shape them.

`tool_selection` fits on them and `router.evaluation.tool_selection` judges on them. A file's name tells its shape:
BFCL, Seal-Tools, SGD and MetaTool as their authors have them; any other is read as rows
`{messages | query, tools, gold | plan}` with OpenAI's tools.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from router.errors import DatasetError
from router.tools.index import ToolText
from router.training.dataset import read_json_lines

BEFORE_TURNS: Final = 3
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its newest turn, what was said before, and the names of the tools that it needs."""

    newest: str
    before: str
    gold: frozenset[str]


@dataclass(frozen=True, slots=True)
class Source:
    """One source: its group (what is held out together), its requests, and all of its tools by name."""

    name: str
    group: str
    asked: Sequence[Asked]
    tools: Mapping[str, ToolText]


def read_source(path: Path) -> list[Source]:
    """Read a file: one source, or one for each category of BFCL.

    Raises:
        DatasetError: it cannot be read, or a row has another shape.
    """
    name = path.name.partition(".")[0]
    group = name.partition("_")[0]
    read = READERS.get(group, _plain)
    try:
        return [source for source in read(path, name, group) if source.asked]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise DatasetError(f"{path.name}: a row has another shape ({type(error).__name__})") from None


def _bfcl(path: Path, name: str, group: str) -> Iterator[Source]:
    rows = [row for _, row in read_json_lines(path)]
    for category in dict.fromkeys(row["category"] for row in rows if row["category"] != "irrelevance"):
        of_it = [row for row in rows if row["category"] == category]
        asked = [Asked(*_turns(row), frozenset(next(iter(call)) for call in row["ground_truth"])) for row in of_it]
        yield Source(f"{name}_{category}", group, asked, _offered(of_it))


def _seal(path: Path, name: str, group: str) -> Iterator[Source]:
    rows = [row for _, row in read_json_lines(path) if row["calls"]]
    asked = [Asked(*_turns(row), frozenset(call["name"] for call in row["calls"])) for row in rows]
    yield Source(name, group, asked, _offered(rows))


def _metatool(path: Path, name: str, group: str) -> Iterator[Source]:
    catalogue = path.with_name(f"metatool_tools{''.join(path.suffixes)}")
    tools = {row["name"]: ToolText(row["name"], row["description"], {}) for _, row in read_json_lines(catalogue)}
    rows = [row for _, row in read_json_lines(path)]
    gold = [[row["tool"]] if isinstance(row["tool"], str) else row["tool"] for row in rows]
    yield Source(name, group, [Asked(r["query"], "", frozenset(g)) for r, g in zip(rows, gold, strict=True)], tools)


def _sgd(path: Path, name: str, group: str) -> Iterator[Source]:
    services = path.with_name(f"{name}_services{''.join(path.suffixes)}")
    tools = {}
    for _, row in read_json_lines(services):
        for function in row["functions"]:
            full = f"{row['service']}_{function['name']}"
            tools[full] = ToolText(full, function["description"], function["parameters"])
    asked = [
        Asked(*_turns(row), frozenset(f"{call['service']}_{call['name']}" for call in row["calls"]))
        for _, row in read_json_lines(path)
        if row["calls"]
    ]
    yield Source(name, group, asked, tools)


def _plain(path: Path, name: str, group: str) -> Iterator[Source]:
    rows = [row for _, row in read_json_lines(path)]
    gold = [row["gold"] if "gold" in row else [step["tool"] for step in row["plan"]] for row in rows]
    asked = [Asked(*_turns(row), frozenset(names)) for row, names in zip(rows, gold, strict=True)]
    yield Source(name, group, asked, _offered(rows))


def _turns(row: Json) -> tuple[str, str]:
    """Return the newest turn, and the few before it."""
    if "query" in row:
        return row["query"], ""
    *before, newest = [str(message["content"] or "") for message in row["messages"]]
    return newest, "\n".join(before[-BEFORE_TURNS:])


def _offered(rows: Sequence[Json]) -> dict[str, ToolText]:
    functions = [tool.get("function", tool) for row in rows for tool in row["tools"]]
    return {f["name"]: ToolText(f["name"], f.get("description") or "", f.get("parameters") or {}) for f in functions}


READERS: Final[Mapping[str, Callable[[Path, str, str], Iterator[Source]]]] = {
    "bfcl": _bfcl, "seal": _seal, "metatool": _metatool, "sgd": _sgd,
}  # fmt: skip
