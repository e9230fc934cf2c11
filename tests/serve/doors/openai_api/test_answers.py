"""OpenAI's answers, whole and in frames: what they say, that a stream says the same, and that an event is one line."""

from collections.abc import Iterable
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.collect import CollectedAnswer
from serve.doors.openai_api.answers import (
    DONE,
    FINISH_NAMES,
    ChatDialect,
    CompletionDialect,
    Envelope,
    Frames,
    frames_of,
)
from serve.doors.openai_api.errors import OPENAI_ERRORS
from serve.doors.sse import one_line
from serve.errors import ExpertFailed, InvalidRequest
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, chunk, last_chunk

BODY = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
CALL = chat.ToolCall(id="call_1", name="add", arguments='{"a": 1}')
CITATION = chat.Annotation(start_index=1, end_index=4, title="Mars", url="https://a.example/x")
CITED = {"start_index": 1, "end_index": 4, "title": "Mars", "url": "https://a.example/x"}
CHAT_ANSWER = Envelope("id-1", "coder", ChatDialect(), 1700000000)
TEXT_ANSWER = Envelope("id-1", "coder", CompletionDialect(), 1700000000)


def last(finish: chat.FinishReason.ValueType = chat.FINISH_REASON_STOP, *citations: chat.Annotation) -> pb.Completion:
    completion = last_chunk(3).completion
    completion.finish_reason = finish
    completion.annotations.extend(citations)
    return completion


def whole(envelope: Envelope, answer: CollectedAnswer, end: pb.Completion | None = None) -> Any:
    return orjson.loads(envelope.whole(answer, end or last(), 0.25))


def events(raw: bytes) -> list[Any]:
    """What a client reads."""
    *found, rest = raw.split(b"\n\n")
    assert rest == b""
    return [orjson.loads(event.removeprefix(b"data: ")) for event in found if event != b"data: [DONE]"]


class TestWhole:
    def test_a_chat_answer(self) -> None:
        assert whole(CHAT_ANSWER, CollectedAnswer("Hello", [], None)) == {
            "id": "id-1",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "coder",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello", "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "cost_usd": 0.25},
        }

    def test_a_text(self) -> None:
        answer = whole(TEXT_ANSWER, CollectedAnswer("Hello", [], None), last(chat.FINISH_REASON_LENGTH))
        assert answer["object"] == "text_completion"
        assert answer["choices"] == [{"index": 0, "text": "Hello", "logprobs": None, "finish_reason": "length"}]

    @pytest.mark.parametrize(("text", "content"), [("", None), ("I add.", "I add.")])
    def test_calls_stand_beside_words_or_in_their_place(self, text: str, content: str | None) -> None:
        answer = whole(CHAT_ANSWER, CollectedAnswer(text, [CALL], None), last(chat.FINISH_REASON_TOOL_CALLS))
        [choice] = answer["choices"]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] == content
        function = {"name": "add", "arguments": '{"a": 1}'}
        assert choice["message"]["tool_calls"] == [{"id": "call_1", "type": "function", "function": function}]

    def test_no_words_and_no_calls_are_an_empty_text(self) -> None:
        assert whole(CHAT_ANSWER, CollectedAnswer("", [], None))["choices"][0]["message"]["content"] == ""

    @pytest.mark.parametrize("cited", [[], [CITATION]])
    def test_citations_are_there_whenever_there_was_something_to_cite(self, cited: list[chat.Annotation]) -> None:
        message = whole(CHAT_ANSWER, CollectedAnswer("[1]", [], cited))["choices"][0]["message"]
        assert message["annotations"] == [{"type": "url_citation", "url_citation": CITED}] * len(cited)

    def test_every_way_to_finish_has_openais_name(self) -> None:
        ways = set(chat.FinishReason.values()) - {chat.FINISH_REASON_UNSPECIFIED}
        assert set(FINISH_NAMES) == ways


class TestFrames:
    def stream(self, envelope: Envelope, *, include_usage: bool = False) -> Frames:
        return Frames(envelope, include_usage=include_usage)

    def test_a_chat_stream_opens_with_the_role_and_a_text_stream_with_nothing(self) -> None:
        [first] = events(self.stream(CHAT_ANSWER).opening(""))
        assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
        assert first["object"] == "chat.completion.chunk"
        assert self.stream(TEXT_ANSWER).opening("") == b""

    @pytest.mark.parametrize("envelope", [CHAT_ANSWER, TEXT_ANSWER])
    @given(text=st.text(min_size=1))
    def test_any_text_comes_back_as_it_was(self, envelope: Envelope, text: str) -> None:
        [event] = events(self.stream(envelope).text(text))
        [choice] = event["choices"]
        assert (choice["delta"]["content"] if "delta" in choice else choice["text"]) == text
        assert (event["id"], event["model"], choice["finish_reason"]) == ("id-1", "coder", None)

    def test_a_name_with_a_gap_in_it_breaks_no_frame(self) -> None:
        odd = Envelope("a\\u0000b", 'co"der', ChatDialect(), 1)
        [event] = events(self.stream(odd).text("x"))
        assert (event["id"], event["model"]) == ("a\\u0000b", 'co"der')

    def test_a_message_is_its_text_and_then_its_calls(self) -> None:
        message = chunk("I add. ")
        message.tool_calls.append(chat.ToolCallDelta(index=1, id="call_1", name="add", arguments='{"a"'))
        message.tool_calls.append(chat.ToolCallDelta(index=2, arguments=": 1}"))
        text, begin, more = (event["choices"][0]["delta"] for event in events(self.stream(CHAT_ANSWER).piece(message)))
        assert text == {"content": "I add. "}
        function = {"name": "add", "arguments": '{"a"'}
        assert begin == {"tool_calls": [{"index": 1, "id": "call_1", "type": "function", "function": function}]}
        assert more == {"tool_calls": [{"index": 2, "function": {"arguments": ": 1}"}}]}

    def test_a_message_without_text_has_no_frame_for_it(self) -> None:
        assert self.stream(CHAT_ANSWER).piece(pb.GenerateChunk()) == b""

    @pytest.mark.parametrize("envelope", [CHAT_ANSWER, TEXT_ANSWER])
    def test_usage_comes_last_and_only_where_it_was_asked_for(self, envelope: Envelope) -> None:
        for include_usage in (False, True):
            stream = self.stream(envelope, include_usage=include_usage)
            closing = stream.closing(last(), 0.25)
            assert closing.endswith(DONE)
            end, *usage = events(closing)
            assert end["choices"][0]["finish_reason"] == "stop"
            assert [one["choices"] for one in usage] == [[]] * include_usage
            assert [one["usage"]["cost_usd"] for one in usage] == [0.25] * include_usage
            [piece] = events(stream.text("x"))
            assert ("usage" in piece) is include_usage
            assert piece.get("usage") is None

    def test_citations_come_with_the_end(self) -> None:
        [end] = events(self.stream(CHAT_ANSWER).closing(last(chat.FINISH_REASON_STOP, CITATION), 0.0))
        assert end["choices"][0]["delta"] == {"annotations": [{"type": "url_citation", "url_citation": CITED}]}


def test_an_error_names_its_field_and_ends_a_stream_without_the_end_mark() -> None:
    error = InvalidRequest("'top_p' is above 1", param="top_p")
    said = {"message": "'top_p' is above 1", "type": error.type, "param": "top_p", "code": "invalid_value"}
    assert orjson.loads(OPENAI_ERRORS.body(error)) == {"error": said}
    frame = OPENAI_ERRORS.event(ExpertFailed("it broke\u2028"))
    assert len(frame.decode().splitlines()) == 2
    assert events(frame)[0]["error"]["code"] == "expert_failed"
    assert DONE not in frame


LINE_ENDS = ("\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r", "\n", "\r\n")


def data_lines(lines: Iterable[str]) -> list[str]:
    return [line.removeprefix("data: ") for line in lines if line]


@pytest.mark.parametrize("end", LINE_ENDS)
async def test_an_event_is_one_line_however_lines_are_split(
    http: httpx2.AsyncClient, experts: FakeExperts, end: str
) -> None:
    experts["coder"].words = [f"one{end}two", end, f"{end}é{end}"]
    response = await http.post(CHAT, json={**BODY, "stream": True})
    *events, done = data_lines(response.text.splitlines())  # Python splits at all of them
    assert done == "[DONE]"
    texts = [orjson.loads(event)["choices"][0]["delta"].get("content", "") for event in events]
    assert "".join(texts) == "".join(experts["coder"].words)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.one_of(st.sampled_from("\x85\u2028\u2029…\u2027\u202a"), st.characters(codec="utf-8"))))
def test_one_line_says_the_same(text: str) -> None:
    raw = one_line(orjson.dumps(text))
    assert len(raw.decode().splitlines()) == 1
    assert orjson.loads(raw) == text


LIKELY = chat.TokenLogprob(token=b"Hello", logprob=-0.5)
TOLD = {"token": "Hello", "logprob": -0.5, "bytes": list(b"Hello"), "top_logprobs": []}


class TestLogprobs:
    def test_a_whole_answer_tells_them_beside_its_text(self) -> None:
        answer = CollectedAnswer("Hello", [], None, [LIKELY])
        assert whole(CHAT_ANSWER, answer)["choices"][0]["logprobs"] == {"content": [TOLD], "refusal": None}
        told = whole(TEXT_ANSWER, answer)["choices"][0]["logprobs"]
        assert (told["tokens"], told["token_logprobs"], told["text_offset"]) == (["Hello"], [-0.5], [0])

    def frames(self, envelope: Envelope) -> Frames:
        return frames_of(envelope, include_usage=False, tells_logprobs=True)

    def test_a_frame_tells_those_of_its_text(self) -> None:
        frames, message = self.frames(CHAT_ANSWER), chunk("Hello")
        message.logprobs.append(LIKELY)
        [event] = events(frames.piece(message))
        assert event["choices"][0]["delta"] == {"content": "Hello"}
        assert event["choices"][0]["logprobs"]["content"] == [TOLD]
        [plain] = events(frames.piece(chunk("x")))
        assert plain["choices"][0]["logprobs"] is None

    def test_of_a_message_of_calls_the_first_frame_tells_all(self) -> None:
        message = pb.GenerateChunk(logprobs=[LIKELY, LIKELY])
        message.tool_calls.append(chat.ToolCallDelta(index=0, id="call_1", name="add", arguments="{"))
        message.tool_calls.append(chat.ToolCallDelta(index=0, arguments="}"))
        first, second = events(self.frames(CHAT_ANSWER).piece(message))
        assert len(first["choices"][0]["logprobs"]["content"]) == 2
        assert "tool_calls" in first["choices"][0]["delta"]
        assert second["choices"][0]["logprobs"] is None

    def test_a_text_stream_counts_its_characters_on(self) -> None:
        frames = self.frames(TEXT_ANSWER)
        offsets = []
        for _ in range(2):
            message = chunk("Hello")
            message.logprobs.append(LIKELY)
            [event] = events(frames.piece(message))
            offsets += event["choices"][0]["logprobs"]["text_offset"]
        assert offsets == [0, 5]

    def test_who_does_not_ask_gets_frames_that_know_nothing_of_them(self) -> None:
        assert type(frames_of(CHAT_ANSWER, include_usage=False, tells_logprobs=False)) is Frames
