"""Forms to fill in: JSON by a schema out of sentences that are made, and out of requests whose call is known.

A form asks for some of what a sentence says (`seeds/forms.yaml`), under names of many kinds, some fields required and
some not; now and then for something that it does not say, which must then be left out. A request's form is the
parameters of the tool that it wants. The prompt is what serving renders for `response_format`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from experts.training.recipes.checks import fits_schema
from experts.training.recipes.made_values import draw
from experts.training.recipes.said_value import Value
from experts.training.recipes.sample import Json, Sample, read_messages
from experts.training.recipes.tasks import Task, restyle, styles, tool_name
from protos import chat_pb2

_FILE: Final = Path(__file__).parent / "seeds" / "forms.yaml"
_ASKED: Final = 0.75  # share of what a sentence says that a form asks for
_REQUIRED: Final = 0.6  # share of the fields that must be there
_UNFILLED: Final = 0.35  # share of the forms with a field that the words do not fill
_RENAMED: Final = 0.5  # share of the fields under another name than the slot's
_DESCRIBED: Final = 0.8  # share of the forms whose fields say what they are
_RESTYLED: Final = 0.25
_BEFORE: Final = ("", "", "", "", "Extract the fields: ", "Fill in the form from this: ", "From this text: ")


def made_forms(count: int, rng: random.Random) -> Iterator[Sample]:
    """Make forms out of sentences."""
    for _ in range(count):
        yield _form_of_a_sentence(rng)


def forms_of(tasks: Sequence[Task], count: int, rng: random.Random) -> Iterator[Sample]:
    """Draw requests with one call, and ask for the call's arguments as a form; values that nobody said are none."""
    fit = [task for task in tasks if len(task.calls) == 1 and task.calls[0]["arguments"]]
    for task in rng.sample(fit, min(count, len(fit))):
        changed = restyle(task, rng.choice(styles())) if rng.random() < _RESTYLED else task
        [call] = changed.calls
        tool = next(tool for tool in changed.tools if tool_name(tool) == call["name"])
        schema = {**(tool["function"].get("parameters") or {}), "additionalProperties": False}
        if schema.get("properties") and fits_schema(call["arguments"], schema):
            messages = [*changed.history, {"role": "user", "content": changed.text}]
            yield form_sample(messages, schema, call["arguments"])


def form_sample(messages: Sequence[Json], schema: Json, value: Json) -> Sample:
    """Ask for a form; the answer has its fields in the schema's order."""
    form = chat_pb2.ResponseFormat(
        type=chat_pb2.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=json.dumps(schema, ensure_ascii=False)
    )
    ordered = {key: value[key] for key in schema["properties"] if key in value}
    conversation = chat_pb2.Conversation(messages=read_messages(messages), response_format=form)
    return Sample(conversation, json.dumps(ordered, ensure_ascii=False))


@cache
def _sentences() -> Sequence[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = yaml.safe_load(_FILE.read_text("utf-8"))
    return found


def _form_of_a_sentence(rng: random.Random) -> Sample:
    one = rng.choice(_sentences())
    fields = one["fields"]
    values = {slot: draw(kind, None, rng) for slot, (kind, *_) in fields.items()}
    values |= {slot: draw(kind, None, rng) for slot, kind in one.get("others", {}).items()}
    text = rng.choice(one["says"]).format_map({slot: value.said for slot, value in values.items()})
    text = rng.choice(_BEFORE) + text
    asked = [slot for slot in fields if rng.random() < _ASKED] or [next(iter(fields))]
    is_described = rng.random() < _DESCRIBED
    properties: dict[str, Any] = {}
    said: dict[str, Any] = {}  # JSON
    required: list[str] = []
    for slot in rng.sample(asked, len(asked)):
        key = _named(slot, fields[slot][2:], properties, rng)
        properties[key] = _field(values[slot], fields[slot][1] if is_described else "")
        said[key] = values[slot].value
        required += [key] if rng.random() < _REQUIRED else []
    if rng.random() < _UNFILLED:
        properties |= _unfilled(one, properties, rng)
    keys = rng.sample(list(properties), len(properties))
    schema = {
        "type": "object",
        "properties": {key: properties[key] for key in keys},
        "required": required,
        "additionalProperties": False,
    }
    return form_sample([{"role": "user", "content": text}], schema, said)


def _named(slot: str, others: Sequence[str], taken: Mapping[str, Any], rng: random.Random) -> str:
    free = [name for name in others if name not in taken]
    return rng.choice(free) if free and rng.random() < _RENAMED else slot


def _field(value: Value, about: str) -> dict[str, Any]:
    told = ", ".join(filter(None, [about, value.note]))
    return {**value.schema, **({"description": told} if told else {})}


def _unfilled(one: Mapping[str, Any], taken: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """Take a field of another sentence, of a kind that this one says nothing of."""
    kinds = {kind for kind, *_ in one["fields"].values()} | set(one.get("others", {}).values())
    strange = [
        (slot, field)
        for other in _sentences()
        for slot, field in other["fields"].items()
        if field[0] not in kinds and slot not in taken
    ]
    slot, (kind, about, *_) = rng.choice(strange)
    return {slot: _field(draw(kind, None, rng), about)}
