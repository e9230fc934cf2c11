"""The chat and completions endpoints as wire forms: what they read, and in which order a stream's frames come."""

import orjson
import pytest

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.openai_api.forms import CHAT, COMPLETIONS
from serve.doors.wire_form import WireForm
from serve.errors import ExpertFailed, UnsupportedParameter
from serve.request import ANYONE
from tests.fakes.core import played_answer
from tests.helpers import chat_request, chunk, last_chunk, route_decision

USER = {"role": "user", "content": "hello"}


async def frames(form: WireForm, body: dict[str, object], *chunks: pb.GenerateChunk) -> list[bytes]:
    """The stream's events, for an expert that says `chunks`."""
    asked = await form.read(orjson.dumps(body), {}.get, ANYONE)
    answer = played_answer(route_decision("coder"), *chunks, last_chunk(2))
    presenter = asked.present(chat_request(), answer)
    written = [presenter.piece(chunk) async for chunk in answer.chunks()]
    written.append(await presenter.closing(answer.end))
    return b"".join(written).split(b"\n\n")[:-1]


async def test_the_role_comes_first_and_once() -> None:
    first, *rest, last, done = await frames(CHAT, {"messages": [USER]}, chunk("a"), chunk("b"))
    assert b'"role":"assistant"' in first
    assert all(b'"role"' not in frame for frame in rest)
    assert (len(rest), done) == (2, b"data: [DONE]")
    assert b'"finish_reason":"stop"' in last


async def test_a_call_opens_without_content() -> None:
    call = pb.GenerateChunk(tool_calls=[chat.ToolCallDelta(id="c", name="f", arguments="{}")])
    first, *_ = await frames(CHAT, {"messages": [USER]}, call)
    assert b'"content":null' in first


async def test_an_empty_answer_is_opened_all_the_same() -> None:
    first, _last, done = await frames(CHAT, {"messages": [USER]})
    assert b'"role":"assistant","content":""' in first
    assert done == b"data: [DONE]"
    assert len(await frames(COMPLETIONS, {"prompt": "a"})) == 2


@pytest.mark.parametrize(
    ("form", "body"), [(CHAT, {"messages": [USER], "audio": {}}), (COMPLETIONS, {"prompt": "a", "echo": True})]
)
async def test_what_is_not_offered_is_refused(form: WireForm, body: dict[str, object]) -> None:
    with pytest.raises(UnsupportedParameter):
        await form.read(orjson.dumps(body), {}.get, ANYONE)


async def test_an_answer_that_breaks_off_ends_with_the_error() -> None:
    asked = await CHAT.read(orjson.dumps({"messages": [USER]}), {}.get, ANYONE)
    presenter = asked.present(chat_request(), played_answer(route_decision("coder")))
    event = presenter.failed(ExpertFailed("it broke"))
    assert orjson.loads(event.removeprefix(b"data: "))["error"]["code"] == "expert_failed"
