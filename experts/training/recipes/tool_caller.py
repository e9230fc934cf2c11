"""What the tool-caller learns from: Seal-Tools, three categories of BFCL, and hand-written seeds.

Held out completely, for measurement: BFCL's `multiple`, half of its `irrelevance` rows, and every domain of Seal-Tools'
out-of-domain file. Tools that do not fit are negatives: other rows' tools are offered beside the right ones, and in a
share of the rows the right ones are removed, so that plain words are the answer (as TinyAgent and BFCL do).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.checks import fits_schema
from experts.training.recipes.sample import BadSample, Json, Sample, ask, calls_answer, read_tools
from experts.training.recipes.seed_files import read_seeds

NO_TOOL: Final = "None of the tools can do that."
_BFCL_LEARNT: Final = frozenset({"simple_python", "parallel", "parallel_multiple"})
_MOST_TOOLS: Final = 6
_SEED_REPEATS: Final = 2
_SEAL_TASKS: Final = 700
_TAKEN_AWAY: Final = 0.06  # share of the tasks that lose their right tools
_ALONE: Final = 0.4  # share of the rest whose right tools stand alone
_AMONG_STRANGERS: Final = 0.4  # share of the rest that get other rows' tools as well


@dataclass(frozen=True, slots=True)
class Task:
    """A request, the tools beside it, and the calls it needs: none where no tool fits."""

    text: str
    tools: Sequence[Json]
    calls: Sequence[Json]


def samples(data: Path | None, seed: int) -> list[Sample]:
    """Build every sample; without `data`, out of the seeds alone.

    Raises:
        RowError: a data file cannot be read.
        BadSample: a row has another shape.
    """
    rng = random.Random(f"tool-caller {seed}")
    made = read_seeds("tool-caller") * _SEED_REPEATS
    if data is not None:
        seal = list(_seal_tasks(data / "tool-caller"))
        tasks = [*rng.sample(seal, min(_SEAL_TASKS, len(seal))), *_bfcl_tasks(data / "tool-caller")]
        pool = [tool for task in tasks for tool in task.tools]
        made += [_sample(task, rng) for task in _with_negatives(tasks, pool, rng) if _holds(task)]
    return made


def _seal_tasks(folder: Path) -> Iterator[Task]:
    for name in ("seal_tools_dev.jsonl.gz", "seal_tools_in_domain.jsonl.gz"):
        for row in read_rows(folder / name):
            yield Task(row["messages"][-1]["content"], row["tools"], row["calls"])


def _bfcl_tasks(folder: Path) -> Iterator[Task]:
    for row in read_rows(folder / "bfcl.jsonl.gz"):
        if row["category"] in _BFCL_LEARNT or is_learnt_irrelevance(row):
            yield Task(
                row["messages"][-1]["content"], row["tools"], [_first_allowed(call) for call in row["ground_truth"]]
            )


def is_learnt_irrelevance(row: Json) -> bool:
    """Say whether a BFCL row is one of the irrelevant ones to learn from: those with odd numbers."""
    return row["category"] == "irrelevance" and int(str(row["id"]).rsplit("_", 1)[1]) % 2 == 1


def _first_allowed(call: Json) -> dict[str, Any]:
    """Write BFCL's allowed values as one call; what may be left out is left out."""
    [(name, allowed)] = call.items()
    return {
        "name": name,
        "arguments": {key: _settled(values[0]) for key, values in allowed.items() if "" not in values},
    }


def _settled(value: Any) -> Any:  # JSON
    """Resolve the allowed values inside an object, which BFCL lists one level down."""
    if isinstance(value, dict):
        return {key: inner[0] if isinstance(inner, list) and inner else inner for key, inner in value.items()}
    return value


def _with_negatives(tasks: Iterable[Task], pool: Sequence[Json], rng: random.Random) -> Iterator[Task]:
    """Vary the tools beside each request.

    How many there are must not tell whether one fits: the right one often stands alone, and so does a wrong one.
    """
    for task in tasks:
        needed = {call["name"] for call in task.calls}
        right = [tool for tool in task.tools if tool["function"]["name"] in needed]
        others = [tool for tool in task.tools if tool["function"]["name"] not in needed]
        strangers = _unlike(rng.sample(pool, rng.randint(1, 3)), needed)
        if task.calls and rng.random() < _TAKEN_AWAY:
            yield Task(task.text, (_unlike(others, needed) or strangers)[: rng.randint(1, 4)], ())
            continue
        chance = rng.random()
        if chance < _ALONE and right:
            others = []
        elif chance < _ALONE + _AMONG_STRANGERS:
            others = others + strangers
        kept = right + rng.sample(others, min(len(others), max(0, _MOST_TOOLS - len(right))))
        yield Task(task.text, rng.sample(kept, len(kept)), task.calls)


def _unlike(tools: Iterable[Json], names: set[str]) -> list[Json]:
    """Drop tools of those names, and second tools of one name."""
    return list({tool["function"]["name"]: tool for tool in tools if tool["function"]["name"] not in names}.values())


def _holds(task: Task) -> bool:
    """Say whether the calls are ones that the tools allow; data sets have rows where they are not."""
    schemas = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in task.tools}
    if not task.tools or len(schemas) < len(task.tools):
        return False
    return all(call["name"] in schemas and fits_schema(call["arguments"], schemas[call["name"]]) for call in task.calls)


def _sample(task: Task, rng: random.Random) -> Sample:
    try:
        answer = calls_answer(task.calls) if task.calls else NO_TOOL
        return Sample(ask(task.text, tools=read_tools(task.tools)), answer)
    except (KeyError, TypeError) as error:
        raise BadSample(f"a task has another shape: {type(error).__name__}") from None
