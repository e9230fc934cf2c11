"""The OpenAPI 3.1 document of the HTTP door, built from the same models that check its bodies."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from router.decision import Reason
from serve import __version__
from serve.doors.http_api.doors import Doors
from serve.doors.http_api.embeddings import PATH as EMBEDDINGS_PATH
from serve.doors.http_api.feedback import FeedbackBody
from serve.doors.http_api.guard import PATH as GUARD_PATH
from serve.doors.http_api.guard import GuardBody
from serve.doors.http_api.operate import PATH as OPERATE_PATH
from serve.doors.openai_api.embeddings import EmbeddingsBody
from serve.doors.openai_api.errors import OPENAI_ERRORS
from serve.doors.openai_api.vector_stores import VectorStoreSearchBody
from serve.doors.wire_form import ErrorForm, WireForm
from serve.request import PRIORITY_HEADER
from serve.routing.preferences import PREVIOUS_EXPERT_HEADER, QUALITY_COST_HEADER, TTFT_TARGET_HEADER

_REF: Final = "#/components/schemas/{model}"
_STATUSES: Final = {
    "400": "The request is malformed, out of range, or longer than the context window",
    "401": "No API key, or a wrong one",
    "403": "A web page of another origin asks, and http.cors.allow_origins does not list it",
    "404": "No such model",
    "408": "The deadline passed",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "422": "Experts failed on this request wherever it was sent",
    "429": "At capacity, or the key's limits are reached; see Retry-After",
    "431": "The request's head is too large",
    "500": "A fault of the gateway",
    "502": "The expert broke after its first token, of an answer that was asked for whole",
    "504": "Or fell silent",
    "503": "No expert can answer; see Retry-After",
}
_ROUTING_HEADERS: Final = {
    "x-moegate-expert": "The expert that answered",
    "x-moegate-reason": f"Why it did: one of {', '.join(Reason)}",
    "x-moegate-confidence": "Its probability, 0..1",
    "x-moegate-ranking": "Every expert and its probability, best first: name=p,name=p",
    "x-moegate-overhead-ms": "Milliseconds the gateway itself took before dispatch",
    "x-moegate-form": "Only with a response_format, on whole answers: ok, second_attempt, invalid or cut",
    "x-moegate-router": "Content hash of the router's artefact",
    "x-request-id": "The caller's x-request-id, or ours",
}

_REQUEST_HEADERS: Final = {
    "x-request-id": "The caller's own name for the request",
    "x-request-timeout-ms": "Milliseconds the caller gives it",
    QUALITY_COST_HEADER: "As the field quality_cost, which wins",
    TTFT_TARGET_HEADER: "As the field ttft_target_ms, which wins",
    PRIORITY_HEADER: "interactive (the default) or batch: who goes first when there is a queue",
    PREVIOUS_EXPERT_HEADER: "The expert that answered the conversation's last turn",
}
_NUMBERS: Final = frozenset(
    {
        "x-request-timeout-ms",
        QUALITY_COST_HEADER,
        TTFT_TARGET_HEADER,
        "x-moegate-confidence",
        "x-moegate-overhead-ms",
    }
)
"""Headers whose values are numbers."""


def openai_document(doors: Doors, *, has_encoder: bool = False, has_collections: bool = False) -> dict[str, Any]:
    """Build the document of a gateway with these doors; with an encoder it offers embeddings, and perhaps a search."""
    offered: tuple[type[BaseModel], ...] = (EmbeddingsBody,) if has_encoder else ()
    offered += (VectorStoreSearchBody,) if has_collections else ()
    refs, schemas = _schemas(frozenset((*(form.body for form in doors.values()), FeedbackBody, GuardBody, *offered)))
    errors = {form.errors.name: form.errors.schema for form in doors.values()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "moegate", "version": __version__},
        "paths": {
            **{path: {"post": _generate(form, refs[form.body])} for path, form in doors.items()},
            "/v1/responses/{id}": {
                "get": _stored("A response that is kept"),
                "delete": _stored("It is deleted"),
            },
            "/v1/responses/{id}/input_items": {"get": _input_items()},
            "/v1/responses/{id}/cancel": {"post": _cancel()},
            **({EMBEDDINGS_PATH: {"post": _embeddings(refs[EmbeddingsBody])}} if has_encoder else {}),
            **(_vector_stores(refs[VectorStoreSearchBody]) if has_collections else {}),
            "/v1/feedback": {"post": _feedback(refs[FeedbackBody])},
            GUARD_PATH: {"post": _guard(refs[GuardBody])},
            "/v1/models": {"get": _get("auto, and the experts of the catalogue")},
            "/v1/models/{name}": {"get": _get("One model", missing="No such model") | {"parameters": [_path("name")]}},
            "/": {"get": _text("The console, a page for people", "text/html")},
            "/health": {"get": _get("The process answers")},
            "/ready": {"get": _get("An expert can answer", unready="None can, or the gateway is draining")},
            "/v1/usage": {"get": _of_operators("What each key has used, and what is left of its limits")},
            OPERATE_PATH: {"get": _of_operators("How the gateway is doing, in a few kilobytes")},
            "/metrics": {"get": _text("Prometheus metrics")},
            "/openapi.json": {"get": _get("This document")},
        },
        "components": {"schemas": schemas["$defs"] | errors},
    }


@cache
def _schemas(models: frozenset[type[BaseModel]]) -> tuple[Mapping[type[BaseModel], dict[str, Any]], dict[str, Any]]:
    """Return what refers to each body, and the schemas of all: most of a document's time, and always the same."""
    ordered = sorted(models, key=lambda model: model.__name__)
    refs, schemas = models_json_schema([(model, "validation") for model in ordered], ref_template=_REF)
    return {model: refs[model, "validation"] for model in ordered}, schemas


def _generate(form: WireForm, body: dict[str, Any]) -> dict[str, Any]:
    """An operation that generates: a JSON answer, or server-sent events when `stream` is true."""
    answer = {
        "description": "The answer",
        "headers": {
            name: {"description": text, "schema": _header_schema(name)} for name, text in _ROUTING_HEADERS.items()
        },
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {},  # OpenAPI 3.1 has no words for the schema of one event
        },
    }
    return {
        "summary": form.summary,
        "parameters": [_header(name, text) for name, text in _REQUEST_HEADERS.items()],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": answer} | {status: _failure(text, form.errors) for status, text in _STATUSES.items()},
    }


def _vector_stores(body: dict[str, Any]) -> dict[str, Any]:
    """Operations on collections."""
    search = _embeddings(body) | {"summary": "Search a collection, in OpenAI's form", "parameters": [_path("id")]}
    return {
        "/v1/vector_stores": {"get": _reading("The collections that the key may search")},
        "/v1/vector_stores/{id}": {"get": _reading("One of them") | {"parameters": [_path("id")]}},
        "/v1/vector_stores/{id}/search": {"post": search},
    }


def _reading(summary: str) -> dict[str, Any]:
    operation = _get(summary, missing="There is no such collection for the key")
    operation["responses"] |= {s: _failure(_STATUSES[s]) for s in ("401", "403", "408", "429", "500", "502", "503")}
    return operation


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    statuses = ("400", "401", "403", "404", "408", "413", "415", "429", "500", "502", "503")
    return {
        "summary": "Texts to vectors, in OpenAI's form",
        "parameters": [
            _header(name, _REQUEST_HEADERS[name]) for name in ("x-request-id", "x-request-timeout-ms", PRIORITY_HEADER)
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": {"description": "The vectors, or the passages, in order", "content": content}}
        | {status: _failure(_STATUSES[status]) for status in statuses},
    }


def _feedback(body: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object", "properties": {"known": {"type": "boolean"}}}}}
    failures = {status: _failure(_STATUSES[status]) for status in ("400", "401", "403", "413", "415", "500")}
    return {
        "summary": "Say what you think of an answer",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": {"description": "It is on disk", "content": content}}
        | failures
        | {"503": _failure("It could not be written; see Retry-After")},
    }


def _guard(body: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "summary": "What the guard's rules make of a text; for operators' keys alone",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": {"description": "Which rules find what, and why", "content": content}}
        | {status: _failure(_STATUSES[status]) for status in ("400", "401", "403", "413", "415", "500")},
    }


def _get(summary: str, *, missing: str | None = None, unready: str | None = None) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    responses: dict[str, Any] = {"200": {"description": summary, "content": content}}
    if missing:
        responses["404"] = _failure(missing)
    if unready:
        responses["503"] = {"description": unready, "content": content}
    return {"summary": summary, "responses": responses}


def _of_operators(summary: str) -> dict[str, Any]:
    operation = _get(f"{summary}; for operators' keys alone")
    operation["responses"] |= {status: _failure(_STATUSES[status]) for status in ("401", "403", "500")}
    return operation


def _stored(summary: str) -> dict[str, Any]:
    """An operation on a response that is kept."""
    operation = _get(summary, missing="The key has none of that id") | {"parameters": [_path("id")]}
    failures = {status: _failure(_STATUSES[status]) for status in ("401", "403", "500")}
    operation["responses"] |= failures | {"503": _failure("The store cannot be used; see Retry-After")}
    return operation


def _input_items() -> dict[str, Any]:
    """An operation that lists."""
    operation = _stored("The items that a kept response answered, page by page")
    operation["responses"]["400"] = _failure("There is no such page")
    operation["parameters"] += [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
        _query("order", {"enum": ["asc", "desc"], "default": "desc"}),
        _query("after", {"type": "string"}),
    ]
    return operation


def _cancel() -> dict[str, Any]:
    """An operation that always refuses: nothing is made in the background."""
    operation = _stored("No response is made in the background")
    del operation["responses"]["200"]
    operation["responses"]["400"] = _failure("It has ended; one that is running is cancelled by closing its connection")
    return operation


def _text(summary: str, media_type: str = "text/plain") -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "string"}}}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _header(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": _header_schema(name)}


def _header_schema(name: str) -> dict[str, str]:
    return {"type": "number" if name in _NUMBERS else "string"}


def _failure(text: str, errors: ErrorForm = OPENAI_ERRORS) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=errors.name)}
    return {"description": text, "content": {"application/json": {"schema": schema}}}
