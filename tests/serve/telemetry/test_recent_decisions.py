"""The latest decisions, by response."""

from serve.telemetry.recent_decisions import Recent
from tests.helpers import route_decision, routed_record


def test_only_so_many_decisions_are_remembered() -> None:
    recent = Recent(kept=2)
    for name in ("a", "b", "c"):
        recent.remember(name, route_decision("coder"))
    assert [recent.get(name) is None for name in ("a", "b", "c")] == [True, False, False]


def test_an_answer_leaves_the_decision_as_carried_out_under_its_response() -> None:
    recent = Recent()
    record = routed_record(route_decision("coder", "advisor"))
    assert recent.get(record.request.id) is None
    carried_out = route_decision("coder", "advisor").fallback_to(1)
    record.answered(carried_out, 0.0)
    recent.answered(record)
    assert recent.get(record.request.id) == carried_out


def test_the_same_response_told_twice_takes_one_place() -> None:
    recent = Recent(kept=2)
    recent.remember("a", route_decision("coder"))
    for _ in range(3):
        recent.remember("b", route_decision("advisor"))
    assert recent.get("a") is not None
