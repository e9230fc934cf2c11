"""The request as the core sees it: what it derives from what came in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.reduction import SchemaError
from protos import chat_pb2 as chat
from serve.errors import InvalidRequest
from serve.request import ANYONE, PRIORITY_HEADER, UNLIMITED, Limit, Priority, read_priority, reduced_form
from tests.helpers import chat_request

SCHEMA = json.dumps({"type": "object", "title": "x", "properties": {"a": {"type": "string"}}})
Format = chat.ResponseFormat


def with_form(form: chat.ResponseFormat) -> chat.Conversation:
    return chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="x")], response_format=form)


@pytest.mark.parametrize(
    ("model", "pinned"), [("", None), ("auto", None), ("moegate", None), ("coder", "coder"), ("Auto", "Auto")]
)
def test_a_named_expert_is_pinned(model: str, pinned: str | None) -> None:
    assert chat_request(model=model).pinned == pinned


@pytest.mark.parametrize(
    ("form", "needs_structure", "schema"),
    [
        (Format(), False, ""),
        (Format(type=Format.TYPE_JSON_OBJECT), True, ""),
        (
            Format(type=Format.TYPE_JSON_SCHEMA, schema_json=SCHEMA),
            True,
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": []},
        ),
    ],
)
def test_a_form_is_needed_and_its_schema_reduced(
    form: chat.ResponseFormat, needs_structure: bool, schema: str | dict[str, object]
) -> None:
    request = chat_request(input=with_form(form))
    assert request.needs_structure == needs_structure
    assert (json.loads(request.reduced_schema) if request.reduced_schema else "") == schema


def test_raw_text_has_no_form_and_no_documents() -> None:
    request = chat_request(input="Once upon a time")
    assert (request.needs_structure, request.has_documents, request.reduced_schema) == (False, False, "")


def test_documents_can_be_cited() -> None:
    conversation = chat.Conversation(documents=[chat.Document(text="x")])
    assert chat_request(input=conversation).has_documents
    assert not chat_request().has_documents


def test_a_strict_schema_keeps_what_a_loose_one_leaves_out_or_is_refused() -> None:
    schema = json.dumps({"type": "string", "pattern": r"(x)\1"})
    loose = Format(type=Format.TYPE_JSON_SCHEMA, schema_json=schema)
    assert json.loads(reduced_form(loose)) == {"type": "string"}
    loose.strict = True
    with pytest.raises(SchemaError):
        reduced_form(loose)


@pytest.mark.parametrize(
    ("header", "priority"),
    [(None, Priority.INTERACTIVE), ("interactive", Priority.INTERACTIVE), ("batch", Priority.BATCH)],
)
def test_a_class_of_priority_is_read_by_its_name(header: str | None, priority: Priority) -> None:
    assert read_priority({PRIORITY_HEADER: header}.get) is priority


@given(st.text().filter(lambda text: text not in {"interactive", "batch"}))
def test_no_other_word_is_a_priority(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_priority({PRIORITY_HEADER: text}.get)
    assert caught.value.param == PRIORITY_HEADER


@pytest.mark.parametrize(("usd", "pico"), [(None, None), (0, 0), (1.5, 1_500_000_000_000), (1e-12, 1), (0.1, 10**11)])
def test_a_budget_is_whole_picodollars(usd: float | None, pico: int | None) -> None:
    assert Limit(None, None, usd).pico == pico


@pytest.mark.parametrize("limit", [Limit(0, None, None), Limit(None, 0, None), Limit(None, None, 0.0)])
def test_a_limit_of_0_is_a_limit(limit: Limit) -> None:
    assert not limit.is_none
    assert UNLIMITED.is_none
    assert ANYONE.limit is UNLIMITED
