"""What a call of an expert comes to: a first token, an answer's pieces, or one of our errors, never its own words."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from experts.catalog.secret import Guard
from protos import expert_pb2 as pb
from serve.costs.tariffs import Work
from serve.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    ExpertFailed,
    ExpertStalled,
    ExpertUnavailable,
    InvalidRequest,
    MoegateError,
    Overloaded,
    UnsupportedParameter,
)
from serve.expert_client.channel import ExpertCall, ExpertChannels, translate
from serve.expert_client.h2.call import CallError
from tests.fakes.core import FakeCall, Item
from tests.fakes.expert_server import PROMPT_TOKENS, FakeExperts
from tests.helpers import chunk, last_chunk, until

TAKEN_ON = pb.GenerateChunk()
BEGUN = pb.GenerateChunk(prompt_tokens=7)
BEAT = pb.GenerateChunk()


def playing(*items: Item, patience_s: float = 60.0, accept_within_s: float = 60.0, now: float = 5.0) -> ExpertCall:
    call = cast(Any, FakeCall(items, asyncio.Event()))
    return ExpertCall(call, accept_within_s=accept_within_s, patience_s=patience_s, clock=lambda: now)


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "details", "error", "param"),
        [
            (StatusCode.INVALID_ARGUMENT, "context_length_exceeded: 9 > 8", ContextLengthExceeded, "messages"),
            (StatusCode.INVALID_ARGUMENT, "unsupported_response_format", UnsupportedParameter, "response_format"),
            (StatusCode.INVALID_ARGUMENT, "anything", InvalidRequest, None),
            (StatusCode.RESOURCE_EXHAUSTED, "context_length_exceeded", Overloaded, None),
            (StatusCode.DEADLINE_EXCEEDED, "", DeadlineExceeded, None),
            (StatusCode.INTERNAL, "", ExpertFailed, None),
            (StatusCode.UNKNOWN, "", ExpertFailed, None),
            (StatusCode.DATA_LOSS, "", ExpertFailed, None),
            (StatusCode.UNAVAILABLE, "", ExpertUnavailable, None),
            (StatusCode.NOT_FOUND, "", ExpertUnavailable, None),
            (StatusCode.UNAUTHENTICATED, "", ExpertUnavailable, None),
            (StatusCode.CANCELLED, "", ExpertUnavailable, None),
        ],
    )
    def test_each_status_has_its_place(
        self, status: StatusCode, details: str, error: type[MoegateError], param: str | None
    ) -> None:
        ours = translate(CallError(status, details))
        assert type(ours) is error
        assert ours.param == param

    @given(st.sampled_from(list(StatusCode)), st.text(min_size=12))
    def test_no_word_of_the_experts_is_passed_on(self, status: StatusCode, details: str) -> None:
        assert details not in translate(CallError(status, details)).message


class TestFirst:
    async def test_what_comes_before_the_first_token_is_read_over_and_the_prompt_remembered(self) -> None:
        call = playing(TAKEN_ON, BEAT, BEGUN, BEAT, pb.GenerateChunk(text="a b", token_count=2), last_chunk(2))
        first = await call.first()
        assert (first.text, first.prompt_tokens) == ("a b", 7)
        assert call.work == Work(7, 2, 0.0)
        assert (await call.read()).HasField("completion")
        call.close()

    async def test_an_end_without_a_token_is_an_answer_too(self) -> None:
        call = playing(TAKEN_ON, BEGUN, last_chunk(0))
        assert (await call.first()).HasField("completion")
        call.close()

    @pytest.mark.parametrize("before", [(), (TAKEN_ON,), (TAKEN_ON, BEGUN)])
    async def test_an_end_without_an_answer_is_none(self, before: tuple[Item, ...]) -> None:
        call = playing(*before)
        with pytest.raises(ExpertUnavailable, match="without an answer"):
            await call.first()
        assert (call.is_taken_on, call.is_told) == (bool(before), False)
        call.close()

    @pytest.mark.parametrize(
        ("error", "is_told"),
        [
            (CallError(StatusCode.INTERNAL), True),
            (CallError(StatusCode.UNAVAILABLE, "engine_dead: it ended"), True),
            (CallError(StatusCode.UNAVAILABLE, "Socket closed"), False),
            (CallError(StatusCode.RESOURCE_EXHAUSTED), False),
        ],
    )
    async def test_what_the_replica_says_of_itself_is_told_from_what_was_lost(
        self, error: CallError, is_told: bool
    ) -> None:
        call = playing(TAKEN_ON, error)
        with pytest.raises(MoegateError):
            await call.first()
        assert call.is_told is is_told
        call.close()


class TestSilence:
    async def test_nobody_took_it_on(self) -> None:
        call = playing(None, accept_within_s=0.01)
        with pytest.raises(ExpertUnavailable, match="did not take the request on"):
            await call.first()
        assert call.patience.is_over

    async def test_who_took_it_on_is_given_more_time(self) -> None:
        call = playing(TAKEN_ON, None, accept_within_s=0.01, patience_s=0.05)
        with pytest.raises(ExpertUnavailable, match="fell silent"):
            await call.first()
        assert call.patience.limit_s == 0.05

    async def test_in_the_middle_it_has_stalled(self) -> None:
        call = playing(TAKEN_ON, BEGUN, chunk(), None, patience_s=0.01, accept_within_s=0.01)
        await call.first()
        with pytest.raises(ExpertStalled):
            await call.read()


class TestInTheMiddle:
    @pytest.mark.parametrize("status", [StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.INVALID_ARGUMENT])
    async def test_whatever_breaks_it_the_answer_is_not_complete(self, status: StatusCode) -> None:
        call = playing(TAKEN_ON, BEGUN, chunk(), CallError(status, "context_length_exceeded"))
        await call.first()
        with pytest.raises(ExpertFailed, match="before the answer was complete"):
            await call.read()
        call.close()

    async def test_but_the_deadline_is_the_callers(self) -> None:
        call = playing(TAKEN_ON, BEGUN, chunk(), CallError(StatusCode.DEADLINE_EXCEEDED))
        await call.first()
        with pytest.raises(DeadlineExceeded):
            await call.read()
        call.close()

    async def test_an_end_without_the_last_message_is_a_failure(self) -> None:
        call = playing(TAKEN_ON, BEGUN, chunk())
        await call.first()
        with pytest.raises(ExpertFailed):
            await call.read()
        call.close()


class TestOverTheWire:
    @pytest_asyncio.fixture
    async def channels(self, experts: FakeExperts) -> AsyncIterator[ExpertChannels]:
        channels = ExpertChannels(experts.target, 1)
        yield channels
        await channels.close()

    async def generate(self, channels: ExpertChannels, timeout_s: float = 30.0, **more: Any) -> ExpertCall:
        message = pb.GenerateRequest(prompt="hello", request_id="r-1")
        return await channels.generate("coder", message, timeout_s=timeout_s, accept_within_s=10, patience_s=10, **more)

    async def test_what_goes_along_with_a_call(self, channels: ExpertChannels, experts: FakeExperts) -> None:
        call = await self.generate(channels, timeout_s=12.5, traceparent="00-ab-cd-01")
        assert (await call.first()).prompt_tokens == PROMPT_TOKENS
        [told] = experts["coder"].metadata
        assert (told["application"], told["request_id"], told["traceparent"]) == ("coder", "r-1", "00-ab-cd-01")
        assert told["x-request-timeout-ms"] == "12500"
        assert experts["coder"].requests[0].prompt == "hello"
        call.close()

    async def test_nothing_goes_along_that_nobody_gave(self, channels: ExpertChannels, experts: FakeExperts) -> None:
        call = await self.generate(channels)
        await call.first()
        assert not {"traceparent", "x-moegate-secret"} & experts["coder"].metadata[0].keys()
        call.close()

    @pytest.mark.parametrize("timeout_s", [0.0, -3.0])
    async def test_a_deadline_that_has_passed_is_one(
        self, channels: ExpertChannels, experts: FakeExperts, timeout_s: float
    ) -> None:
        experts["coder"].gate.clear()
        call = await self.generate(channels, timeout_s=timeout_s)
        with pytest.raises(DeadlineExceeded):
            await call.first()
        call.close()

    async def test_closing_a_call_ends_the_experts_work(self, channels: ExpertChannels, experts: FakeExperts) -> None:
        experts["coder"].gate.clear()
        call = await self.generate(channels)
        await until(lambda: experts["coder"].live == 1)
        call.close()
        await until(lambda: experts["coder"].live == 0)
        assert experts["coder"].cancelled == 1

    async def test_how_an_expert_is(self, channels: ExpertChannels, experts: FakeExperts) -> None:
        experts["coder"].structured_output = True
        assert (await channels.describe("coder", timeout_s=10)).structured_output
        assert not (await channels.describe("advisor", timeout_s=10)).structured_output
        experts["coder"].is_down = True
        for expert in ("coder", "nobody"):
            with pytest.raises(ExpertUnavailable):
                await channels.describe(expert, timeout_s=10)

    async def test_the_secret_is_shown_with_both_kinds_of_calls(self, experts: FakeExperts) -> None:
        experts.guard = Guard("of this run")
        channels = ExpertChannels(experts.target, 1, secret="of this run")
        await channels.describe("coder", timeout_s=10)
        call = await self.generate(channels)
        await call.first()
        call.close()
        await channels.close()

    async def test_nobody_there_is_said_as_such(self, experts: FakeExperts) -> None:
        await experts.stop()
        channels = ExpertChannels(experts.target, 1)
        with pytest.raises(ExpertUnavailable):
            await self.generate(channels)
        with pytest.raises(ExpertUnavailable):
            await channels.describe("coder", timeout_s=10)
        await channels.close()
