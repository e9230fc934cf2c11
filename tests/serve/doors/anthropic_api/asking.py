"""What the tests of Anthropic's forms share: a body, and the events of a stream as a client reads them."""

import json
from typing import Any

USER: dict[str, Any] = {"role": "user", "content": "hello"}
TOOL: dict[str, Any] = {"name": "add", "description": "adds", "input_schema": {"type": "object"}}


def body_of(**fields: Any) -> dict[str, Any]:
    return {"model": "auto", "max_tokens": 9, "messages": [USER], **fields}


def events(raw: bytes) -> list[dict[str, Any]]:
    """The events' data, each of which repeats its event's name."""
    *found, rest = raw.decode().split("\n\n")
    assert rest == ""
    read = []
    for event in found:
        name, data = event.split("\n")
        content = json.loads(data.removeprefix("data: "))
        assert name == f"event: {content['type']}"
        read.append(content)
    return read
