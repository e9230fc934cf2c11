"""The list of doors: each answers in its own form, and errors have the form of the door that they belong to."""

import pytest

from serve.doors.anthropic_api.errors import ANTHROPIC_ERRORS
from serve.doors.http_api.doors import doors, errors_at
from serve.doors.openai_api.errors import OPENAI_ERRORS
from serve.doors.openai_api.responses.store import ResponseStore
from serve.settings.responses import ResponsesSettings

DOORS = doors(ResponseStore(ResponsesSettings(store=False)))


@pytest.mark.parametrize(
    ("path", "errors"),
    [
        ("/v1/messages", ANTHROPIC_ERRORS),
        ("/v1/messages/count_tokens", ANTHROPIC_ERRORS),
        ("/v1/messages/batches/b1", ANTHROPIC_ERRORS),
        ("/v1/messagesx", OPENAI_ERRORS),
        ("/v1/chat/completions", OPENAI_ERRORS),
        ("/v1/responses/resp_1", OPENAI_ERRORS),
        ("/v1", OPENAI_ERRORS),
        ("/", OPENAI_ERRORS),
        ("", OPENAI_ERRORS),
        ("odd", OPENAI_ERRORS),
    ],
)
def test_errors_have_the_form_of_their_door(path: str, errors: object) -> None:
    assert errors_at(path) is errors


@pytest.mark.parametrize("path", DOORS)
def test_what_is_refused_at_a_door_has_its_doors_form(path: str) -> None:
    assert errors_at(path).name == DOORS[path].errors.name


def test_answers_are_told_apart_by_their_names() -> None:
    prefixes = [form.id_prefix for form in DOORS.values()]
    assert len(set(prefixes)) == len(prefixes)
