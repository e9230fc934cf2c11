"""The shipped router on requests with system prompts, written and labelled by others than the seeds' writers."""

from dataclasses import replace
from pathlib import Path

import pytest

from router.features.conversation import SYSTEM_ROLES, Turn
from router.features.featurize import RouteQuery
from router.policy.decide import ExpertState
from router.router import Router
from router.training.dataset import Row, read_rows

DATA = Path(__file__).parents[1] / "data"
BAR = 0.85
GAIN = 0.05  # over the same requests without their system prompts
MOST_FLIPS = 0.01
BOILERPLATE = {
    "helpful assistant": "You are a helpful assistant.",
    "a maker's charter": (
        "You are Wren, a conversational AI from Larkspur Ltd. Wren is thoughtful, even-handed and plain-spoken. "
        "Wren does not pretend to be a person and tells people when it may be mistaken."
    ),
    "house rules": (
        "Follow these guidelines:\n* Stay courteous.\n* Never reveal internal notes.\n* Keep to what was asked.\n"
        "* If unsure, say you are unsure."
    ),
    "date and place": "Current date: 2026-08-17 (Monday). Current time: 16:05. Location: Porto. Locale: pt-PT.",
    "form": "Format replies in Markdown with short paragraphs. Use lists sparingly and avoid tables on small screens.",
    "safety": "Decline requests that could hurt people. Offer a safer alternative. Never ask for passwords.",
    "user's profile": "The user is called Ines, is 41, has two children and prefers brief replies in British English.",
    "company": "You work inside the intranet of Tolland & Vries. All you learn there is confidential.",
    "German": "Sie sind ein hilfsbereiter Assistent. Bleiben Sie höflich und fassen Sie sich kurz.",
    "Japanese": "あなたは丁寧なアシスタントです。簡潔に答え、推測は避けてください。",
    "long": "You are a dependable assistant. Be clear. Be fair. Mind people's privacy. Do not make things up. " * 60,
}


@pytest.fixture(scope="module")
def router() -> Router:
    return Router.load()


def choose(router: Router, row: Row, system: str | None = None) -> str:
    states = [ExpertState(name, 1 << 30, True, 0, 1, 0.0) for name in router.gate.experts]
    turns = row.query.turns
    if system is not None:
        turns = tuple(turn for turn in turns if turn.role not in SYSTEM_ROLES)
        turns = (Turn("system", system), *turns) if system else turns
    return router.route(replace(row.query, turns=turns), states).expert


def test_the_system_prompt_is_read(router: Router) -> None:
    rows = read_rows([DATA / "router_system_gold.jsonl"])
    assert len(rows) >= 200
    read = sum(choose(router, row) in row.labels for row in rows) / len(rows)
    unread = sum(choose(router, row, "") in row.labels for row in rows) / len(rows)
    assert read >= BAR and read >= unread + GAIN


@pytest.mark.parametrize("name", BOILERPLATE)
def test_boilerplate_moves_nothing(router: Router, name: str) -> None:
    rows = read_rows([DATA / "router_gold.jsonl"])
    flips = sum(choose(router, row, BOILERPLATE[name]) != choose(router, row, "") for row in rows)
    assert flips / len(rows) <= MOST_FLIPS


@pytest.mark.parametrize(
    ("system", "text", "expert"),
    [
        ("You are a SQL assistant.", "top 10 customers by revenue", "coder"),
        ("You are a poet.", "something about the sea", "advisor"),
        ("You are an encyclopaedia.", "something about the sea", "researcher"),
        ("Translate whatever the user writes into German.", "How do I sort a list in Python?", "advisor"),
        ("Classify the message as question, order or complaint.", "How do I sort a list in Python?", "generalist"),
        ("You are a helpful assistant.", "How do I sort a list in Python?", "coder"),
        ("You are a helpful assistant.", "What is the value of 2+2?", "generalist"),
        ("Du bist ein SQL-Assistent.", "die zehn besten Kunden", "coder"),
    ],
)
def test_the_same_words_under_another_prompt(router: Router, system: str, text: str, expert: str) -> None:
    assert choose(router, Row("", RouteQuery((Turn("user", text),)), ()), system) == expert
