"""A canary gets its share, no more, and nobody who named an expert."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from experts.catalog.spec import CatalogError, load_catalog
from protos import chat_pb2 as chat
from router.decision import Candidate, Reason, RouteDecision
from router.policy.decide import ExpertState
from router.policy.explore import Exploration
from serve.request import ANYONE, UNLIMITED, Caller, ChatRequest
from serve.routing.canary import canaries, origin_of, with_canary
from tests.fakes.expert_server import FakeExperts


def asking(number: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"Fix this Python function: def f{number}(x) return x"}]}


@pytest.fixture
def catalog_file(catalog_file: Path) -> Path:
    """The usual catalogue, the advisor's entry made the coder's canary."""
    catalog = yaml.safe_load(catalog_file.read_text())
    catalog["experts"][2] |= {"canary_of": "coder", "canary_share": 0.25}
    catalog_file.write_text(yaml.safe_dump(catalog))
    return catalog_file


def decision(reason: Reason = Reason.CLASSIFIED) -> RouteDecision:
    ranking = (Candidate("coder", 0.9), Candidate("generalist", 0.05), Candidate("advisor", 0.0))
    return RouteDecision(ranking, reason, 0.9, "v", 0.0)


def request(words: str, *later: str, key: str = "", request_id: str = "r") -> ChatRequest:
    """Ask in a conversation: the user's and the assistant's turns by turns, after a system prompt."""
    roles = (chat.ROLE_USER, chat.ROLE_ASSISTANT)
    turns = [chat.Message(role=roles[place % 2], content=text) for place, text in enumerate((words, *later))]
    talk = chat.Conversation(messages=[chat.Message(role=chat.ROLE_SYSTEM, content="Be brief."), *turns])
    caller = Caller(key, UNLIMITED)
    return ChatRequest("id", request_id, "http", "auto", talk, chat.Sampling(), False, 0.0, 1.0, caller=caller)


def test_its_share_of_conversations_and_its_place(catalog_file: Path) -> None:
    on_trial = canaries(load_catalog(catalog_file))
    made = [with_canary(decision(), on_trial, request(f"question {n}")) for n in range(4000)]
    chosen = [d for d in made if d.expert == "advisor"]
    assert len(chosen) / len(made) == pytest.approx(0.25, abs=0.03)
    assert [c.expert for c in chosen[0].ranking] == ["advisor", "coder", "generalist"]
    assert (chosen[0].confidence, chosen[0].reason) == (0.9, Reason.CLASSIFIED)
    assert {d.propensity for d in chosen} == {0.25}
    assert {(d.expert, d.propensity) for d in made} == {("advisor", 0.25), ("coder", 0.75)}
    assert all(d.chances == {"coder": 0.75, "advisor": 0.25} for d in made)


def test_a_conversation_always_goes_the_same_way_whatever_its_caller_calls_it(catalog_file: Path) -> None:
    on_trial = canaries(load_catalog(catalog_file))
    ways = set()
    for n in range(40):
        turns = [f"question {n}", "an answer", f"and {n}?", "another", "more"]
        talks = [request(*turns[:until], request_id=f"r{until}") for until in (1, 3, 5)]
        [way] = {with_canary(decision(), on_trial, talk).expert for talk in talks}
        ways.add(way)
    assert ways == {"advisor", "coder"}


def test_keys_draw_apart_and_a_raw_prompt_belongs_to_its_key() -> None:
    assert origin_of(request("hello", key="a")) != origin_of(request("hello", key="b"))
    prompts = [replace(request("x", key="a"), input=text) for text in ("one", "two")]
    assert len(set(map(origin_of, prompts))) == 1
    assert len({origin_of(replace(prompt, caller=ANYONE)) for prompt in prompts}) == 2


def test_exploration_and_the_canary_are_both_in_the_propensity(catalog_file: Path) -> None:
    """Which of the experts answers, how often, and with which propensity: they have to be the same number."""
    on_trial = canaries(load_catalog(catalog_file))
    states = [ExpertState(name, 1000, True, 0, 8, 1.0) for name in ("coder", "generalist")]
    exploration = Exploration(0.4, random.Random(5))
    drawn: Counter[str] = Counter()
    told: dict[str, float] = {}
    n = 8000
    for number in range(n):
        explored = exploration.explore(decision(), states, 10)
        made = with_canary(explored, on_trial, request(f"question {number}"))
        drawn[made.expert] += 1
        told[made.expert] = made.propensity
        assert made.chances is not None
        assert made.chances[made.expert] == made.propensity
        assert sum(made.chances.values()) == pytest.approx(1.0)
    assert told == pytest.approx({"coder": 0.8 * 0.75, "advisor": 0.8 * 0.25, "generalist": 0.2})
    for name, chance in told.items():
        assert drawn[name] / n == pytest.approx(chance, abs=0.02)


def test_who_names_an_expert_gets_it(catalog_file: Path) -> None:
    on_trial = canaries(load_catalog(catalog_file))
    pinned = decision(Reason.PINNED)
    assert all(with_canary(pinned, on_trial, request(str(n))) is pinned for n in range(200))


async def test_a_broken_canary_costs_nobody_an_answer(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["advisor"].is_down = True
    answers = [await http.post("/v1/chat/completions", json=asking(n)) for n in range(24)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["model"] for answer in answers} == {"coder"}
    assert {answer.headers["x-moegate-reason"] for answer in answers} == {"classified", "fallback"}


def test_a_canary_of_nobody_is_refused(catalog_file: Path) -> None:
    catalog_file.write_text(catalog_file.read_text().replace("canary_of: coder", "canary_of: advisor"))
    with pytest.raises(CatalogError, match="'advisor' is a canary of 'advisor'"):
        load_catalog(catalog_file)
