"""Where traces and requests meet: which caller's context is taken, and what goes on when nothing is recorded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.telemetry.tracing import NO_TRACE, NO_TRACER, read_traceparent
from tests.helpers import chat_request, route_decision

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        (SAMPLED, True),
        (None, False),
        ("", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (SAMPLED.upper(), False),
        (SAMPLED + "-x", False),
        ("ff" + SAMPLED[2:], False),
    ],
)
def test_only_a_valid_context_is_taken(value: str | None, is_taken: bool) -> None:
    assert read_traceparent(lambda name: value if name == "traceparent" else None) == (value if is_taken else None)


@given(st.text())
def test_no_other_text_is_a_context(value: str) -> None:
    assert read_traceparent(lambda _: value) is None


@pytest.mark.parametrize("end", ["\n", " ", "\r\n", "\0"])
def test_a_context_ends_where_it_ends(end: str) -> None:
    """It goes on to the expert as a header; a line end in it would be a header of its own."""
    assert read_traceparent(lambda _: SAMPLED + end) is None


def test_off_the_callers_context_goes_on_as_it_came() -> None:
    trace = NO_TRACER.begin(chat_request(traceparent=SAMPLED))
    trace.admitted(0.1)
    trace.routed(route_decision("coder"))
    trace.end("ok", 1, 1, "stop", 0.0)
    assert (trace.traceparent, trace.exemplar) == (SAMPLED, None)


def test_off_without_a_context_nothing_is_made() -> None:
    assert NO_TRACER.begin(chat_request()) is NO_TRACE
    assert NO_TRACE.traceparent is None
