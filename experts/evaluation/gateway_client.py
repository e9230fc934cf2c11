"""Asks a running gateway over HTTP, as any client does: for `experts.evaluate --gateway` and `evaluation.mixture`.

Answers are streamed, since only then does a client see when the first token is there. A refused request gets an empty
answer that gives the error's code, as `engine_client` does; what the gateway asks to be sent again later is.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from experts.evaluation.engine_client import Answer
from experts.evaluation.reply import read_call
from experts.evaluation.suites.suite import Reply
from experts.evaluation.wire_request import request_body
from protos import chat_pb2

TIMEOUT_S: Final = 600.0  # of one read; a busy machine must not turn a right answer into a wrong one
_AGAIN: Final = frozenset({429, 503})
PATIENCE_S: Final = 900.0  # with a gateway that says "later"
_LONGEST_WAIT_S: Final = 10.0
_INCOMPLETE: Final = "incomplete"
_LOST: Final = frozenset(
    {"overloaded", "rate_limit_exceeded", "expert_unavailable", "expert_failed", "expert_stalled"}
    | {"deadline_exceeded", "shutting_down", "storage_unavailable", _INCOMPLETE}
)


class GatewayUnavailable(Exception):
    """Nothing that speaks as a gateway answers at the address; the message names it."""


@dataclass(frozen=True, slots=True)
class Served:
    """One answer and what the gateway said of it.

    Attributes:
        answer: as a suite judges it.
        expert: who answered; "" where nobody did.
        usd: what it cost by the gateway's ledger.
        ttft_s: sent to first token by this client's clock; None where there was none.
    """

    answer: Answer
    expert: str
    usd: float
    ttft_s: float | None

    @property
    def is_lost(self) -> bool:
        """Whether no answer came for want of room, time or a living expert: that says nothing about its quality."""
        return self.answer.finish in _LOST


@dataclass(frozen=True, slots=True)
class Question:
    """One request: whom, and what.

    Attributes:
        collection: that is to be searched for it; empty: none.
        top_k: passages of that search.
    """

    model: str
    conversation: chat_pb2.Conversation
    collection: str = ""
    top_k: int = 10


@dataclass(slots=True)
class _Stream:
    """What has come of one answer so far."""

    expert: str = ""
    text: str = ""
    names: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    finish: str = _INCOMPLETE
    usage: dict[str, Any] = field(default_factory=dict)
    first_at: float | None = None

    def take(self, event: dict[str, Any], now: float) -> None:
        """Take the next event in."""
        if "error" in event:
            self.finish = _code(event)
            return
        self.expert = event.get("model") or self.expert
        self.usage = event.get("usage") or self.usage
        for choice in event.get("choices", ()):
            delta = choice["delta"]
            if delta.get("content") or delta.get("tool_calls"):
                self.first_at = self.first_at or now
            self.text += delta.get("content") or ""
            for call in delta.get("tool_calls") or ():
                self._take_call(call)
            self.finish = choice.get("finish_reason") or self.finish

    def _take_call(self, call: dict[str, Any]) -> None:
        if call["index"] == len(self.names):
            self.names.append(call["function"]["name"])
            self.arguments.append("")
        self.arguments[call["index"]] += call["function"].get("arguments") or ""

    def reply(self) -> Reply:
        """Return what a suite judges; a call whose arguments are no object is a broken one."""
        read = [read_call(name, arguments) for name, arguments in zip(self.names, self.arguments, strict=True)]
        calls = tuple(call for call in read if call is not None)
        return Reply(self.text, calls, broken=len(read) - len(calls))


class GatewayClient:
    """Speaks to one gateway; safe to use in several threads, each request on a connection of its own.

    Raises:
        GatewayUnavailable: the address is none of HTTP.
    """

    def __init__(self, url: str, api_key: str = "any") -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise GatewayUnavailable(f"{url}: a gateway's address begins with http:// or https://")
        self._url = url
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/").removesuffix("/v1")
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {api_key}"}

    def models(self) -> list[str]:
        """Return the names that a request's `model` may have.

        Raises:
            GatewayUnavailable: nobody answers, or something else does.
        """
        connection = self._connect(self._host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", f"{self._path}/v1/models", headers=self._headers)
            response = connection.getresponse()
            return [str(model["id"]) for model in json.loads(response.read())["data"]]
        except (OSError, http.client.HTTPException) as error:
            raise GatewayUnavailable(f"{self._url}: no gateway answers there ({type(error).__name__})") from None
        except (ValueError, KeyError, TypeError):
            raise GatewayUnavailable(f"{self._url}: its answer to /v1/models is not a gateway's") from None
        finally:
            connection.close()

    def ask(self, model: str, conversation: chat_pb2.Conversation, max_tokens: int | None = None) -> Served:
        """Get one answer, asking again as long as the gateway says "later".

        Raises:
            GatewayUnavailable: nobody answers.
        """
        return self.answer(Question(model, conversation), max_tokens)

    def answer(self, asked: Question, max_tokens: int | None = None) -> Served:
        """Likewise, with what else a question brings.

        Raises:
            GatewayUnavailable: nobody answers.
        """
        content = request_body(asked.model, asked.conversation, max_tokens)
        if asked.collection:
            content["retrieval"] = {"collections": [asked.collection], "top_k": asked.top_k}
        body = json.dumps(content).encode()
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            connection = self._connect(self._host, self._port, timeout=TIMEOUT_S)
            try:
                began = time.perf_counter()
                connection.request("POST", f"{self._path}/v1/chat/completions", body, self._headers)
                response = connection.getresponse()
                if response.status == http.client.OK:
                    return _served(response, began)
                refusal = _refusal(response)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise GatewayUnavailable(f"{self._url}: the answer broke off ({type(error).__name__})") from None
            finally:
                connection.close()
            if response.status not in _AGAIN or time.monotonic() > give_up_at:
                return refusal
            time.sleep(min(_LONGEST_WAIT_S, float(response.headers.get("retry-after") or 1)))


def ask_gateway(
    client: GatewayClient,
    questions: Sequence[Question],
    in_flight: int,
    on_answer: Callable[[int, Served], None],
    max_tokens: int | None = None,
) -> list[Served]:
    """Ask all questions, `in_flight` at once; `on_answer` hears of each, with its place, as it comes, in this thread.

    Raises:
        GatewayUnavailable: nobody answers.
    """
    with ThreadPoolExecutor(in_flight) as pool:
        places = {pool.submit(client.answer, asked, max_tokens): at for at, asked in enumerate(questions)}
        try:
            for future in as_completed(places):
                on_answer(places[future], future.result())
            return [future.result() for future in places]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _served(response: http.client.HTTPResponse, began: float) -> Served:
    stream = _Stream()
    for event in _events(response):
        stream.take(event, time.perf_counter())
    reply = stream.reply() if stream.finish in {"stop", "length", "tool_calls"} else Reply("", broken=1)
    prompt_tokens, completion_tokens = (int(stream.usage.get(f"{side}_tokens", 0)) for side in ("prompt", "completion"))
    answer = Answer(reply, prompt_tokens, completion_tokens, stream.finish)
    ttft_s = None if stream.first_at is None else stream.first_at - began
    return Served(answer, stream.expert, float(stream.usage.get("cost_usd", 0.0)), ttft_s)


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield the JSON of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    for line in response:
        data = line.removeprefix(b"data:").strip()
        if line.startswith(b"data:") and data != b"[DONE]":
            yield json.loads(data)


def _refusal(response: http.client.HTTPResponse) -> Served:
    try:
        code = _code(json.loads(response.read()))
    except ValueError:
        code = f"http_{response.status}"
    return Served(Answer(Reply("", broken=1), 0, 0, code), "", 0.0, None)


def _code(body: Any) -> str:  # noqa: ANN401  # JSON
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("code") or "error") if isinstance(error, dict) else "error"
