"""Each kind of service: how it is asked, how its answer is read, and that its words cannot carry a text on."""

from typing import Any

import pytest

from serve.steps.guard.called.forms import FORMS, Asked, CallFailed, FormName, Verdict, read

FINE = {"status": "success"}
PERSON = {"entity_type": "PERSON", "start": 0, "end": 3, "score": 0.8}


def chat(content: str) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": content}}]}


@pytest.mark.parametrize(
    ("form", "answer", "verdict"),
    [
        ("llama_guard", chat("\n\nsafe"), Verdict(None)),
        ("llama_guard", chat("unsafe\nS1,S9"), Verdict("S1,S9")),
        ("nemo", {"status": "success", "rails_status": {"self check input": {"status": "success"}}}, Verdict(None)),
        ("nemo", {"status": "blocked", "rails_status": {"a b": {"status": "blocked"}, "c": FINE}}, Verdict("a b")),
        ("presidio", [], Verdict(None)),
        ("presidio", [PERSON], Verdict("PERSON", (("PERSON", 0, 3),))),
        ("json", {"flagged": False}, Verdict(None)),
        ("json", {"flagged": True, "reason": "violence"}, Verdict("violence")),
        ("json", {"flagged": True, "reason": "<b>'x'</b>" + "y" * 500}, Verdict("bxb" + "y" * 77)),
    ],
)  # fmt: skip
def test_answers(form: FormName, answer: object, verdict: Verdict) -> None:
    assert read(form, answer, "Ada Lovelace") == verdict


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("llama_guard", chat("I cannot say")),
        ("llama_guard", {"choices": []}),
        ("nemo", {"status": "odd"}),
        ("nemo", []),
        ("presidio", [{"entity_type": "PERSON", "start": 0, "end": 300}]),
        ("presidio", [{"entity_type": "PERSON", "start": 3, "end": 3}]),
        ("presidio", {"error": "no such language"}),
        ("json", {"flagged": "yes"}),
        ("json", 7),
    ],
)
def test_what_is_no_answer(form: FormName, answer: object) -> None:
    with pytest.raises(CallFailed):
        read(form, answer, "Ada Lovelace")


def test_requests() -> None:
    turn, document = Asked("hi", "user"), Asked("hi", "other")
    asked: Any = FORMS["llama_guard"].body(turn, "guard-3", {"temperature": 1})
    assert asked["messages"] == [{"role": "user", "content": "hi"}]
    assert (asked["model"], asked["temperature"]) == ("guard-3", 1)
    shown: Any = FORMS["nemo"].body(document, "m", {"guardrails": {"config_id": "c"}})
    assert (shown["messages"], shown["guardrails"]) == (asked["messages"], {"config_id": "c"})
    assert FORMS["presidio"].body(turn, "", {"language": "de"}) == {"text": "hi", "language": "de"}
    assert FORMS["json"].body(document, "", {}) == {"text": "hi", "role": "other"}


def test_an_answer_comes_with_its_question() -> None:
    answer = Asked("yes", "assistant", "May I?")
    for form in ("llama_guard", "nemo"):
        asked: Any = FORMS[form].body(answer, "m", {})
        assert asked["messages"] == [{"role": "user", "content": "May I?"}, {"role": "assistant", "content": "yes"}]
    assert FORMS["json"].body(answer, "", {}) == {"text": "yes", "role": "assistant"}
