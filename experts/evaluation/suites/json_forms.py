"""The `json` suite: are all fields of a form, asked for by a JSON schema, filled in right?

Reads rows `{messages, schema, value}`, or with `allowed`, for each key a list of right values, in place of `value`: ""
among them = the key may be left out. The schema goes along as `response_format`, so that whoever answers is held to it.
Values agree by BFCL's rules (`ast_rules`): case and punctuation do not count. Scores:

* `all_fields`: every field is right, and none is there that the words do not say.
* `verbatim`: the same to the letter; rows with a `value` alone.
* `valid`: it is JSON and follows the schema.
* `complete`: no field is left out. `nothing_invented`: no field is there that the words do not say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from experts.evaluation.suites.ast_rules import Call, Wanted, exactly, fits
from experts.evaluation.suites.rows import Row, RowError
from experts.evaluation.suites.scores import Score, Verdict
from experts.evaluation.suites.suite import Case, Reply, field, read_messages
from experts.json_schema.conformance import conforms, is_same
from experts.json_schema.reduction import SchemaError, reduce_schema
from protos import chat_pb2

_FORM = "form"  # a form is judged as the arguments of a call by this name


class JsonSuite:
    """Implements `experts.evaluation.suites.suite.Suite`."""

    def read(self, row: Row, index: int) -> Case:
        """Turn a row into a case that asks for the row's schema."""
        name = str(row.get("id", index))
        schema = field(row, "schema", dict, name)
        try:
            reduce_schema(schema, "loose")
        except SchemaError as error:
            raise RowError(f"{name}: schema: {error}") from None
        wanted_fields(row, name)
        form = chat_pb2.ResponseFormat(
            type=chat_pb2.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=json.dumps(schema, ensure_ascii=False)
        )
        return Case(name, chat_pb2.Conversation(messages=read_messages(row, name), response_format=form), row)

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Compare the object with what the row wants."""
        row, made = case.row, _object(reply.text)
        wanted, fields = wanted_fields(row, case.name), made or {}
        verdict: dict[str, bool | float] = {
            "all_fields": made is not None and fits(Wanted(_FORM, wanted), Call(_FORM, fields), row["schema"]),
            "valid": made is not None and conforms(made, reduce_schema(row["schema"], "loose")),
            "complete": made is not None and all(key in fields or "" in allowed for key, allowed in wanted.items()),
            "nothing_invented": all(key in wanted for key in fields),
        }
        return verdict | ({"verbatim": is_same(made, row["value"])} if "value" in row else {})

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return nothing: every score is a mean of verdicts."""
        return {}


def wanted_fields(row: Row, where: str) -> Mapping[str, Sequence[Any]]:
    """Return the values allowed for each field.

    Raises:
        RowError: the row has neither `value` nor `allowed`, or one of another shape.
    """
    if "value" in row:
        return exactly(field(row, "value", dict, where))
    allowed: dict[str, list[Any]] = field(row, "allowed", dict, where)
    if not all(isinstance(values, list) for values in allowed.values()):
        raise RowError(f"{where}: 'allowed' has a field without a list of values")
    return allowed


def _object(text: str) -> dict[str, Any] | None:
    try:
        read = json.loads(text)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
