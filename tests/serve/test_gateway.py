"""The core alone, between a played router and a played dispatcher: what happens to a request, in which order."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from experts.catalog.prices import load_prices
from experts.catalog.spec import load_catalog
from protos import chat_pb2 as chat
from router.decision import Reason
from router.policy.decide import ExpertState
from serve.admission.drain import Drain
from serve.admission.permits import Admission
from serve.costs.tariffs import tariffs
from serve.dispatch.health import HealthMonitor
from serve.errors import ExpertFailed, ExpertUnavailable, InvalidRequest, Overloaded, ShuttingDown, UnknownModel
from serve.gateway import Gateway
from serve.limits.quota import Quotas
from serve.limits.reservation import Reservations
from serve.limits.stores import LocalStore
from serve.request import CallerPreferences, ChatRequest
from serve.routing.expert_states import Candidates
from serve.settings.tree import AdmissionSettings, RouterSettings
from serve.telemetry.recorder import Recorder
from tests.fakes.core import FakeDispatcher, FakeRouter
from tests.helpers import Diary, FlatPrices, chat_request, chunk, last_chunk, route_decision, until

WHOLE = (chunk("Hello"), chunk(" there"), last_chunk(2))


class FakeHealth:
    def __init__(self) -> None:
        self.answers: list[str] = []

    def report_answer(self, expert: str, completion: Any, *, ttft_s: float, now: float) -> None:
        self.answers.append(expert)


class FakeCandidates:
    def __init__(self) -> None:
        self.refuse: InvalidRequest | None = None
        self.known: list[ExpertState] = []

    def check(self, request: ChatRequest) -> None:
        if self.refuse is not None:
            raise self.refuse

    def states(self, request: ChatRequest) -> list[ExpertState]:
        return self.known


class Core:
    """A gateway and its played neighbours."""

    def __init__(self, catalog_file: Path, settings: RouterSettings, admission: AdmissionSettings) -> None:
        self.router = FakeRouter(route_decision("coder", "advisor"))
        self.dispatcher = FakeDispatcher(*WHOLE)
        self.diary = Diary()
        self.health = FakeHealth()
        self.candidates = FakeCandidates()
        self.drain = Drain()
        self.admission = Admission(admission)
        catalog = load_catalog(catalog_file)
        reservations = Reservations(catalog, tariffs(catalog, load_prices()), is_hedging=False)
        self.gateway = Gateway(
            catalog=catalog,
            router=self.router,
            allowances=Quotas(LocalStore(), reservations, on_refusal=lambda _: None),
            admission=self.admission,
            drain=self.drain,
            dispatcher=cast(Any, self.dispatcher),
            health=cast(HealthMonitor, self.health),
            candidates=cast(Candidates, self.candidates),
            recorder=Recorder((self.diary,), FlatPrices()),
            settings=settings,
        )

    async def ask(self, request: ChatRequest | None = None) -> list[str]:
        async with self.gateway.generate(request or chat_request()) as answer:
            return [one.text async for one in answer.chunks()]

    @property
    def told(self) -> list[str]:
        return [event[0] for event in self.diary.events]

    def assert_nothing_is_left(self) -> None:
        assert (self.dispatcher.open, self.admission.in_flight, self.admission.waiting) == (0, 0, 0)
        assert self.told.count("begun") == self.told.count("ended")


def state(name: str) -> ExpertState:
    return ExpertState(name, 1000, True, 0, 1, 0.0)


def conversation(text: str) -> chat.Conversation:
    message = chat.Message(role=chat.ROLE_USER, content=text)
    return chat.Conversation(messages=[message], tools=[chat.Tool(name="get_time")])


@pytest.fixture
def core(catalog_file: Path) -> Core:
    return Core(catalog_file, RouterSettings(), AdmissionSettings())


async def test_the_path_of_a_request(core: Core) -> None:
    async with core.gateway.generate(chat_request()) as answer:
        assert answer.decision.expert == "coder"
        assert core.admission.in_flight == 1
        assert [one.text async for one in answer.chunks()] == ["Hello", " there"]
        assert answer.end.completion.usage.completion_tokens == 2
        assert answer.end.cost_usd == pytest.approx(9e-12)
    assert core.told == [
        "begun",
        "admitted",
        "assigned",
        "routed",
        "dispatched",
        "answered",
        "first_token",
        "tokens",
        "completed",
        "ended",
    ]
    assert core.health.answers == ["coder"]
    core.assert_nothing_is_left()


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.FALLBACK])
async def test_every_reason_is_carried_to_the_answer(core: Core, reason: Reason) -> None:
    core.router.decision = route_decision("coder", "advisor", reason=reason)
    async with core.gateway.generate(chat_request()) as answer:
        assert answer.decision.reason is reason


async def test_a_fallback_is_the_answer_of_the_one_who_gave_it(core: Core) -> None:
    core.dispatcher.falls_back = True
    async with core.gateway.generate(chat_request()) as answer:
        assert (answer.decision.expert, answer.decision.reason) == ("advisor", Reason.FALLBACK)
        assert [one.text async for one in answer.chunks()] == ["Hello", " there"]
    assert ("fell_back", "coder", "advisor") in core.diary.events
    assert core.health.answers == ["advisor"]


async def test_a_request_that_is_handed_back_is_decided_by_its_words_without_who_did(core: Core) -> None:
    asked = conversation("What time is it?")
    core.dispatcher.hands_back = True
    core.router.decision = route_decision("tool-caller", "coder")
    core.router.later = [route_decision("advisor", "coder")]
    core.candidates.known = [state("tool-caller"), state("advisor"), state("coder")]
    async with core.gateway.generate(chat_request(input=asked)) as answer:
        assert (answer.decision.expert, answer.decision.reason) == ("advisor", Reason.HANDED_BACK)
        assert [one.text async for one in answer.chunks()] == ["Hello", " there"]
    (first, _, _), (second, pinned, _) = core.router.asked
    assert (first.has_tools, first.tool_names) == (True, ("get_time",))
    assert (second.has_tools, second.tool_names, second.tool_text, pinned) == (False, (), "", None)
    assert second.turns == first.turns
    assert core.router.offered == [["tool-caller", "advisor", "coder"], ["advisor", "coder"]]
    assert [candidate.expert for candidate in answer.decision.ranking] == ["advisor", "coder", "tool-caller"]
    assert ("handed_back", "tool-caller", "advisor") in core.diary.events
    assert core.health.answers == ["advisor"]
    core.assert_nothing_is_left()


@pytest.mark.parametrize("model", ["auto", "", "moegate"])
async def test_the_router_chooses_unless_an_expert_is_named(core: Core, model: str) -> None:
    await core.ask(chat_request(model=model))
    await core.ask(chat_request(model="advisor"))
    assert [pinned for _, pinned, _ in core.router.asked] == [None, "advisor"]


async def test_what_no_expert_could_answer_is_refused_before_anybody_is_asked(core: Core) -> None:
    wrong: list[tuple[ChatRequest, type[Exception], str]] = [
        (chat_request(model="poet"), UnknownModel, "model"),
        (chat_request(input=chat.Conversation()), InvalidRequest, "messages"),
        (chat_request(sampling=chat.Sampling(temperature=9)), InvalidRequest, "temperature"),
        (
            chat_request(preferences=CallerPreferences(previous_expert="poet")),
            InvalidRequest,
            "x-moegate-previous-expert",
        ),
    ]
    for request, error, param in wrong:
        with pytest.raises(error) as refused:
            await core.ask(request)
        assert cast(InvalidRequest, refused.value).param == param
    core.candidates.refuse = InvalidRequest("no", param="response_format")
    with pytest.raises(InvalidRequest):
        await core.ask()
    assert not core.dispatcher.requests
    assert core.told.count("admitted") == 0
    core.assert_nothing_is_left()


async def test_a_refused_dispatch_returns_everything(core: Core) -> None:
    core.dispatcher.refuse = ExpertUnavailable("nobody")
    with pytest.raises(ExpertUnavailable):
        await core.ask()
    assert core.diary.events[-1] == ("ended", "expert_unavailable")
    core.assert_nothing_is_left()


async def test_a_broken_stream_returns_everything_and_no_answer_is_reported(core: Core) -> None:
    core.dispatcher.items = (chunk("Hel"), ExpertFailed("it broke"))
    with pytest.raises(ExpertFailed):
        await core.ask()
    assert core.diary.events[-1] == ("ended", "expert_failed")
    assert not core.health.answers
    core.assert_nothing_is_left()


async def test_a_client_that_leaves_ends_the_stream(core: Core) -> None:
    core.dispatcher.items = (chunk("Hel"), None)
    asked = asyncio.create_task(core.ask())
    await until(lambda: "first_token" in core.told)
    assert core.dispatcher.open == 1
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert core.diary.events[-1] == ("ended", "cancelled")
    core.assert_nothing_is_left()


async def test_the_end_of_service_is_an_error_and_not_a_cancel(core: Core) -> None:
    core.dispatcher.items = (chunk("Hel"), None)
    asked = asyncio.create_task(core.ask())
    await until(lambda: "first_token" in core.told)
    core.drain.happen()
    with pytest.raises(ShuttingDown):
        await asked
    with pytest.raises(ShuttingDown):
        await core.ask()
    core.assert_nothing_is_left()


async def test_beyond_capacity_is_refused_and_a_permit_lasts_as_long_as_the_stream(catalog_file: Path) -> None:
    core = Core(catalog_file, RouterSettings(), AdmissionSettings(max_in_flight=1, max_queue_len=0))
    core.dispatcher.items = (chunk("Hel"), None)
    first = asyncio.create_task(core.ask())
    await until(lambda: "first_token" in core.told)
    with pytest.raises(Overloaded):
        await core.ask()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    core.dispatcher.items = WHOLE
    assert await core.ask() == ["Hello", " there"]
    core.assert_nothing_is_left()


async def test_what_the_caller_says_wins_over_the_settings(catalog_file: Path) -> None:
    core = Core(catalog_file, RouterSettings(quality_cost=0.3, ttft_target_ms=5000), AdmissionSettings())
    await core.ask()
    await core.ask(chat_request(preferences=CallerPreferences(quality_cost=0.7, ttft_target_ms=1e7)))
    [(_, _, from_settings), (_, _, said)] = core.router.asked
    assert (from_settings.quality_cost, said.quality_cost) == (0.3, 0.7)
    assert from_settings.ttft_target_s is not None
    assert from_settings.ttft_target_s <= 5.0
    assert said.ttft_target_s is not None
    assert said.ttft_target_s > 5.0


async def test_the_trace_context_of_the_request_goes_to_dispatch(core: Core) -> None:
    request = replace(chat_request(), traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    await core.ask(request)
    assert core.dispatcher.requests[0].traceparent == request.traceparent


async def test_a_decision_alone_asks_nobody(core: Core) -> None:
    assert core.gateway.route(chat_request()).expert == "coder"
    assert not core.dispatcher.requests
    assert not core.diary.events
