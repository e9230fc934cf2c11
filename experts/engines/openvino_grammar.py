"""A constraint for OpenVINO GenAI: what its sampler lets a sequence say, token by token (XGrammar underneath).

Only `experts.engines.openvino` uses it. A grammar that does not compile fails inside the step that serves every
sequence, and the pipeline cannot be used afterwards (measured with 2026.4). `experts.json_schema.grammar` therefore
writes every grammar itself, from schemas that `experts.json_schema.reduction` has reduced.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

from experts.conversation.tool_calls import CLOSE, OPEN
from experts.engine import Constraint, JsonAnswer, ToolAnswer
from experts.json_schema.grammar import grammar_of, grammar_of_calls

_END: Final = f"}}{CLOSE}"


def structured_output(genai: Any, constraint: Constraint) -> Any:  # noqa: ANN401  # the library ships no types
    """Build the library's configuration."""
    kind = genai.StructuredOutputConfig
    if isinstance(constraint, JsonAnswer):
        return kind(grammar=_grammar(constraint.schema))
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


def _begin(name: str) -> str:
    return f'{OPEN}{{"name": {json.dumps(name)}, "arguments": '


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
