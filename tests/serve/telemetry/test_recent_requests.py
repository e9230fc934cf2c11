"""The latest requests: so many, the latest first."""

from serve.telemetry.recent_requests import KEPT, RecentRequests
from tests.helpers import route_decision, routed_record


def test_only_the_latest_are_kept() -> None:
    ticks = iter(range(100))
    recent = RecentRequests(clock=lambda: float(next(ticks)))
    for _ in range(KEPT + 3):
        record = routed_record(route_decision("coder"))
        record.outcome = "ok"
        recent.ended(record)
    kept = recent.latest()
    assert [one.at for one in kept] == [float(at) for at in range(KEPT + 2, 2, -1)]
    assert (kept[0].expert, kept[0].outcome, kept[0].door) == ("coder", "ok", "http")
