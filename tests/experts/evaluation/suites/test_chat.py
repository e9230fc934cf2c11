"""The chat suite: a good answer, and each structure check on crafted answers."""

from typing import Any

import pytest

from experts.evaluation.suites import structure
from experts.evaluation.suites.chat import ChatSuite
from experts.evaluation.suites.suite import Reply

PLAN = (
    "Here is a plan for a calm week:\n\n- Monday: walk for half an hour in the park.\n- Tuesday: cook something new"
    " with a friend.\n- Wednesday: read twenty pages before bed.\n\nStart small, and be kind to yourself."
)
ROW: dict[str, Any] = {"messages": [{"role": "user", "content": "Give me a plan for a calm week."}], "answer": PLAN}


def test_a_good_answer_meets_the_target() -> None:
    suite = ChatSuite()
    case = suite.read(ROW, 0)
    verdict = suite.judge(case, Reply(PLAN))
    assert verdict["target"] is True
    assert verdict["structure"] == 1.0
    assert verdict["rouge_l"] == 1.0
    assert set(verdict) >= {"finished", "listed", "short_paragraphs", "no_repetition", "in_length_band", "words"}


@pytest.mark.parametrize(
    ("answer", "fails"),
    [
        (PLAN[:-20], "finished"),
        (PLAN.replace("\n- ", " "), "listed"),
        ("word and " * 10 + PLAN, "no_repetition"),
        (PLAN + "\n" + "Start small, and be kind to yourself.", "no_repetition"),
        ("A walk. A talk.", "in_length_band"),
        (PLAN + "\n" + " ".join(f"word{n}" for n in range(81)) + ".", "short_paragraphs"),
        ("", "finished"),
    ],
)
def test_each_check_fails_alone_on_its_own_fault(answer: str, fails: str) -> None:
    checks = structure.check("Give me a plan for a calm week.", answer, PLAN)
    assert not checks[fails]


def test_what_ends_and_what_does_not() -> None:
    assert structure.is_finished("Take:\n- milk\n- bread")
    assert structure.is_finished("Run it:\n```\nls\n```")
    assert structure.is_finished('She said "go."')
    assert not structure.is_finished("Take:\n- milk.\n- bre")
    assert not structure.is_finished("and then")


def test_a_list_is_asked_for_by_the_task_or_by_its_reference() -> None:
    assert structure.asks_for_several("Name five cities in Spain", "")
    assert structure.asks_for_several("How do I start?", "1. Stand\n2. Walk\n3. Run")
    assert not structure.asks_for_several("Write a short poem about rain.", "Rain falls.")


def test_a_short_reference_allows_a_short_answer() -> None:
    assert structure.is_in_band("Yes, they are opposites.", "They are opposites, as night is to day.")
    assert not structure.is_in_band("Yes.", " ".join(["word"] * 100))
    assert not structure.is_in_band("", "")
    assert not structure.is_in_band("word " * 221, "word " * 300)
