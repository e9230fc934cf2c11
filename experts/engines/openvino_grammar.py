"""A constraint for OpenVINO GenAI: what its sampler lets a sequence say, token by token (XGrammar underneath).

Only `experts.engines.openvino` uses it. A grammar that does not compile fails inside the step that serves every
sequence, and the pipeline cannot be used afterwards (measured with 2026.4). `experts.json_schema.grammar` therefore
writes every grammar itself, from schemas that `experts.json_schema.reduction` has reduced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, Final

from experts.conversation.tool_calls import CLOSE, OPEN
from experts.engine import Constraint, InvalidRequest, JsonAnswer, ToolAnswer
from experts.json_schema.conformance import Schema
from experts.json_schema.grammar import MAX_CHARS, grammar_of, grammar_of_calls, grammar_of_plan, grammar_of_words
from experts.json_schema.references import MAX_STEPS, with_references

_STEPS: Final = (MAX_STEPS, 10, 8, 6, 5, 4, 3)  # of a plan, as many as the grammar has room for
_ANY_OBJECT: Final = {"type": "object"}
_MARKUP: Final = OPEN[: OPEN.index("_") + 1]  # how calls begin, and results as the model is shown them
_END: Final = f"}}{CLOSE}"


def structured_output(genai: Any, constraint: Constraint) -> Any:  # noqa: ANN401  # the library ships no types
    """Build the library's configuration."""
    kind = genai.StructuredOutputConfig
    if isinstance(constraint, JsonAnswer):
        return kind(grammar=_grammar(constraint.schema))
    if not constraint.tools:
        return kind(grammar=grammar_of_words(_MARKUP))
    if constraint.is_plan:
        return kind(grammar=_plan(constraint))
    if constraint.form is not None:
        return kind(grammar=_form_or_calls(constraint.form, constraint.tools, at_most_one=constraint.at_most_one))
    return kind(structural_tags_config=_calls(kind, constraint))


@lru_cache(maxsize=128)
def _grammar(schema: str) -> str:
    return grammar_of(json.loads(schema))


@lru_cache(maxsize=128)
def _form_or_calls(form: str, tools: tuple[tuple[str, str], ...], *, at_most_one: bool) -> str:
    calls = [(_begin(name), json.loads(schema), _END) for name, schema in tools]
    return grammar_of_calls(json.loads(form), calls, at_most_one=at_most_one)


@lru_cache(maxsize=128)
def _plan(answer: ToolAnswer) -> str:
    """A plan, or what else the answer may be: the form, or words.

    With many tools a plan has fewer steps, and in the end arguments are objects whose values refer to earlier steps.
    """
    tools = [(name, json.loads(schema)) for name, schema in answer.tools]
    loose = [(name, _ANY_OBJECT) for name, _ in tools]
    form = json.loads(answer.form) if answer.form is not None else None
    may_say_words = not answer.must_call and form is None
    least = sum(len(_begin(name)) for name, _ in tools)  # characters of each step
    for offered, steps in (*((tools, most) for most in _STEPS), *((loose, most) for most in _STEPS), (loose, 1)):
        most = 1 if answer.at_most_one else steps
        if least * most > MAX_CHARS:
            continue
        step = partial(_step, offered)
        grammar = grammar_of_plan(step, most, form, may_say_words=may_say_words, trigger=_MARKUP)
        if grammar is not None:
            return grammar
    raise InvalidRequest("the tools are too many for a plan")


def _step(tools: Sequence[tuple[str, Schema]], number: int) -> Iterator[tuple[str, Schema, str]]:
    """List what a step may call."""
    return ((_begin(name, number), with_references(schema, number), _END) for name, schema in tools)


def _begin(name: str, number: int | None = None) -> str:
    step = "" if number is None else f'"id": {number}, '
    return f'{OPEN}{{{step}"name": {json.dumps(name)}, "arguments": '


def _calls(kind: Any, answer: ToolAnswer) -> Any:  # noqa: ANN401  # likewise
    """Nothing but calls, a line each; or words in which a call may begin at any place."""
    tags = [
        kind.Tag(
            begin=_begin(name),
            content=kind.EBNF(_grammar(schema)),
            end=_END,
        )
        for name, schema in answer.tools
    ]
    if answer.must_call:
        return kind.TagsWithSeparator(tags=tags, separator="\n", at_least_one=True, stop_after_first=answer.at_most_one)
    return kind.TriggeredTags(triggers=[OPEN], tags=tags, at_least_one=False, stop_after_first=answer.at_most_one)
