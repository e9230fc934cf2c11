"""The word lists: who they choose, and that their probabilities are what the shipped seeds show."""

from collections import Counter
from pathlib import Path

import pytest

from router.features.featurize import RouteQuery, query_from_openai
from router.policy.keywords import NO_WORD, RULES, TOOLS, keywords, rule_of
from router.training.dataset import read_seeds

SEEDS = Path(__file__).parents[3] / "router" / "training" / "seeds"
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}


def ask(text: str, tools: list[dict[str, object]] | None = None) -> RouteQuery:
    return query_from_openai([{"role": "user", "content": text}], tools)


@pytest.mark.parametrize(
    ("text", "expert"),
    [
        ("fix this python script", "coder"),
        ("what does this bug mean?", "coder"),  # the first list that holds a word decides
        ("write a poem", "advisor"),
        ("hello", "generalist"),
        ("3 + 4", "generalist"),
        ("who was Euler?", "researcher"),
        ("zzz", "generalist"),
        ("", "generalist"),
        ("schreib ein Gedicht", "generalist"),  # English only
    ],
)
def test_the_first_list_that_holds_a_word_decides(text: str, expert: str) -> None:
    assert rule_of(ask(text)).expert == expert
    shares = keywords(ask(text))
    assert max(shares, key=lambda name: shares[name]) == expert


def test_offered_tools_come_before_any_word() -> None:
    assert rule_of(ask("write a poem", [TOOL])) is TOOLS


def test_the_probabilities_are_shares_of_the_seeds() -> None:
    counts: dict[int, Counter[str]] = {}
    for row in read_seeds(SEEDS):
        counts.setdefault(id(rule_of(row.query)), Counter()).update({"rows": 1} | dict.fromkeys(row.labels, 1))
    for rule in (*RULES, TOOLS, NO_WORD):
        found = counts[id(rule)]
        for expert in {*rule.shares, *found} - {"rows"}:
            assert rule.shares.get(expert, 0.0) == pytest.approx(found[expert] / found["rows"], abs=0.05)
