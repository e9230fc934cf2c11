"""Experts told apart by the words of a few examples."""

import pytest

from router.decision import Reason
from router.features.featurize import query_from_openai
from router.policy.decide import ExpertState, Policy
from router.policy.examples import ExampleWords
from router.policy.rules import RuleRouter

EXAMPLES = {
    "cook": ["Recipes and cooking.", "how do I poach an egg", "recipe for lentil soup", "Rezept für Apfelkuchen"],
    "coder": ["Write and fix code.", "write a python function", "why does this sql query fail"],
    "generalist": ["Everything else."],
}
TOOLS = [{"type": "function", "function": {"name": "oven", "description": "Sets the oven"}}]


@pytest.fixture(scope="module")
def router() -> RuleRouter:
    return RuleRouter(ExampleWords.of(EXAMPLES), "examples", Policy("generalist", 0.35))


def states(*names: str) -> list[ExpertState]:
    return [ExpertState(name, 8192, True, 0, 16, 0.1) for name in names]


@pytest.mark.parametrize(
    ("text", "expert"),
    [
        ("a recipe for pumpkin soup please", "cook"),
        ("poach two eggs", "cook"),
        ("python function for primes", "coder"),
        ("good evening", "generalist"),
        ("", "generalist"),
    ],
)
def test_shared_words_decide(router: RuleRouter, text: str, expert: str) -> None:
    query = query_from_openai([{"role": "user", "content": text}])
    assert router.route(query, states("cook", "coder", "generalist")).expert == expert


def test_nothing_in_common_abstains_and_a_pin_is_obeyed(router: RuleRouter) -> None:
    query = query_from_openai([{"role": "user", "content": "zzkp"}])
    assert router.route(query, states(*EXAMPLES)).reason is Reason.ABSTAINED
    assert router.route(query, states(*EXAMPLES), pinned="cook").expert == "cook"


def test_tools_are_for_the_tool_caller(router: RuleRouter) -> None:
    query = query_from_openai([{"role": "user", "content": "preheat please"}], TOOLS)
    assert router.route(query, states(*EXAMPLES, "tool-caller")).expert == "tool-caller"


def test_an_expert_without_texts_is_never_likely() -> None:
    judge = ExampleWords.of({"cook": ["soup"]})
    assert judge(query_from_openai([{"role": "user", "content": "soup"}]), ["cook", "poet"])["poet"] == 0.0


@pytest.mark.parametrize("name", ["agent", "tool-user", "caller"])
def test_the_experts_for_tools_may_have_any_name(name: str) -> None:
    judge = ExampleWords.of(EXAMPLES | {name: ["Calls tools."]}, (name,))
    offered = query_from_openai([{"role": "user", "content": "a recipe for soup"}], TOOLS)
    assert judge(offered, [*EXAMPLES, name])[name] == 1.0
    assert judge(query_from_openai([{"role": "user", "content": "call tools"}]), [*EXAMPLES, name])[name] == 0.0
