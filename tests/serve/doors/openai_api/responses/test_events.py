"""A response's events, however the answer is cut into messages, say what the whole response says."""

import json
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.collect import collect
from serve.doors.openai_api.responses.events import RESPONSES_ERRORS, ResponsePresenter
from serve.doors.openai_api.responses.output import ResponseObject, Status
from serve.doors.openai_api.responses.request import ResponsesBody
from serve.errors import ExpertFailed
from serve.steps.answer import End
from tests.fakes.core import played_answer
from tests.helpers import chunk, last_chunk, route_decision

BODY = ResponsesBody(input="hello", instructions="Be brief.", metadata={"a": "b"})


async def unkept(
    response: ResponseObject, status: Status, output: Sequence[dict[str, Any]], end: End
) -> dict[str, Any]:
    return response.version(status, output, end=end)


def presenter() -> ResponsePresenter:
    return ResponsePresenter(ResponseObject("resp_1", "coder", 1700000000, BODY), unkept)


def events(raw: bytes, first: int = 0) -> list[dict[str, Any]]:
    """What a client reads; names and numbers are checked on the way."""
    *found, rest = raw.decode().split("\n\n")
    assert rest == ""
    read = []
    for number, event in enumerate(found, first):
        name, data = event.split("\n")
        content = json.loads(data.removeprefix("data: "))
        assert name == f"event: {content['type']}"
        assert content["sequence_number"] == number
        read.append(content)
    return read


async def streamed(*chunks: pb.GenerateChunk) -> list[dict[str, Any]]:
    presented, answer = presenter(), played_answer(route_decision("coder"), *chunks)
    raw = b"".join([presented.piece(chunk) async for chunk in answer.chunks()])
    return events(raw + await presented.closing(answer.end))


async def whole(*chunks: pb.GenerateChunk) -> Any:
    presented, answer = presenter(), played_answer(route_decision("coder"), *chunks)
    return orjson.loads(await presented.whole(await collect(answer), answer.end))


def call(index: int, *pieces: str) -> list[pb.GenerateChunk]:
    first = chat.ToolCallDelta(index=index, id=f"c{index}", name="add", arguments=pieces[0])
    later = [chat.ToolCallDelta(index=index, arguments=piece) for piece in pieces[1:]]
    return [pb.GenerateChunk(tool_calls=[delta], token_count=1, prompt_tokens=7) for delta in (first, *later)]


def cut_short(chunk: pb.GenerateChunk) -> pb.GenerateChunk:
    chunk.completion.finish_reason = chat.FINISH_REASON_LENGTH
    return chunk


def put_together(read: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The output that a client's SDK makes of the events between the first two and the last."""
    output: list[dict[str, Any]] = []
    for event in read[2:-1]:
        if event["type"] == "response.output_item.added":
            assert (event["output_index"], event["item"]["status"]) == (len(output), "in_progress")
            output.append(event["item"])
            continue
        assert event["output_index"] == len(output) - 1
        if event["type"] == "response.output_item.done":
            assert event["item"] == output[-1] | {"status": event["item"]["status"]}
            output[-1] = event["item"]
        else:
            assert event["item_id"] == output[-1]["id"]
            (_told_of_call if output[-1]["type"] == "function_call" else _told_of_text)(output[-1], event)
    return output


def _told_of_call(item: dict[str, Any], event: dict[str, Any]) -> None:
    if event["type"] == "response.function_call_arguments.delta":
        item["arguments"] += event["delta"]
    else:
        assert event["type"] == "response.function_call_arguments.done"
        assert item["arguments"] == event["arguments"]


def _told_of_text(item: dict[str, Any], event: dict[str, Any]) -> None:
    assert event["content_index"] == 0
    match event["type"].removeprefix("response."):
        case "content_part.added":
            item["content"].append(event["part"])
        case "output_text.delta":
            item["content"][0]["text"] += event["delta"]
        case "output_text.done":
            assert item["content"][0]["text"] == event["text"]
        case "output_text.annotation.added":
            item["content"][0]["annotations"].append(event["annotation"])
        case name:
            assert (name, item["content"]) == ("content_part.done", [event["part"]])


TEXTS = st.lists(st.text(min_size=1), max_size=4)
ARGUMENTS = st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.integers(-9, 9), max_size=3)


@st.composite
def chunkings(draw: st.DrawFn) -> list[pb.GenerateChunk]:
    """An answer's messages: words, then calls whose arguments come in pieces, some of them in one message."""
    chunks = [chunk(text) for text in draw(TEXTS)]
    for index in range(draw(st.integers(0, 2))):
        raw = orjson.dumps(draw(ARGUMENTS)).decode()
        at = draw(st.integers(0, len(raw)))
        pieces = call(index, raw[:at], raw[at:])
        if draw(st.booleans()):
            pieces[0].tool_calls.extend(pieces[1].tool_calls)
            pieces = pieces[:1]
        chunks += pieces
    return chunks


@given(chunks=chunkings(), is_cut=st.booleans())
async def test_a_stream_says_what_the_whole_response_says(chunks: list[pb.GenerateChunk], is_cut: bool) -> None:
    is_cut = is_cut and not any(chunk.tool_calls for chunk in chunks)
    last = cut_short(last_chunk(5)) if is_cut else last_chunk(5)
    created, in_progress, *_, final = read = await streamed(*chunks, last)
    assert [created["type"], in_progress["type"]] == ["response.created", "response.in_progress"]
    assert final["type"] == ("response.incomplete" if is_cut else "response.completed")
    expected = await whole(*chunks, last)
    assert put_together(read) == final["response"]["output"] == expected["output"]
    same = ("id", "status", "usage", "model", "incomplete_details")
    assert {name: final["response"][name] for name in same} == {name: expected[name] for name in same}


async def test_the_order_of_a_texts_events() -> None:
    names = [event["type"].removeprefix("response.") for event in await streamed(chunk("a"), chunk("b"), last_chunk(2))]
    assert names == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


async def test_a_whole_response() -> None:
    response = await whole(chunk("Hello"), last_chunk(1))
    assert response["object"] == "response"
    assert (response["status"], response["model"], response["instructions"]) == ("completed", "coder", "Be brief.")
    assert response["metadata"] == {"a": "b"}
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    message = {"id": "msg_1_0", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    assert response["output"] == [message]
    assert response["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 8,
        "cost_usd": pytest.approx(8e-12),
    }


async def test_an_answer_that_was_cut_says_so() -> None:
    response = await whole(chunk("Hello"), cut_short(last_chunk(1)))
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (response["output"][0]["status"], response["completed_at"]) == ("incomplete", None)


async def test_citations_are_told_before_the_part_ends() -> None:
    last = last_chunk(1)
    last.completion.annotations.add(start_index=4, end_index=7, title="Mars", url="https://a.example")
    read = await streamed(chunk("Red [1]"), last)
    citation = {"type": "url_citation", "start_index": 4, "end_index": 7, "title": "Mars", "url": "https://a.example"}
    [told] = [event for event in read if event["type"] == "response.output_text.annotation.added"]
    assert (told["annotation"], told["annotation_index"]) == (citation, 0)
    assert put_together(read)[0]["content"][0]["annotations"] == [citation]


async def test_an_answer_that_breaks_off_ends_as_failed() -> None:
    presented = presenter()
    begun = presented.piece(chunk("Hello"))
    *_, last = events(begun + presented.failed(ExpertFailed("it broke")))
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": "expert_failed", "message": "it broke"}


def test_an_error_before_the_response() -> None:
    [event] = events(RESPONSES_ERRORS.event(ExpertFailed("it broke")))
    assert (event["type"], event["code"], event["message"], event["param"]) == (
        "error",
        "expert_failed",
        "it broke",
        None,
    )
