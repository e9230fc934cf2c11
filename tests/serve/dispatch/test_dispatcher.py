"""Dispatch over experts that play a script: who is asked, in which order, and who is told what became of it."""

import asyncio
import time
from contextlib import suppress

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from experts.catalog.spec import Scaling
from protos import chat_pb2 as chat
from router.decision import Reason
from serve.costs.ledger import Waste
from serve.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    ExpertFailed,
    ExpertUnavailable,
    InvalidRequest,
    MoegateError,
    Overloaded,
    Unanswerable,
)
from serve.expert_client.h2.call import CallError
from serve.expert_client.stream import ExpertStream
from serve.request import UNLIMITED, Caller
from serve.telemetry.metrics.dispatch import CircuitState
from tests.helpers import chat_request, chunk, until
from tests.serve.dispatch.stage import (
    ANSWERS,
    BEGUN,
    FAILS,
    FULL,
    HANGS,
    LATE,
    LOST,
    LOST_BEGUN,
    SILENT,
    TAKEN_ON,
    TOO_LONG,
    UNREACHABLE,
    WRONG,
    Play,
    Stage,
)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.FALLBACK])
async def test_the_first_of_the_ranking_answers_and_the_decision_stands(reason: Reason) -> None:
    stage = Stage()
    stage.play("coder", ANSWERS)
    decision = await stage.ask("coder", "advisor", reason=reason)
    assert (decision.expert, decision.reason) == ("coder", reason)
    assert stage.channels.who == ["coder"]
    assert (stage.told.moves, stage.told.lost_work) == ([], [])
    await stage.close()


async def test_a_stream_is_in_flight_until_it_is_left() -> None:
    stage = Stage()
    stage.play("coder", ANSWERS)

    async def look(stream: ExpertStream) -> None:
        assert stage.dispatcher.in_flight["coder"] == 1
        assert (stream.expert, stream.is_ready) == ("coder", True)
        first = await stream.read()
        assert (first.text, first.prompt_tokens) == ("Hello", 7)
        assert (await stream.read()).HasField("completion")

    await stage.ask(read=look)
    await stage.close()


async def test_what_an_expert_is_told() -> None:
    stage = Stage(patience_s=20.0, experts={"accept_timeout_s": 3.0})
    stage.play("coder", LOST_BEGUN)
    stage.play("advisor", ANSWERS)
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    await stage.ask(request=chat_request("words", traceparent=trace, deadline=time.monotonic() + 50))
    first, *_, last = stage.channels.asked
    assert (first.accept_within_s, last.accept_within_s) == (3.0, 20.0), "who is the last has as long as it needs"
    assert first.patience_s == last.patience_s == 20.0
    assert 0 < last.timeout_s <= first.timeout_s <= 50
    assert (first.traceparent, first.message.request_id) == (trace, "r")
    assert first.message.conversation.messages[0].content == "words"
    stage.play("advisor", ANSWERS)
    await stage.ask("advisor", request=chat_request(input="raw text"))
    assert stage.channels.asked[-1].message.WhichOneof("input") == "prompt"
    assert stage.channels.asked[-1].message.prompt == "raw text"
    await stage.close()


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_form_goes_along_and_says_whether_the_answer_is_wanted_whole(is_stream: bool) -> None:
    stage = Stage()
    stage.play("coder", ANSWERS)
    kind = chat.ResponseFormat.TYPE_JSON_SCHEMA
    form = chat.ResponseFormat(type=kind, schema_json='{"type": "object"}', strict=True)
    turn = chat.Message(role=chat.ROLE_USER, content="json")
    await stage.ask(
        request=chat_request(input=chat.Conversation(messages=[turn], response_format=form), is_stream=is_stream)
    )
    message = stage.channels.asked[0].message
    assert (message.whole, bool(message.reduced_schema)) == (not is_stream, True)
    await stage.close()


class TestRetry:
    @pytest.mark.parametrize(("lost", "work"), [(LOST, 0), (LOST_BEGUN, 7), (UNREACHABLE, 0)])
    async def test_what_was_lost_on_the_way_is_sent_again_to_the_same_expert(
        self, lost: Play | MoegateError, work: int
    ) -> None:
        stage = Stage(retries=1, circuit={"failures": 9})
        stage.play("coder", lost, ANSWERS)
        assert (await stage.ask()).reason is Reason.CLASSIFIED
        assert stage.channels.who == ["coder", "coder"]
        assert stage.sample("retries_total", expert="coder") == 1
        assert stage.told.lost_work == ([("coder", Waste.RETRIED, work)] if work else [])
        await stage.close()

    @pytest.mark.parametrize("retries", [0, 1, 3])
    async def test_so_many_times_and_no_more(self, retries: int) -> None:
        stage = Stage(retries=retries, circuit={"failures": 99})
        stage.play("coder", LOST_BEGUN)
        with pytest.raises(ExpertUnavailable):
            await stage.ask("coder")
        assert stage.channels.who == ["coder"] * (retries + 1)
        assert [waste for _, waste, _ in stage.told.lost_work] == [Waste.RETRIED] * retries + [Waste.FAILED]
        await stage.close()

    async def test_the_budget_ends_it_and_is_counted(self) -> None:
        stage = Stage(retries=5, retry_burst=2, retry_ratio=0, circuit={"failures": 99})
        stage.play("coder", LOST)
        for _ in range(2):
            with pytest.raises(ExpertUnavailable):
                await stage.ask("coder")
        assert len(stage.channels.who) == 4
        assert stage.sample("refused_attempts_total") == 2
        await stage.close()


class TestFallback:
    @pytest.mark.parametrize("play", [LOST, LOST_BEGUN, UNREACHABLE, FULL])
    async def test_the_next_one_answers(self, play: Play | MoegateError) -> None:
        stage = Stage(retries=0)
        stage.play("coder", play)
        stage.play("advisor", ANSWERS)
        decision = await stage.ask("coder", "advisor", "generalist")
        assert [candidate.expert for candidate in decision.ranking] == ["advisor", "coder", "generalist"]
        assert decision.reason is Reason.FALLBACK
        assert stage.told.moves == [("coder", "advisor")]
        assert stage.told.lost_work == ([("coder", Waste.FELL_BACK, 7)] if play is LOST_BEGUN else [])
        await stage.close()

    async def test_each_expert_has_its_own_retries(self) -> None:
        stage = Stage(retries=1, circuit={"failures": 99})
        stage.play("coder", LOST)
        stage.play("advisor", LOST, ANSWERS)
        assert (await stage.ask()).expert == "advisor"
        assert stage.channels.who == ["coder", "coder", "advisor", "advisor"]
        await stage.close()

    @pytest.mark.parametrize("play", [LOST, FULL])
    async def test_an_expert_that_the_caller_named_is_not_replaced(self, play: Play) -> None:
        stage = Stage(retries=0)
        stage.play("coder", play)
        stage.play("advisor", ANSWERS)
        with pytest.raises((ExpertUnavailable, Overloaded)):
            await stage.ask("coder", "advisor", reason=Reason.PINNED)
        assert stage.channels.who == ["coder"]
        await stage.close()

    @pytest.mark.parametrize(("play", "error"), [(WRONG, InvalidRequest), (LATE, DeadlineExceeded)])
    async def test_what_nobody_else_could_mend_ends_it(self, play: Play, error: type[MoegateError]) -> None:
        stage = Stage()
        stage.play("coder", play)
        stage.play("advisor", ANSWERS)
        with pytest.raises(error):
            await stage.ask()
        assert stage.channels.who == ["coder"]
        assert stage.state("coder") is CircuitState.CLOSED
        await stage.close()

    @pytest.mark.parametrize(("window", "who"), [(999, ["coder"]), (1000, ["coder"]), (1001, ["coder", "advisor"])])
    async def test_a_prompt_that_is_too_long_goes_to_a_larger_window_alone(self, window: int, who: list[str]) -> None:
        stage = Stage(advisor={"context_window": window})
        stage.play("coder", TOO_LONG)
        stage.play("advisor", ANSWERS)
        try:
            await stage.ask()
        except ContextLengthExceeded:
            assert who == ["coder"]
        assert stage.channels.who == who
        await stage.close()

    async def test_the_last_experts_error_is_the_clients(self) -> None:
        stage = Stage(retries=0)
        stage.play("coder", LOST)
        stage.play("advisor", FULL)
        with pytest.raises(Overloaded):
            await stage.ask()
        await stage.close()


class TestSilence:
    async def test_who_does_not_take_a_request_on_is_passed_over_without_a_retry(self) -> None:
        stage = Stage(retries=3, experts={"accept_timeout_s": 0.02})
        stage.play("coder", SILENT)
        stage.play("advisor", ANSWERS)
        assert (await stage.ask()).expert == "advisor"
        assert stage.channels.who == ["coder", "advisor"]
        assert stage.state("coder") is CircuitState.OPEN
        await stage.close()

    async def test_who_took_it_on_is_given_patience_instead(self) -> None:
        stage = Stage(patience_s=0.05, experts={"accept_timeout_s": 0.02})
        stage.play("coder", HANGS)
        stage.play("advisor", ANSWERS)
        assert (await stage.ask()).expert == "advisor"
        assert stage.told.lost_work == [("coder", Waste.FELL_BACK, 7)]
        await stage.close()


class TestHedge:
    async def test_a_slow_first_one_is_left_for_the_next(self) -> None:
        stage = Stage(hedge_after_ms=1)
        stage.play("coder", HANGS)
        stage.play("advisor", ANSWERS)
        decision = await stage.ask()
        assert (decision.expert, decision.reason) == ("advisor", Reason.FALLBACK)
        assert stage.sample("hedges_total", expert="coder", to="advisor") == 1
        assert stage.told.lost_work == [("coder", Waste.HEDGED, 7)]
        assert stage.told.moves == [], "nobody failed"
        assert stage.state("coder") is CircuitState.CLOSED
        await stage.close()

    async def test_not_to_one_that_may_not_be_asked(self) -> None:
        stage = Stage(hedge_after_ms=1, patience_s=0.05, retries=0)
        stage.dispatcher.circuits["advisor"].failed(began_at=0.0)
        stage.play("coder", HANGS)
        with pytest.raises(ExpertUnavailable):
            await stage.ask()
        assert stage.channels.who == ["coder"]
        assert stage.sample("hedges_total", expert="coder", to="advisor") == 0
        await stage.close()

    async def test_a_fast_one_is_alone(self) -> None:
        stage = Stage(hedge_after_ms=60_000)
        stage.play("coder", ANSWERS)
        await stage.ask()
        assert stage.channels.who == ["coder"]
        await stage.close()


async def test_a_client_that_leaves_before_the_first_token_costs_what_was_done_and_no_circuit() -> None:
    stage = Stage()
    stage.play("coder", HANGS)
    asking = asyncio.create_task(stage.ask())
    await until(lambda: stage.channels.who == ["coder"])
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert stage.told.lost_work == [("coder", Waste.CANCELLED, 7)]
    assert stage.state("coder") is CircuitState.CLOSED
    await stage.close()


FOUR_AT_ONCE = {"max_batch_size": 1, "max_queue_len": 1, "scaling": Scaling(max_replicas=2)}
COLD = {"scaling": Scaling(min_replicas=0)}


class TestBusy:
    async def test_an_expert_that_holds_all_it_can_is_passed_over_unasked(self) -> None:
        stage = Stage(coder=FOUR_AT_ONCE)
        stage.play("advisor", ANSWERS)
        stage.dispatcher.in_flight["coder"] = 4
        assert (await stage.ask()).expert == "advisor"
        assert stage.channels.who == ["advisor"]
        with pytest.raises(Overloaded):
            await stage.ask("coder")
        assert stage.state("coder") is CircuitState.CLOSED
        stage.dispatcher.in_flight["coder"] = 3
        stage.play("coder", ANSWERS)
        assert (await stage.ask()).expert == "coder"

    async def test_passing_over_costs_no_budget(self) -> None:
        stage = Stage(coder=FOUR_AT_ONCE, retry_burst=1, retry_ratio=0)
        stage.play("advisor", ANSWERS)
        stage.dispatcher.in_flight["coder"] = 4
        for _ in range(3):
            assert (await stage.ask()).expert == "advisor"
        assert stage.sample("refused_attempts_total") == 0


class TestCircuit:
    async def test_an_open_one_is_passed_over_and_says_when_to_come_back(self) -> None:
        stage = Stage(retries=0, circuit={"open_s": 30})
        stage.play("coder", LOST)
        stage.play("advisor", ANSWERS)
        for _ in range(3):
            assert (await stage.ask()).expert == "advisor"
        assert stage.channels.who.count("coder") == 1
        assert stage.dispatcher.is_open("coder")
        assert stage.sample("circuit_state", expert="coder") == 2
        with pytest.raises(ExpertUnavailable) as refused:
            await stage.ask("coder")
        assert refused.value.retry_after_s is not None
        assert 0 < refused.value.retry_after_s <= 30
        await stage.close()

    @pytest.mark.parametrize("play", [FULL, WRONG, TOO_LONG, LATE])
    async def test_a_refusal_is_no_failure(self, play: Play) -> None:
        stage = Stage(retries=0)
        stage.play("coder", play)
        for _ in range(3):
            with pytest.raises(MoegateError):
                await stage.ask("coder")
        assert stage.state("coder") is CircuitState.CLOSED
        await stage.close()

    async def test_what_one_tenant_alone_has_met_is_checked_by_a_probe(self) -> None:
        stage = Stage(retries=0)
        stage.play("coder", LOST_BEGUN)
        with pytest.raises(ExpertUnavailable):
            await stage.ask("coder", request=chat_request(caller=Caller("ann", UNLIMITED)))
        await until(lambda: stage.channels.described == ["coder"])
        assert stage.state("coder") is CircuitState.CLOSED, "it is well"
        await stage.close()

    async def test_a_stream_that_breaks_in_the_middle_counts(self) -> None:
        stage = Stage()
        stage.channels.ill.add("coder")
        stage.play("coder", [TAKEN_ON, BEGUN, chunk("Hel"), CallError(StatusCode.UNAVAILABLE)])

        async def read(stream: ExpertStream) -> None:
            await stream.read()
            await stream.read()

        with pytest.raises(ExpertFailed):
            await stage.ask(read=read)
        await until(lambda: stage.state("coder") is CircuitState.OPEN)
        await stage.close()

    async def test_an_answer_closes_it(self) -> None:
        stage = Stage(retries=0, circuit={"open_s": 0.01})
        stage.channels.may_describe.clear()  # no probe is quicker
        stage.play("coder", LOST, ANSWERS)
        with pytest.raises(ExpertUnavailable):
            await stage.ask("coder")
        assert stage.state("coder") is CircuitState.OPEN
        await until(lambda: not stage.dispatcher.is_open("coder"))
        assert (await stage.ask("coder")).expert == "coder"
        assert stage.state("coder") is CircuitState.CLOSED
        await stage.close()


class TestSecondLook:
    async def test_another_expert_answers_and_the_first_is_to_blame(self) -> None:
        stage = Stage(retries=3)
        stage.channels.ill.add("coder")
        stage.play("coder", FAILS)
        stage.play("advisor", ANSWERS)
        assert (await stage.ask()).expert == "advisor"
        assert stage.channels.who == ["coder", "advisor"], "it is not asked again itself"
        await until(lambda: stage.state("coder") is CircuitState.OPEN)
        await stage.close()

    async def test_where_there_is_no_other_the_same_one_is_asked_again(self) -> None:
        stage = Stage(retries=1)
        stage.play("coder", FAILS, ANSWERS)
        assert (await stage.ask("coder")).expert == "coder"
        assert stage.told.lost_work == [("coder", Waste.RETRIED, 7)]
        await stage.close()

    @pytest.mark.parametrize("ranking", [("coder",), ("coder", "advisor", "generalist")])
    async def test_two_that_fail_mean_that_the_request_is_to_blame(self, ranking: tuple[str, ...]) -> None:
        stage = Stage(retries=3)
        stage.play("coder", FAILS)
        stage.play("advisor", FAILS)
        with pytest.raises(Unanswerable):
            await stage.ask(*ranking)
        assert len(stage.channels.who) == 2
        assert [waste for _, waste, _ in stage.told.lost_work][-1] is Waste.FAILED
        assert {stage.state(expert) for expert in ranking} == {CircuitState.CLOSED}
        await stage.close()

    async def test_unless_the_expert_is_not_well_without_it_either(self) -> None:
        stage = Stage(retries=1)
        stage.channels.ill.add("coder")
        stage.play("coder", FAILS)
        with pytest.raises(ExpertUnavailable):
            await stage.ask("coder")
        assert stage.state("coder") is CircuitState.OPEN
        await stage.close()

    async def test_it_has_a_budget_of_its_own(self) -> None:
        stage = Stage(retries=1, retry_burst=1, retry_ratio=0, circuit={"failures": 99})
        stage.play("coder", FAILS)
        with pytest.raises(Unanswerable):
            await stage.ask("coder")
        with pytest.raises(ExpertFailed):
            await stage.ask("coder")
        stage.play("coder", LOST, ANSWERS)
        assert (await stage.ask("coder")).expert == "coder", "others have their retries still"
        await stage.close()


class TestWaking:
    async def test_a_silent_one_that_may_be_cold_is_woken_and_counts_as_awake_when_it_answers(self) -> None:
        stage = Stage(coder=COLD, experts={"accept_timeout_s": 0.02})
        stage.play("coder", SILENT)
        stage.play("advisor", ANSWERS)
        assert (await stage.ask()).expert == "advisor"
        await until(lambda: stage.sample("wakes_total", expert="coder", outcome="answered") == 1)
        assert stage.state("coder") is CircuitState.CLOSED, "it has answered the call that woke it"
        await stage.close()

    @pytest.mark.parametrize("play", [FULL, LOST_BEGUN])
    async def test_who_speaks_is_awake(self, play: Play) -> None:
        stage = Stage(coder=COLD, retries=0, circuit={"failures": 99})
        stage.play("coder", play)
        stage.play("advisor", ANSWERS)
        await stage.ask()
        await asyncio.sleep(0.01)
        assert stage.channels.described == []
        await stage.close()

    async def test_while_it_wakes_it_is_passed_over_by_who_has_another(self) -> None:
        stage = Stage(coder=COLD, experts={"accept_timeout_s": 0.02})
        stage.play("coder", SILENT, ANSWERS)
        stage.play("advisor", ANSWERS)
        stage.channels.may_describe.clear()
        assert (await stage.ask()).expert == "advisor"
        await until(lambda: stage.dispatcher.waker.is_waiting("coder"))
        stage.dispatcher.circuits["coder"].succeeded()
        assert (await stage.ask()).expert == "advisor"
        assert stage.channels.who == ["coder", "advisor", "advisor"]
        assert (await stage.ask("coder")).expert == "coder", "who has no other waits for it"
        assert not stage.dispatcher.waker.is_waiting("coder"), "and has seen that it is awake"
        await stage.close()


PLAYS: dict[str, Play | MoegateError] = {
    "answers": ANSWERS,
    "lost": LOST,
    "lost once begun": LOST_BEGUN,
    "fails": FAILS,
    "full": FULL,
    "too long": TOO_LONG,
    "wrong": WRONG,
    "unreachable": UNREACHABLE,
}
SCRIPT = st.lists(st.sampled_from(sorted(PLAYS)), min_size=1, max_size=3)


@given(st.tuples(SCRIPT, SCRIPT, SCRIPT), st.integers(0, 1))
def test_whatever_they_do_everything_is_closed_and_every_loss_is_told(
    scripts: tuple[list[str], ...], retries: int
) -> None:
    async def run() -> None:
        stage = Stage(retries=retries, circuit={"failures": 99})
        for expert, script in zip(("coder", "advisor", "generalist"), scripts, strict=True):
            stage.play(expert, *(PLAYS[name] for name in script))
        is_answered = False
        with suppress(MoegateError):
            decision = await stage.ask("coder", "advisor", "generalist")
            is_answered = decision.expert == stage.channels.who[-1]
        begun = [asked.expert for asked in stage.channels.asked if BEGUN in asked.play]
        assert [expert for expert, _, _ in stage.told.lost_work] == (begun[:-1] if is_answered else begun)
        assert len(stage.channels.who) <= 3 * (1 + retries)
        await stage.close()

    asyncio.run(run())
