"""Hand back at both doors: the words decide who answers, the attempt is billed by its own cause, nobody is blamed."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, chat_request, until

TOOLS = [
    {"type": "function", "function": {"name": "get_time", "description": "The local time of a city"}},
    {"type": "function", "function": {"name": "get_weather", "description": "The weather of a city"}},
]
TEXTS = (  # requests that the router takes for the tools'
    "Write a Python function that prints the time in Oslo and the weather of the city",
    "What time is it in Oslo now?",
    "Plan a weekend trip: what is the weather of the city, and at what time should we go?",
)
TEXT = TEXTS[0]
SENTENCE = ["None", " of", " the", " tools", " can", " do", " that", "."]


def body(text: str = TEXT, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "tools": TOOLS, **fields}


def conversation(text: str = TEXT) -> chat.Conversation:
    tools = [chat.Tool(name=t["function"]["name"], description=t["function"]["description"]) for t in TOOLS]
    return chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content=text)], tools=tools)


@pytest.fixture(autouse=True)
def declining(experts: FakeExperts) -> None:
    """Every tool-caller of these tests finds no tool fitting; who may not hand back says it in words."""
    experts["tool-caller"].declines_after = 4
    experts["tool-caller"].words = SENTENCE


@pytest.fixture
def last_line(caplog: pytest.LogCaptureFixture) -> Callable[[], dict[str, Any]]:
    caplog.set_level(logging.INFO, "moegate.request")

    def read() -> dict[str, Any]:
        return next(vars(one) for one in reversed(caplog.records) if one.message == "request")

    return read


async def wanted_by_words(http: httpx2.AsyncClient, text: str) -> str:
    answer = await http.post(CHAT, json={"messages": [{"role": "user", "content": text}]})
    return str(answer.headers["x-moegate-expert"])


@pytest.mark.parametrize("text", TEXTS)
async def test_the_expert_that_the_words_want_answers(
    http: httpx2.AsyncClient, experts: FakeExperts, text: str
) -> None:
    words = await wanted_by_words(http, text)
    assert words != "tool-caller"
    answer = await http.post(CHAT, json=body(text))
    assert answer.status_code == 200
    assert (answer.headers["x-moegate-expert"], answer.headers["x-moegate-reason"]) == (words, "handed_back")
    assert answer.headers["x-moegate-ranking"].startswith(f"{words}=")
    assert float(answer.headers["x-moegate-confidence"]) > 0
    [choice] = answer.json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello there!", "stop")
    assert answer.json()["usage"]["completion_tokens"] == 3
    assert experts["tool-caller"].requests[-1].may_hand_back
    assert len(experts["tool-caller"].requests) == 1


async def test_the_first_ranking_does_not_say_whom_the_words_want(app: App, http: httpx2.AsyncClient) -> None:
    """It is capped by the tools' probability, and then price and name decide: that is why the router is asked anew."""
    seconds = [app.gateway.route(chat_request(input=conversation(text))).ranking[1].expert for text in TEXTS]
    assert seconds != [await wanted_by_words(http, text) for text in TEXTS]


async def test_the_next_one_sees_no_tools_and_may_call_none(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].words = ['<tool_call>{"name": "get_time", "arguments": {}}</tool_call>']
    answer = await http.post(CHAT, json=body())
    asked = experts["coder"].requests[-1]
    assert asked.conversation.tool_choice.mode == chat.ToolChoice.MODE_NONE
    assert not asked.may_hand_back
    assert [message.content for message in asked.conversation.messages] == [TEXT]
    [choice] = answer.json()["choices"]
    assert (choice["finish_reason"], choice["message"].get("tool_calls")) == ("stop", None)


async def test_a_stream_begins_with_the_expert_that_answers(http: httpx2.AsyncClient) -> None:
    answer = await http.post(CHAT, json=body(stream=True))
    assert (answer.headers["x-moegate-expert"], answer.headers["x-moegate-reason"]) == ("coder", "handed_back")
    assert "None" not in answer.text
    assert '"content":"Hello"' in answer.text
    assert answer.text.rstrip().endswith("[DONE]")


async def test_over_grpc(stub: GatewayStub) -> None:
    whole = await stub.Complete(pb.GenerateRequest(conversation=conversation()))
    assert (whole.expert, whole.text, whole.decision.reason) == ("coder", "Hello there!", pb.REASON_HANDED_BACK)
    chunks = [chunk async for chunk in stub.Generate(pb.GenerateRequest(conversation=conversation()))]
    assert {chunk.expert for chunk in chunks} == {"coder"}
    assert chunks[0].decision.reason == pb.REASON_HANDED_BACK
    assert chunks[0].decision.ranking[0].expert == "coder"
    assert "".join(chunk.text for chunk in chunks) == "Hello there!"


NO_LEAVE: list[dict[str, Any]] = [
    {"model": "tool-caller"},
    {"model": "tool-caller", "tool_choice": "auto"},
    {"tool_choice": "required"},
    {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
]


@pytest.mark.parametrize("fields", NO_LEAVE)
@pytest.mark.parametrize("stream", [False, True])
async def test_pinned_required_or_named_it_answers_itself(
    http: httpx2.AsyncClient, experts: FakeExperts, fields: dict[str, Any], stream: bool
) -> None:
    answer = await http.post(CHAT, json=body(stream=stream, **fields))
    assert answer.headers["x-moegate-expert"] == "tool-caller"
    assert answer.headers["x-moegate-reason"] != "handed_back"
    assert " tools" in answer.text
    assert [one.may_hand_back for one in experts["tool-caller"].requests] == [False]


async def test_without_tools_nobody_may_hand_back(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    await http.post(CHAT, json={"messages": [{"role": "user", "content": TEXT}]})
    await http.post(CHAT, json=body(tool_choice="none"))
    assert [one.may_hand_back for name in experts.scripts for one in experts[name].requests] == [False, False]


async def test_a_pinned_expert_for_words_gets_the_tools_as_they_came(
    http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    await http.post(CHAT, json=body(model="coder"))
    [asked] = experts["coder"].requests
    assert (asked.conversation.tool_choice.mode, asked.may_hand_back) == (chat.ToolChoice.MODE_UNSPECIFIED, False)


async def test_what_it_cost_is_in_the_log_and_in_the_ledger(
    app: App, http: httpx2.AsyncClient, sample: Callable[..., float], last_line: Callable[[], dict[str, Any]]
) -> None:
    answer = await http.post(CHAT, json=body())
    line = last_line()
    [loss] = line["lost"]
    lost = 7e-6 + 4 * 2e-6
    assert (loss["expert"], loss["cause"], loss["prompt_tokens"], loss["completion_tokens"]) == (
        "tool-caller",
        "handed_back",
        7,
        4,
    )
    assert loss["cost_usd"] == line["wasted_usd"] == pytest.approx(lost)
    assert (line["outcome"], line["expert"], line["reason"]) == ("ok", "coder", "handed_back")
    assert answer.json()["usage"]["cost_usd"] == pytest.approx(7e-6 + 3 * 2e-6), "the answer's own"
    assert line["cost_usd"] == pytest.approx(lost + 7e-6 + 3 * 2e-6)
    assert sample("moegate_wasted_cost_usd_total", expert="tool-caller", cause="handed_back") == pytest.approx(lost)
    spent = sum(sample("moegate_cost_usd_total", expert=name, basis="configured") for name in app._catalog.names)
    assert spent == pytest.approx(line["cost_usd"])
    assert sample("moegate_wasted_tokens_total", expert="tool-caller") == 4
    assert sample("moegate_route_seconds_count") == 2, "the second decision is one as well"


async def test_how_it_is_counted(
    app: App, http: httpx2.AsyncClient, sample: Callable[..., float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "moegate.request")
    assert sample("moegate_hand_backs_total", expert="tool-caller", to="coder") == 0
    await http.post(CHAT, json=body())
    assert sample("moegate_hand_backs_total", expert="tool-caller", to="coder") == 1
    assert sample("moegate_route_decisions_total", expert="coder", reason="handed_back") == 1
    assert sample("moegate_requests_total", expert="coder", door="http", outcome="ok") == 1
    names = app._catalog.names
    assert sum(sample("moegate_fallbacks_total", expert=one, to=two) for one in names for two in names) == 0
    assert sum(sample("moegate_requests_in_flight", expert=name) for name in (*names, "none")) == 0
    assert app._dispatcher.in_flight.total() == 0
    [told] = [vars(one) for one in caplog.records if one.message == "handed back"]
    assert (told["expert"], told["to"], told["levelname"]) == ("tool-caller", "coder", "INFO")


@pytest.mark.parametrize("overrides", [{"dispatch": {"retry_ratio": 0, "retry_burst": 1, "circuit": {"failures": 1}}}])
async def test_neither_the_retry_budget_nor_a_circuit_hears_of_it(
    app: App, http: httpx2.AsyncClient, sample: Callable[..., float]
) -> None:
    for _ in range(10):
        assert (await http.post(CHAT, json=body())).headers["x-moegate-reason"] == "handed_back"
    assert sample("moegate_refused_attempts_total") == 0
    assert not any(app._dispatcher.is_open(name) for name in app._catalog.names)
    assert app._dispatcher.circuits["tool-caller"].retry_after_s == 0


async def test_if_the_next_one_fails_as_well_the_ranking_goes_on(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    experts["coder"].lose = 100
    answer = await http.post(CHAT, json=body())
    assert (answer.status_code, answer.headers["x-moegate-reason"]) == (200, "fallback")
    name = answer.headers["x-moegate-expert"]
    assert name not in ("coder", "tool-caller")
    assert experts[name].requests[-1].conversation.tool_choice.mode == chat.ToolChoice.MODE_NONE
    assert sample("moegate_hand_backs_total", expert="tool-caller", to="coder") == 1
    assert sample("moegate_fallbacks_total", expert="coder", to=name) == 1


@pytest.mark.parametrize("overrides", [{"dispatch": {"retry_burst": 100}}])
async def test_if_nobody_else_answers_it_is_asked_for_its_words(
    http: httpx2.AsyncClient, experts: FakeExperts, last_line: Callable[[], dict[str, Any]]
) -> None:
    for name in experts.scripts:
        experts[name].lose = 0 if name == "tool-caller" else 100
    answer = await http.post(CHAT, json=body())
    assert (answer.status_code, answer.headers["x-moegate-expert"]) == (200, "tool-caller")
    assert answer.headers["x-moegate-reason"] == "fallback"
    assert answer.json()["choices"][0]["message"]["content"] == "".join(SENTENCE)
    first, second = experts["tool-caller"].requests
    assert (first.may_hand_back, second.may_hand_back) == (True, False)
    assert second.conversation.tool_choice.mode != chat.ToolChoice.MODE_NONE, "it is asked as it was"
    assert [loss["cause"] for loss in last_line()["lost"]] == ["handed_back"]


@pytest.mark.parametrize("overrides", [{"experts": {"probe_interval_s": 0.05, "probe_failures": 1}}])
async def test_if_everybody_else_is_known_to_be_down_it_is_asked_at_once(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    for name in experts.scripts:
        experts[name].is_down = name != "tool-caller"
    await until(lambda: sum(one.is_ready for one in app.gateway.health.experts.values()) == 1)
    answer = await http.post(CHAT, json=body())
    assert (answer.headers["x-moegate-expert"], answer.headers["x-moegate-reason"]) == ("tool-caller", "unhealthy")
    assert answer.json()["choices"][0]["message"]["content"] == "".join(SENTENCE)


async def test_a_conversation_that_was_with_the_tools_does_not_stay_there(http: httpx2.AsyncClient) -> None:
    headers = {"x-moegate-previous-expert": "tool-caller"}
    answer = await http.post(CHAT, json=body(), headers=headers)
    assert (answer.headers["x-moegate-expert"], answer.headers["x-moegate-reason"]) == ("coder", "handed_back")


@pytest.mark.parametrize("overrides", [{"dispatch": {"hedge_after_ms": 30}}])
async def test_with_hedging_the_word_of_the_first_counts(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, last_line: Callable[[], dict[str, Any]]
) -> None:
    slow = experts["tool-caller"]
    slow.first_s = 0.3
    others = [name for name in experts.scripts if name != "tool-caller"]
    for name in others:
        experts[name].gate.clear()
    answering = asyncio.create_task(http.post(CHAT, json=body()))
    await until(lambda: any(loss for loss in [experts[name].cancelled for name in others]) or answering.done())
    for name in others:
        experts[name].gate.set()
    answer = await answering
    assert (answer.headers["x-moegate-expert"], answer.headers["x-moegate-reason"]) == ("coder", "handed_back")
    line = last_line()
    causes = [(loss["expert"], loss["cause"]) for loss in line["lost"]]
    assert [cause for _, cause in causes] == ["hedged", "handed_back"]
    assert causes[1][0] == "tool-caller"
    assert not any(one.may_hand_back for name in others for one in experts[name].requests)
    assert app._dispatcher.in_flight.total() == 0


@pytest.mark.parametrize("overrides", [{"dispatch": {"hedge_after_ms": 30}}])
async def test_a_hedge_that_is_quicker_answers(
    http: httpx2.AsyncClient, experts: FakeExperts, last_line: Callable[[], dict[str, Any]]
) -> None:
    experts["tool-caller"].first_s = 30
    answer = await http.post(CHAT, json=body())
    assert answer.headers["x-moegate-reason"] == "fallback"
    assert [loss["cause"] for loss in last_line()["lost"]] == ["hedged"]


async def test_a_client_that_leaves_meanwhile_leaves_nothing_behind(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, last_line: Callable[[], dict[str, Any]]
) -> None:
    experts["coder"].first_s = 30
    with pytest.raises(httpx2.TimeoutException):
        await http.post(CHAT, json=body(), timeout=0.5)
    await until(lambda: app._dispatcher.in_flight.total() == 0 and app.gateway._admission.in_flight == 0)
    line = last_line()
    assert (line["outcome"], line["expert"], line["reason"]) == ("cancelled", "coder", "handed_back")
    assert [loss["cause"] for loss in line["lost"]] == ["handed_back", "cancelled"]
    assert line["cost_usd"] == line["wasted_usd"] == pytest.approx(7e-6 + 4 * 2e-6 + 7e-6)


class TestOtherCatalogues:
    """Who else may be in a catalogue."""

    @pytest.fixture
    def change(self) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
        return lambda entries: entries

    @pytest.fixture
    def catalog_file(self, catalog_file: Path, change: Callable[..., list[dict[str, Any]]]) -> Path:
        entries = change(yaml.safe_load(catalog_file.read_text())["experts"])
        catalog_file.write_text(yaml.safe_dump({"experts": entries, "default": entries[-1]["name"]}))
        return catalog_file

    @pytest.mark.parametrize("change", [lambda entries: [one for one in entries if one["name"] == "tool-caller"]])
    async def test_the_only_one_answers_itself(self, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
        answer = await http.post(CHAT, json=body())
        assert answer.json()["choices"][0]["message"]["content"] == "".join(SENTENCE)
        assert [one.may_hand_back for one in experts["tool-caller"].requests] == [False]

    @pytest.mark.parametrize("change", [lambda entries: [one | {"hands_back": False} for one in entries]])
    async def test_where_nobody_hands_back_all_is_as_before(
        self, http: httpx2.AsyncClient, experts: FakeExperts
    ) -> None:
        answer = await http.post(CHAT, json=body())
        assert answer.headers["x-moegate-expert"] == "tool-caller"
        assert [one.may_hand_back for one in experts["tool-caller"].requests] == [False]

    @pytest.mark.parametrize("change", [lambda entries: [one | {"hands_back": True} for one in entries]])
    async def test_a_second_one_that_could_hand_back_has_to_answer_and_keeps_its_tools(
        self, http: httpx2.AsyncClient, experts: FakeExperts
    ) -> None:
        experts["coder"].declines_after, experts["coder"].words = 3, SENTENCE
        answer = await http.post(CHAT, json=body())
        assert (answer.headers["x-moegate-expert"], answer.headers["x-moegate-reason"]) == ("coder", "handed_back")
        assert answer.json()["choices"][0]["message"]["content"] == "".join(SENTENCE)
        [asked] = experts["coder"].requests
        assert (asked.may_hand_back, asked.conversation.tool_choice.mode) == (False, chat.ToolChoice.MODE_UNSPECIFIED)

    @pytest.mark.parametrize(
        "change",
        [
            lambda entries: [
                one
                | (
                    {"canary_of": "tool-caller", "canary_share": 0.5, "hands_back": True}
                    if one["name"] == "advisor"
                    else {}
                )
                for one in entries
            ]
        ],
    )
    async def test_a_canary_hands_back_as_its_elder_does(self, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
        experts["advisor"].declines_after = 2
        answers = [await http.post(CHAT, json=body(f"{TEXT} {n}")) for n in range(20)]
        assert {answer.headers["x-moegate-expert"] for answer in answers} == {"coder"}
        assert {answer.headers["x-moegate-reason"] for answer in answers} == {"handed_back"}
        asked = len(experts["advisor"].requests), len(experts["tool-caller"].requests)
        assert sum(asked) == 20
        assert min(asked) > 0
