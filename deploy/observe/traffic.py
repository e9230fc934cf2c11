"""Traffic that touches every panel; speaks HTTP to a running gateway, with the standard library alone.

Pins and choices, streams and whole answers, several languages, clients that leave, bad requests, ratings.
"""

import contextlib
import http.client
import itertools
import json
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

PROMPTS: Final = (
    "Fix this Python function: def f(x) return x",
    "Who wrote Faust?",
    "Plan a weekend in Lisbon for two",
    "What is 17 + 25?",
    "Schreib mir bitte ein Gedicht über den Regen",
    "¿Cuál es la capital de Francia?",
    "写一个 Python 函数",
    "hm",
)
EXPERTS: Final = ("auto", "auto", "auto", "coder", "researcher", "advisor", "generalist")
_CLIENTS: Final = 4


def drive(url: str, seconds: float) -> dict[int, int]:
    """Send traffic for so long; returns how often each status came (0: the client left)."""
    address = urllib.parse.urlsplit(url).netloc
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(_CLIENTS) as pool:
        seen = list(pool.map(lambda n: _client(address, n, until), range(_CLIENTS)))
    statuses: dict[int, int] = {}
    for status in itertools.chain(*seen):
        statuses[status] = statuses.get(status, 0) + 1
    return statuses


def _client(address: str, number: int, until: float) -> list[int]:
    statuses = []
    for i in itertools.count(number):
        if time.monotonic() > until:
            return statuses
        statuses.append(_request(address, i))
        time.sleep(0.02)
    raise AssertionError("unreachable: the counter has no end")


def _request(address: str, i: int) -> int:
    prompt = PROMPTS[i % len(PROMPTS)]
    messages = [{"role": "user", "content": prompt}]
    if i % 5 == 0:
        messages += [
            {"role": "assistant", "content": "Yes.", "name": "coder"},
            {"role": "user", "content": "Now in Go"},
        ]
    body = {
        "model": "nobody" if i % 23 == 0 else EXPERTS[i % len(EXPERTS)],
        "messages": messages,
        "max_tokens": 16,
        "stream": i % 2 == 0,
    }
    status, answer = _post(address, "/v1/chat/completions", body, leaves=i % 11 == 0)
    if answer is not None:
        rating = {"response_id": answer["id"], "rating": 1 if i % 3 else -1, "better_expert": "advisor"}
        _post(address, "/v1/feedback", rating)
    return status


def _post(address: str, path: str, body: dict[str, Any], *, leaves: bool = False) -> tuple[int, dict[str, Any] | None]:
    with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        if leaves:
            time.sleep(0.03)
            return 0, None
        response = connection.getresponse()
        raw = response.read()
        is_answer = response.status == 200 and not body.get("stream") and path.endswith("completions")
        return response.status, json.loads(raw) if is_answer else None
