"""Tasks for the tool-caller out of data files, in one shape.

Never read here, to measure on whole: BFCL's `multiple` and the even rows of its `irrelevance`, Seal-Tools'
out-of-domain file, API-Bank, MetaTool, and the services of SGD's test file that its training file lacks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.sample import Json, one_shape
from experts.training.recipes.tasks import Task

_BFCL_LEARNT: Final = frozenset({"simple_python", "parallel", "parallel_multiple"})
_INTENTS: Final = Path(__file__).parent / "seeds" / "intents.yaml"
_MOST_TURNS: Final = 5


def read_tasks(folder: Path, source: str) -> list[Task]:
    """Read what can be learnt from of a source.

    Raises:
        RowError: a file cannot be read.
        BadSample: a row has another shape.
    """
    with one_shape(source):
        return list(SOURCES[source](folder))


def seal_tasks(folder: Path) -> Iterator[Task]:
    """Read Seal-Tools."""
    for name in ("seal_tools_dev.jsonl.gz", "seal_tools_in_domain.jsonl.gz"):
        for row in read_rows(folder / name):
            yield Task(row["messages"][-1]["content"], row["tools"], row["calls"])


def bfcl_tasks(folder: Path) -> Iterator[Task]:
    """Read the categories of BFCL that are learnt from."""
    for row in read_rows(folder / "bfcl.jsonl.gz"):
        if row["category"] in _BFCL_LEARNT or is_learnt_irrelevance(row):
            calls = [_first_allowed(call) for call in row["ground_truth"]]
            yield Task(row["messages"][-1]["content"], row["tools"], calls)


def is_learnt_irrelevance(row: Json) -> bool:
    """Say whether a BFCL row is one of the irrelevant ones to learn from: those with odd numbers."""
    return row["category"] == "irrelevance" and int(str(row["id"]).rsplit("_", 1)[1]) % 2 == 1


def sgd_tasks(folder: Path, split: str = "train", without: Collection[str] = ()) -> Iterator[Task]:
    """Read SGD's turns: a call, a question for what is missing, or words alone, after a few turns at most.

    Turns that have one of the services `without` are left out.

    Its calls have values that nobody said ("SF" is San Francisco, "the 6th" a day of March 2019): these are left out.
    """
    services = {row["service"]: row["functions"] for row in read_rows(folder / f"sgd_tools_{split}_services.jsonl.gz")}
    for row in read_rows(folder / f"sgd_tools_{split}.jsonl.gz"):
        tools = [{"function": function} for service in row["services"] for function in services[service]]
        calls = [{"name": call["name"], "arguments": call["arguments"]} for call in row["calls"]]
        spoken = " ".join(message["content"] for message in row["messages"]).lower()
        is_known = any(service in without for service in row["services"])
        if is_known or len(row["messages"]) > _MOST_TURNS or not all(_was_said(call, tools, spoken) for call in calls):
            continue
        *history, last = row["messages"]
        reply = "" if calls else row["reply"]
        yield Task(last["content"], tools, calls, reply, history, row.get("missing") or ())


def _was_said(call: Json, tools: Sequence[Json], spoken: str) -> bool:
    """Say whether each value stands in the words, or is one of a few that the tool names."""
    functions = {tool["function"]["name"]: tool["function"] for tool in tools}
    properties = functions[call["name"]]["parameters"]["properties"]
    return all("enum" in properties.get(key, {}) or value.lower() in spoken for key, value in call["arguments"].items())


def snips_tasks(folder: Path) -> Iterator[Task]:
    """Read SNIPS: one call each, with values as they stand in the text."""
    known = intents()
    for row in read_rows(folder / "snips_train.jsonl.gz"):
        yield from _intent_task(row["text"], row["name"], row["arguments"], known)


def xsid_tasks(folder: Path) -> Iterator[Task]:
    """Read xSID: the same in a dozen languages."""
    known = intents()
    for row in read_rows(folder / "xsid_valid.jsonl.gz"):
        slots = {name.rsplit("/", 1)[-1]: value for name, value in row["slots"].items()}
        yield from _intent_task(row["text"], row["intent"].rsplit("/", 1)[-1], slots, known)


def intents() -> dict[str, dict[str, Any]]:
    """Read the intents as tools, by the intents' names."""
    content = yaml.safe_load(_INTENTS.read_text("utf-8"))
    return {name: _intent_tool(str(intent.get("name", name)), intent) for name, intent in content.items()}


def plain_requests(data: Path, rng: random.Random, count: int) -> list[str]:
    """Draw requests that no tool is for: sums, code, questions, chat."""
    folders = {
        "generalist/gsm8k_train.jsonl.gz": lambda row: row["question"],
        "coder/mbpp_train.jsonl.gz": lambda row: row["messages"][-1]["content"],
        "advisor/halueval_ok.jsonl.gz": lambda row: row["messages"][-1]["content"],
        "advisor/koala_test_prompts.jsonl.gz": _prompt,
    }
    found: list[str] = []
    for name, read in folders.items():
        with one_shape(name):
            texts = [text for row in read_rows(data / name) if 10 < len(text := read(row)) < 300]
        found += rng.sample(texts, min(len(texts), -(-count // len(folders))))
    return rng.sample(found, min(count, len(found)))


def _prompt(row: Json) -> str:
    return str(row["messages"][-1]["content"] if "messages" in row else row["prompt"])


def _intent_tool(name: str, intent: Mapping[str, Any]) -> dict[str, Any]:
    properties = {key: {"type": "string", "description": about} for key, about in intent["parameters"].items()}
    schema = {"type": "object", "properties": properties, "required": intent["needs"]}
    return {"function": {"name": name, "description": intent["about"], "parameters": schema}}


def _intent_task(text: str, name: str, arguments: Mapping[str, str], known: Mapping[str, Json]) -> Iterator[Task]:
    tool = known.get(name)
    if tool is not None and all(isinstance(value, str) and value in text for value in arguments.values()):
        call = {"name": tool["function"]["name"], "arguments": dict(arguments)}
        yield Task(text, [tool], [call])


def _first_allowed(call: Json) -> dict[str, Any]:
    """Write BFCL's allowed values as one call; what may be left out is left out."""
    [(name, allowed)] = call.items()
    arguments = {key: _settled(values[0]) for key, values in allowed.items() if "" not in values}
    return {"name": name, "arguments": arguments}


def _settled(value: Any) -> Any:  # JSON
    """Resolve the allowed values inside an object, which BFCL lists one level down."""
    if isinstance(value, dict):
        return {key: inner[0] if isinstance(inner, list) and inner else inner for key, inner in value.items()}
    return value


def tools_of(tasks: Sequence[Task]) -> list[Json]:
    """List the tools beside tasks, each once."""
    return list({tool["function"]["name"]: tool for task in tasks for tool in task.tools}.values())


SOURCES: Final[Mapping[str, Callable[[Path], Iterator[Task]]]] = MappingProxyType(
    {"bfcl": bfcl_tasks, "seal": seal_tasks, "sgd": sgd_tasks, "snips": snips_tasks, "xsid": xsid_tasks}
)
