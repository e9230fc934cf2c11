"""Unseen answers are compared with those of the same requests, and with nobody else's."""

from __future__ import annotations

from typing import Any

from experts.flywheel.interaction import Interaction
from experts.flywheel.unseen import compare, paired
from experts.flywheel.verdict import Rules, Verdict
from tests.experts.flywheel.made import kept


def given(number: int, **parts: Any) -> Interaction:
    one = kept(number, **parts)
    own = {"cost_usd": 2e-6, "latency": {"ttft_s": 0.2}}
    response = {**one.record["response"], "usage": {"completion_tokens": 10}}
    return Interaction({**one.record, "response": response, "moegate": {**one.record["moegate"], **own}}, one.opinions)


def unseen(number: int, *, error: str = "", artifact: str = "w2", expert: str = "next", **parts: Any) -> dict[str, Any]:
    row = dict(kept(number, **parts).record)
    choices = [] if error else row["response"]["choices"]
    row["response"] = {"id": f"r{number:05}-shadow", "choices": choices, "usage": {"completion_tokens": 5}}
    row["moegate"] = {
        "expert": expert, "shadow_of": f"r{number:05}", "artifact": artifact, "error": error,
        "cost_usd": 1e-6, "latency": {"ttft_s": 0.1}, "recalled": False,
    }  # fmt: skip
    return row


def test_pairs_are_of_the_candidate_its_weights_and_its_trial() -> None:
    answers = [given(number) for number in range(6)]
    rows = [
        unseen(0),
        unseen(1, artifact="w1"),
        unseen(2, expert="other"),
        unseen(3),
        unseen(99),
        unseen(5, error="expert_failed"),
    ]
    found = paired(answers, rows, "next", since=0.0, artifact="w2")
    assert [pair.given.id for pair in found] == ["r00000", "r00003", "r00005"]
    assert [pair.given.id for pair in paired(answers, rows, "next", since=3.5)] == ["r00003", "r00005"]


def test_what_is_judged_and_what_is_told() -> None:
    answers = [given(number, answer="Yes  sir.") for number in range(100)]
    good = compare(paired(answers, [unseen(n, answer="Yes sir.") for n in range(100)], "next", 0.0), Rules())
    assert good.judgement.verdict is Verdict.NO_HEADROOM
    assert good.n == 100
    assert good.facts["took"]["usd"] == {"given": 2e-6, "unseen": 1e-6}
    assert good.facts["same_as_liked"] == {"n": 100, "share": 1.0}
    broken = [unseen(n, answer="```python\ndef f(:\n```" if n % 5 == 0 else "No.") for n in range(100)]
    bad = compare(paired(answers, broken, "next", 0.0), Rules())
    assert (bad.judgement.verdict, bad.judgement.because) == (Verdict.WORSE, "valid")
    assert bad.facts["same_as_liked"]["share"] == 0.0
    failing = [unseen(n, error="expert_failed" if n % 5 == 0 else "") for n in range(100)]
    assert compare(paired(answers, failing, "next", 0.0), Rules()).judgement.because == "answered"


def test_nothing_is_too_little() -> None:
    assert compare([], Rules()).judgement.verdict is Verdict.TOO_LITTLE_DATA
