"""The input of a response that is kept, as a list of items, page by page.

https://platform.openai.com/docs/api-reference/responses/input-items. The items are made of the turns that are kept, so
they say what the expert was shown: the turns of earlier responses first, a content's parts as one text, a developer's
words as the system's. Instructions are no part of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from protos import chat_pb2 as chat
from serve.doors.openai_api.responses.output import call_item, item_id, message_item, text_part
from serve.doors.openai_api.responses.store import Stored
from serve.errors import InvalidRequest

_MOST: Final = 100
_USUAL: Final = 20
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_WORDS: Final = frozenset({"message", "function_call"})
_ROLES: Final = {chat.ROLE_SYSTEM: "system", chat.ROLE_USER: "user"}


@dataclass(frozen=True, slots=True)
class Page:
    """Which items are asked for.

    Attributes:
        limit: so many at most.
        is_ascending: the oldest first.
        after: the item before the first of them; None = they begin with the first of all.
    """

    limit: int
    is_ascending: bool
    after: str | None


def read_page(query: Mapping[str, str]) -> Page:
    """Read which page a query asks for.

    Raises:
        InvalidRequest: `limit` or `order` is out of range.
    """
    limit = query.get("limit", str(_USUAL))
    if not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= _MOST:
        raise InvalidRequest(f"'limit' must be between 1 and {_MOST}", param="limit")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("'order' is asc or desc", param="order")
    return Page(int(limit), order == "asc", query.get("after"))


def page_body(items: Sequence[Mapping[str, Any]], page: Page) -> bytes:
    """One page of items, which come oldest first.

    Raises:
        InvalidRequest: `after` names none of them.
    """
    ordered = list(items if page.is_ascending else reversed(items))
    first = 0
    if page.after is not None:
        first = next((place for place, item in enumerate(ordered, 1) if item["id"] == page.after), 0)
        if not first:
            raise InvalidRequest("'after' names no input item of this response", param="after")
    data = ordered[first : first + page.limit]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return orjson.dumps({"object": "list", "data": data, **ends, "has_more": len(ordered) > first + page.limit})


def input_items(stored: Stored) -> list[dict[str, Any]]:
    """Lay the input of a response out as items, oldest first."""
    turns = stored.turns.messages
    # The answer is the last turn: its words and calls are one message, as in `serve.doors.openai_api.responses.form`.
    has_answer = any(item["type"] in _WORDS for item in orjson.loads(stored.body)["output"])
    items: list[dict[str, Any]] = []
    for message in turns[: len(turns) - has_answer]:
        for item in _items(message):
            kind = {"function_call": "fc", "function_call_output": "fco"}.get(item["type"], "msg")
            items.append({**item, "id": item_id(kind, stored.id, f"in{len(items)}")})
    return items


def _items(message: chat.Message) -> Iterator[dict[str, Any]]:
    """The items of one message, without their ids."""
    if message.role == chat.ROLE_TOOL:
        said = {"call_id": message.tool_call_id, "output": message.content}
        yield {"type": "function_call_output", "status": "completed", **said}
    elif message.role == chat.ROLE_ASSISTANT:
        if message.content or not message.tool_calls:
            yield message_item("", "completed", [text_part(message.content, ())])
        for call in message.tool_calls:
            yield call_item("", "completed", call.id, call.name, call.arguments)
    else:
        content = [{"type": "input_text", "text": message.content}]
        yield {"type": "message", "status": "completed", "role": _ROLES[message.role], "content": content}
