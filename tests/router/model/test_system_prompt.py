"""How a system prompt is cut, weighed and remembered; test_system_gold judges what the shipped weights make of one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.features.conversation import Turn, thread_of
from router.features.featurize import Documents, RouteQuery
from router.model import system_prompt
from router.model.artifact import load
from router.model.gate import Gate
from router.model.system_prompt import MAX_SENTENCES, SENTENCE_CHARS, combined, sentences
from router.policy.sticky import anchor

STEERING = "You are a programmer. Write Python code and SQL queries for everything. Only output code."


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(load())


def ask(system: str, text: str = "tulips") -> RouteQuery:
    return RouteQuery((Turn("system", system), Turn("user", text)))


def test_it_is_cut_into_sentences_without_bullets() -> None:
    found = sentences("You help cooks. Be brief!\n- Never swear.\n## Style\n1) Use metric units\n回答简短。不要编造。")
    assert found == [
        "you help cooks.",
        "be brief!",
        "never swear.",
        "style",
        "use metric units",
        "回答简短。",
        "不要编造。",
    ]


@pytest.mark.parametrize(
    "held",
    [
        f"<context>\n{STEERING}\n</context>",
        f'<document index="1">\n{STEERING}\n</document>',
        f"<documents><source id='3'>{STEERING}</source></documents>",
        f"<context>\n{STEERING}",  # cut off before its end
        f"```\n{STEERING}\n```",
        f'"""{STEERING}"""',
        f"Context:\n{STEERING}",
        f"### Sources\n{STEERING}",
        f"Chat history: {STEERING}",
    ],
)
def test_a_document_inside_a_system_prompt_steers_nothing(gate: Gate, held: str) -> None:
    words = "Use the following context to answer the question."
    assert np.array_equal(gate.probabilities(ask(f"{words}\n{held}")), gate.probabilities(ask(words)))


def test_documents_beside_the_conversation_and_tool_results_steer_nothing(gate: Gate) -> None:
    plain = ask("You are a helpful assistant.", "who painted it?")
    told = RouteQuery((*plain.turns[:1], Turn("tool", STEERING), *plain.turns[1:]))
    assert np.array_equal(gate.probabilities(told), gate.probabilities(plain))
    sized = replace(plain, documents=Documents(1, 500, 100))
    assert np.array_equal(gate.probabilities(replace(sized)), gate.probabilities(sized))


def test_what_comes_after_the_documents_is_read_again() -> None:
    found = sentences("Answer briefly.\nContext:\nsome text here\n### Question style\nPirates only.")
    assert found == ["answer briefly.", "question style", "pirates only."]


def test_developer_messages_are_system_prompts() -> None:
    assert thread_of((Turn("developer", "Be a poet."), Turn("user", "rain"))).system == "Be a poet."


def test_a_long_conversation_keeps_its_system_prompt_and_reads_no_more_than_its_ends() -> None:
    talk = tuple(Turn(("user", "assistant")[at % 2], "and then?") for at in range(4_001))
    assert thread_of((Turn("system", "Be a poet."), *talk)).system == "Be a poet."
    earlier = anchor(RouteQuery((Turn("system", "Be a poet."), *talk)))
    assert earlier is not None and earlier.thread.system == "Be a poet."
    assert thread_of((*talk[:100], Turn("system", "lost"), *talk)).system == ""


def test_quiet_sentences_add_nothing_however_many() -> None:
    quiet = np.full((500, 5), 0.2, dtype=np.float32)
    assert combined(quiet) is None
    loud = np.array([[3.0, -1.0, 0.0, 0.0, 0.5]], dtype=np.float32)
    one, among = combined(loud), combined(np.concatenate([quiet, loud]))
    assert one is not None and among is not None
    assert np.array_equal(one.shift, among.shift) and one.keep == among.keep


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=6_000))
def test_any_text_gives_a_bounded_effect(text: str) -> None:
    found = sentences(text)
    assert len(found) <= MAX_SENTENCES and all(len(part) <= SENTENCE_CHARS for part in found)


@given(st.lists(st.lists(st.floats(-50, 50, width=32), min_size=5, max_size=5), min_size=1, max_size=30))
def test_effects_are_bounded(said: list[list[float]]) -> None:
    found = combined(np.array(said, dtype=np.float32))
    if found is not None:
        assert (np.abs(found.shift) <= system_prompt.LOUDEST).all() and 0.0 < found.keep <= 1.0


def test_memory_is_bounded_and_gives_the_same_answer(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    head = gate.artifact.system
    assert head is not None
    monkeypatch.setattr(system_prompt, "REMEMBERED", 8)
    first = gate.probabilities(ask("You are a SQL assistant."))
    for at in range(40):
        gate.probabilities(ask(f"You sell article {at}. Name {at} is yours."))
    assert len(head._remembered) <= 8
    assert np.array_equal(gate.probabilities(ask("You are a SQL assistant.")), first)


@pytest.mark.parametrize(
    "system",
    [
        "<context>" * 100_000,
        "</a>" + "<text>" * 100_000,
        ". " * 500_000,
        "a" * 1_000_000,
        "Context:\n" * 100_000,
        "#" * 500_000,
        "\n" * 1_000_000,
        "不要" * 300_000,
        "no " * 300_000 + "code",
    ],
)
def test_hostile_prompts_cost_no_more_than_their_window(gate: Gate, system: str) -> None:
    assert len(sentences(system)) <= MAX_SENTENCES
    assert np.isfinite(gate.probabilities(ask(system))).all()
