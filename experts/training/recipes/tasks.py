"""What the tool-caller is asked: a request, the tools beside it, and its outcome; and what varies these."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from experts.conversation.ranking import best
from experts.training.recipes.checks import fits_schema
from experts.training.recipes.sample import Json
from protos import chat_pb2

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_HANDFUL: Final = 40  # tools among which the near ones are sought


@dataclass(frozen=True, slots=True)
class Task:
    """A request, the tools beside it, and its outcome.

    Attributes:
        calls: none where no tool fits, or where something must be asked first.
        reply: what is said without a call; empty for the sentence that no tool fits.
        history: the turns before the request, in OpenAI's shape.
        missing: required parameters that the reply asks for, where the source names them.
    """

    text: str
    tools: Sequence[Json]
    calls: Sequence[Json]
    reply: str = ""
    history: Sequence[Json] = ()
    missing: Sequence[str] = ()

    @property
    def asks(self) -> bool:
        """Whether the reply asks for what is missing."""
        return bool(self.missing)


def tool_name(tool: Json) -> str:
    """Return a tool's name."""
    return str(tool["function"]["name"])


def holds(task: Task) -> bool:
    """Say whether the calls are ones that the tools allow; data sets have rows where they are not."""
    schemas = {tool_name(tool): tool["function"].get("parameters") or {} for tool in task.tools}
    if not task.tools or len(schemas) < len(task.tools):
        return False
    return all(call["name"] in schemas and fits_schema(call["arguments"], schemas[call["name"]]) for call in task.calls)


def near_tools(text: str, pool: Sequence[Json], names: Iterable[str], count: int, rng: random.Random) -> list[Json]:
    """Draw tools of other names that share words with a request: those that are easily taken for the right one."""
    found = unlike(rng.sample(pool, min(len(pool), _HANDFUL)), set(names))
    shown = [chat_pb2.Document(title=split_name(tool_name(tool)), text=_about(tool)) for tool in found]
    return [found[at] for at in best(text, shown, count)] if count else []


def unlike(tools: Iterable[Json], names: set[str]) -> list[Json]:
    """Drop tools of those names, and second tools of one name."""
    return list({tool_name(tool): tool for tool in tools if tool_name(tool) not in names}.values())


def split_name(name: str) -> str:
    """Write a name as words: getWeather, get_weather and GetWeather are `get weather`."""
    return " ".join(_WORDS.findall(name)).lower()


def styles() -> tuple[Callable[[str], str], ...]:
    """List the manners in which names are written."""
    return (_snake, _camel, _pascal)


def restyle(task: Task, style: Callable[[str], str]) -> Task:
    """Write every name of the task in another manner: what a tool is called must not tell how it is called."""
    tools = [_restyled_tool(tool, style) for tool in task.tools]
    calls = [
        {"name": style(call["name"]), "arguments": {style(key): value for key, value in call["arguments"].items()}}
        for call in task.calls
    ]
    return replace(task, tools=tools, calls=calls)


def _restyled_tool(tool: Json, style: Callable[[str], str]) -> dict[str, Any]:
    function = dict(tool["function"])
    schema = dict(function.get("parameters") or {})
    if isinstance(schema.get("properties"), Mapping):
        schema["properties"] = {style(name): inner for name, inner in schema["properties"].items()}
        schema["required"] = [style(name) for name in schema.get("required") or ()]
    return {"function": {**function, "name": style(function["name"]), "parameters": schema}}


def _snake(name: str) -> str:
    return split_name(name).replace(" ", "_") or name


def _camel(name: str) -> str:
    first, *rest = split_name(name).split() or [name]
    return first + "".join(word.capitalize() for word in rest)


def _pascal(name: str) -> str:
    return _camel(name)[:1].upper() + _camel(name)[1:]


def _about(tool: Json) -> str:
    return str(tool["function"].get("description") or "")
