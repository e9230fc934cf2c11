"""What went wrong at the server, as the engine's own errors. A server's words stay here: they may hold the prompt.

| the server | our error | so the gateway |
|---|---|---|
| 400, 413, 422 and its code or words name the context | `ContextLengthExceeded` | refuses the request |
| 400, 413, 422 | `InvalidRequest` | refuses the request |
| 401, 403, 404 and other 4xx: our key, our model's name | `ServerUnavailable` | asks another expert; the log says why |
| 429 | `QueueFull`, until `Retry-After` without asking again | asks another expert |
| 502, 503, 504, no connection | `ServerUnavailable`, likewise | asks again, then another expert |
| 500, a stream that breaks off or cannot be read | `EngineError` | asks another expert before the first token |
"""

from __future__ import annotations

import logging
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from experts.engine import ContextLengthExceeded, EngineError, InvalidRequest, QueueFull, ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import APIStatusError

_log = logging.getLogger("moegate.upstream")

MAX_PAUSE_S: Final = 60.0  # whatever a server asks for, so that one wrong header silences an expert for no longer
_CONTEXT: Final = re.compile(r"context.{0,20}(length|window|size)|(maximum|max).{0,20}context|too many tokens", re.I)
_IS_BAD_REQUEST: Final = frozenset({400, 413, 422})
_IS_AWAY: Final = frozenset({502, 503, 504})


def translate(error: Exception) -> EngineError:
    """Turn what the `openai` client raised into an error of the engine."""
    import openai

    if isinstance(error, EngineError):
        return error
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, error.status_code)
    if isinstance(error, openai.APIConnectionError):
        return ServerUnavailable("the server cannot be reached")
    if isinstance(error, openai.APIError):  # an error event inside the stream
        return _of_event(error)
    return EngineError("the server's answer cannot be read")


def pause_of(error: Exception) -> float:
    """Return for how many seconds the server wants to be left alone; 0 where it does not say."""
    import openai

    if not isinstance(error, openai.APIStatusError) or error.status_code not in {429, 503}:
        return 0.0
    return min(MAX_PAUSE_S, max(0.0, _retry_after(error.response.headers)))


def _of_status(error: APIStatusError, status: int) -> EngineError:
    if status in _IS_BAD_REQUEST:
        return _of_request(error.code, error.message)
    _log.warning("the server answered %d", status)
    if status == 429:
        return QueueFull("the server asks for fewer requests")
    if status in {401, 403}:
        return ServerUnavailable("the server does not accept this expert's key")
    if status == 404:
        return ServerUnavailable("the server knows no such model or path")
    if status in _IS_AWAY or status < 500:
        return ServerUnavailable("the server does not serve now")
    return EngineError("the server failed on this request")


def _of_request(code: object, message: str) -> EngineError:
    if code == "context_length_exceeded" or _CONTEXT.search(message[:1000]):
        return ContextLengthExceeded("the prompt does not fit the server's context window")
    return InvalidRequest("the server refused the request")


def _of_event(error: Exception) -> EngineError:
    """Read an error that came in place of tokens: only whether it is one of load can be told."""
    code = str(getattr(error, "code", None) or getattr(error, "type", None) or "")
    if "rate_limit" in code or code in {"429", "overloaded"}:
        return QueueFull("the server asks for fewer requests")
    return EngineError("the server broke the answer off")


def _retry_after(headers: Mapping[str, str]) -> float:
    """Read `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3)."""
    try:
        if "retry-after-ms" in headers:
            return float(headers["retry-after-ms"]) / 1000
        value = headers.get("retry-after", "0")
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError):
        return 0.0
