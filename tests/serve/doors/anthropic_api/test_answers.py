"""Anthropic's answers: a stream, however it is cut into messages, says what the whole answer says."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.anthropic_api.answers import STOP_REASONS, MessagePresenter
from serve.doors.collect import collect
from serve.errors import ExpertFailed
from tests.fakes.core import played_answer
from tests.helpers import chat_request, chunk, last_chunk, route_decision
from tests.serve.doors.anthropic_api.asking import events

DOCUMENT = chat.Document(title="Mars", text="Mars is red.")


def presenter(*chunks: pb.GenerateChunk, cites: bool = False) -> tuple[MessagePresenter, Any]:
    asked = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="x")], documents=[DOCUMENT] * cites)
    answer = played_answer(route_decision("coder"), *chunks, documents=[DOCUMENT] * cites)
    return MessagePresenter(chat_request(id="msg_1", input=asked), answer, cites=cites), answer


async def streamed(*chunks: pb.GenerateChunk, cites: bool = False) -> list[dict[str, Any]]:
    presented, answer = presenter(*chunks, cites=cites)
    raw = b"".join([presented.piece(chunk) async for chunk in answer.chunks()])
    return events(raw + await presented.closing(answer.end))


async def whole(*chunks: pb.GenerateChunk, cites: bool = False) -> Any:
    presented, answer = presenter(*chunks, cites=cites)
    collected = await collect(answer)
    return orjson.loads(await presented.whole(collected, answer.end))


def put_together(read: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client's SDK makes of the events; their order is checked on the way."""
    start, ping, *middle, delta, stop = read
    assert (start["type"], ping["type"], delta["type"], stop["type"]) == (
        "message_start",
        "ping",
        "message_delta",
        "message_stop",
    )
    message, is_open = start["message"], False
    for event in middle:
        match event["type"]:
            case "content_block_start":
                assert not is_open
                assert event["index"] == len(message["content"])
                message["content"].append(event["content_block"] | {"json": ""})
                is_open = True
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(message["content"]) - 1
                _apply(message["content"][-1], event["delta"])
            case "content_block_stop":
                assert is_open
                is_open = False
    assert not is_open
    for block in message["content"]:
        arguments = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = orjson.loads(arguments or "{}")
    return message | delta["delta"] | {"usage": message["usage"] | delta["usage"]}


def _apply(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "input_json_delta":
            block["json"] += delta["partial_json"]
        case "citations_delta":
            block["citations"] = [*(block["citations"] or ()), delta["citation"]]


def call(index: int, *pieces: str) -> list[pb.GenerateChunk]:
    first = chat.ToolCallDelta(index=index, id=f"c{index}", name="add", arguments=pieces[0])
    later = [chat.ToolCallDelta(index=index, arguments=piece) for piece in pieces[1:]]
    return [pb.GenerateChunk(tool_calls=[delta], token_count=1, prompt_tokens=7) for delta in (first, *later)]


async def test_a_whole_answer() -> None:
    assert await whole(chunk("Hello"), chunk(" there"), last_chunk(2)) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "coder",
        "content": [{"type": "text", "text": "Hello there", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 7,
            "output_tokens": 2,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cost_usd": pytest.approx(9e-12),
        },
    }


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


@given(chunks=chunkings())
async def test_a_stream_says_what_the_whole_answer_says(chunks: list[pb.GenerateChunk]) -> None:
    last = last_chunk(5)
    if any(chunk.tool_calls for chunk in chunks):
        last.completion.finish_reason = chat.FINISH_REASON_TOOL_CALLS
    assert put_together(await streamed(*chunks, last)) == await whole(*chunks, last)


async def test_the_prompts_length_comes_first() -> None:
    [start, *_] = await streamed(chunk("Hello", prompt_tokens=7), last_chunk(1))
    assert start["message"]["usage"] == {"input_tokens": 7, "output_tokens": 0}


@pytest.mark.parametrize("annotations", [[], [1], [1, 1]])
async def test_a_cited_document_is_told_once(annotations: list[int]) -> None:
    last = last_chunk(1)
    last.completion.annotations.extend(chat.Annotation(document=number) for number in annotations)
    location = {
        "type": "char_location",
        "cited_text": "Mars is red.",
        "document_index": 0,
        "document_title": "Mars",
        "start_char_index": 0,
        "end_char_index": 12,
    }
    answer = await whole(chunk("Red [1]"), last, cites=True)
    assert answer["content"][0]["citations"] == ([location] if annotations else None)
    assert put_together(await streamed(chunk("Red [1]"), last, cites=True)) == answer


async def test_citations_that_nobody_asked_for_are_not_told() -> None:
    last = last_chunk(1)
    last.completion.annotations.add(document=1)
    assert (await whole(chunk("Red [1]"), last))["content"][0]["citations"] is None


def test_every_way_to_finish_has_a_reason() -> None:
    assert set(STOP_REASONS) == set(chat.FinishReason.values()) - {chat.FINISH_REASON_UNSPECIFIED}


async def test_an_answer_that_breaks_off_ends_with_an_error() -> None:
    presented, _ = presenter()
    [event] = events(presented.failed(ExpertFailed("it broke\u2028")))
    assert (event["type"], event["error"]["type"]) == ("error", "api_error")
