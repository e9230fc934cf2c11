"""The OpenAPI document: valid, complete, and the same as what the door does."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from router.decision import Reason
from serve.doors.http_api.doors import doors
from serve.doors.http_api.openapi import openai_document
from serve.doors.openai_api.responses.store import ResponseStore
from serve.errors import MoegateError
from serve.settings.responses import ResponsesSettings

DOORS = doors(ResponseStore(ResponsesSettings(store=False)))
DOCUMENT = openai_document(DOORS)
HELLO = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
ASKED = {
    "/v1/chat/completions": HELLO,
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi"},
    "/v1/responses/input_tokens": {"input": "hi"},
    "/v1/messages": {**HELLO, "max_tokens": 9},
    "/v1/messages/count_tokens": HELLO,
}
GENERATING = tuple(DOORS)


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def tree(kind: type[MoegateError]) -> Iterator[type[MoegateError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_every_reference_leads_somewhere() -> None:
    references = {node["$ref"] for node in walk(DOCUMENT) if isinstance(node.get("$ref"), str)}
    assert "#/components/schemas/Error" in references
    for reference in references:
        found: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found["type"] == "object"


@pytest.mark.parametrize("path", GENERATING)
def test_every_status_of_an_error_is_told(path: str) -> None:
    told = set(DOCUMENT["paths"][path]["post"]["responses"])
    raised = {str(kind.http_status) for kind in tree(MoegateError)} - {"405"}
    assert told - {"200"} == raised


def test_every_reason_is_told() -> None:
    headers = DOCUMENT["paths"][GENERATING[0]]["post"]["responses"]["200"]["headers"]
    said = set(re.findall(r"[a-z_]+", headers["x-moegate-reason"]["description"]))
    assert said >= {reason.value for reason in Reason}


@pytest.mark.parametrize("path", GENERATING)
async def test_every_header_that_is_told_comes_and_is_of_its_type(http: httpx2.AsyncClient, path: str) -> None:
    answer = await http.post(path, json=ASKED[path])
    for name, told in DOCUMENT["paths"][path]["post"]["responses"]["200"]["headers"].items():
        if name == "x-moegate-form":  # comes with a response_format alone (tests/serve/test_response_format.py)
            continue
        assert name in answer.headers
        if told["schema"]["type"] == "number":
            float(answer.headers[name])


async def test_every_path_that_is_told_is_there(http: httpx2.AsyncClient) -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            answer = await http.request(method, path.replace("{name}", "coder"))
            if "{id}" not in path:  # nothing is kept yet
                assert answer.status_code not in (404, 405), (method, path)
            told = operation["responses"].get(str(answer.status_code))
            assert told is not None, (method, path, answer.status_code)
            if answer.status_code == 200:
                kind = answer.headers["content-type"].partition(";")[0]
                assert kind in told["content"], path
    assert (await http.get("/openapi.json")).json() == DOCUMENT


async def test_every_request_header_that_is_told_is_read(http: httpx2.AsyncClient) -> None:
    """One that must be a number is refused by name where it is none."""
    body = {"model": "coder", "messages": [{"role": "user", "content": "hi"}]}
    for parameter in DOCUMENT["paths"][GENERATING[0]]["post"]["parameters"]:
        if parameter["schema"]["type"] == "number":
            answer = await http.post(GENERATING[0], json=body, headers={parameter["name"]: "soon"})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, parameter["name"])


def test_what_is_not_offered_says_so() -> None:
    chat = DOCUMENT["components"]["schemas"]["ChatCompletionBody"]["properties"]
    assert chat["audio"]["enum"] == [None]
    assert chat["functions"]["enum"] == [None, []]
