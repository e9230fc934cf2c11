"""What kind of traffic comes: classes, drift, conversations, languages."""

import pytest
from prometheus_client import CollectorRegistry

from protos import chat_pb2 as chat
from router.decision import Candidate, Reason, RouteDecision
from serve.request import ChatRequest
from serve.telemetry.metrics import Metrics
from serve.telemetry.traffic import ENOUGH, WINDOW, Traffic, last_words, stability_index
from tests.helpers import routed_record

MIX = {"coder": 0.5, "advisor": 0.5}


def decision(likeliest: str, chosen: str | None = None, reason: Reason = Reason.CLASSIFIED) -> RouteDecision:
    chosen = chosen or likeliest
    other = Candidate("advisor" if chosen == "coder" else "coder", 0.9 if chosen != likeliest else 0.1)
    return RouteDecision((Candidate(chosen, 0.8), other), reason, 0.8, "v", 0.001)


def read(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"moegate_{name}", labels)


def test_drift_is_nothing_for_the_training_mix_and_much_for_another() -> None:
    metrics = Metrics(CollectorRegistry())
    traffic = Traffic(metrics.routing, MIX)
    for i in range(ENOUGH - 1):
        traffic.routed(routed_record(decision("coder" if i % 2 else "advisor")))
    assert read(metrics, "route_drift_psi") == 0  # not told yet
    traffic.routed(routed_record(decision("coder")))
    assert read(metrics, "route_drift_psi") == pytest.approx(0, abs=1e-3)
    for _ in range(WINDOW):
        traffic.routed(routed_record(decision("coder")))
    far = read(metrics, "route_drift_psi")
    assert far is not None
    assert far > 0.25
    assert read(metrics, "route_classes_total", expert="coder") == WINDOW + ENOUGH // 2
    assert read(metrics, "route_training_share", expert="advisor") == 0.5
    for i in range(WINDOW):  # the window forgets
        traffic.routed(routed_record(decision("coder" if i % 2 else "advisor")))
    assert read(metrics, "route_drift_psi") == pytest.approx(0, abs=1e-6)


def test_the_index_by_hand() -> None:
    assert stability_index({"a": 75, "b": 25}, {"a": 0.5, "b": 0.5}) == pytest.approx(0.27465, abs=1e-5)
    assert stability_index({"a": 1}, {"b": 1.0}) > 10  # never infinite


def test_what_the_words_ask_for_counts_not_what_price_chose() -> None:
    metrics = Metrics(CollectorRegistry())
    traffic = Traffic(metrics.routing, {})
    traffic.routed(routed_record(decision("coder", chosen="advisor")))
    traffic.routed(routed_record(decision("coder", reason=Reason.PINNED)))
    assert read(metrics, "route_classes_total", expert="coder") == 1
    assert read(metrics, "route_classes_total", expert="advisor") is None


def test_conversations_stay_or_move() -> None:
    metrics = Metrics(CollectorRegistry())
    traffic = Traffic(metrics.routing, {})
    traffic.routed(routed_record(decision("coder")))
    traffic.routed(routed_record(decision("coder"), "coder"))
    traffic.routed(routed_record(decision("coder"), "advisor"))
    traffic.routed(routed_record(decision("coder", reason=Reason.STICKY)))
    assert read(metrics, "conversation_turns_total", move="stayed") == 2
    assert read(metrics, "conversation_turns_total", move="moved") == 1


def test_the_last_user_turn_is_looked_at() -> None:
    conversation = chat.Conversation(
        messages=[
            chat.Message(role=chat.ROLE_USER, content="one"),
            chat.Message(role=chat.ROLE_USER, content="two"),
            chat.Message(role=chat.ROLE_ASSISTANT, content="three"),
        ]
    )
    talk = ChatRequest("r", "r", "http", "auto", conversation, chat.Sampling(), False, 0.0, 1.0)
    assert last_words(talk) == "two"
