"""Watches the kind of traffic: classes, languages, how conversations move, and how far that is from the training data.

An observer of every decision. Drift is the population stability index of the latest `WINDOW` requests' classes against
the training rows': sum over classes of (now - then) * ln(now / then). By convention, less than 0.1 is no drift and more
than 0.25 is much (e.g. Siddiqi, Credit Risk Scorecards, 2006).
"""

import math
from collections import Counter, deque
from collections.abc import Mapping
from operator import attrgetter
from typing import Final

from protos import chat_pb2 as chat
from router.decision import Reason
from serve.request import ChatRequest
from serve.telemetry.language import language_of
from serve.telemetry.metrics.routing import RoutingMetrics
from serve.telemetry.observer import Observer
from serve.telemetry.record import RequestRecord

WINDOW: Final = 1000  # requests
ENOUGH: Final = 100  # before that many, drift is not told
_FLOOR: Final = 1e-3  # a share of nothing would be infinitely far away


_PROBABILITY: Final = attrgetter("probability")


class Traffic(Observer):
    """One process's view of its latest requests."""

    def __init__(self, metrics: RoutingMetrics, training_mix: Mapping[str, float]) -> None:
        self._metrics = metrics
        self._latest: deque[str] = deque(maxlen=WINDOW)
        self._counts: Counter[str] = Counter()
        self.train_on(training_mix)
        metrics.drift.set_function(self._drift)  # when somebody looks, not at every request

    def train_on(self, mix: Mapping[str, float]) -> None:
        """Compare with this mix from now on: shares by expert, empty where the artefact does not say."""
        self._training = dict(mix)
        for expert, share in mix.items():
            self._metrics.training_share.labels(expert).set(share)

    def routed(self, record: RequestRecord) -> None:
        """Count a decision."""
        metrics, decision, previous = self._metrics, record.decision, record.previous_expert
        if decision is None:
            return
        metrics.languages.labels(language_of(last_words(record.request))).inc()
        if previous is not None:
            metrics.turns.labels("stayed" if previous == decision.expert else "moved").inc()
        elif decision.reason is Reason.STICKY:
            metrics.turns.labels("stayed").inc()
        if decision.reason is not Reason.PINNED:
            self._classified(max(decision.ranking, key=_PROBABILITY).expert)

    def _classified(self, expert: str) -> None:
        self._metrics.classes.labels(expert).inc()
        if len(self._latest) == WINDOW:
            self._counts[self._latest[0]] -= 1
        self._latest.append(expert)
        self._counts[expert] += 1

    def _drift(self) -> float:
        if not self._training or len(self._latest) < ENOUGH:
            return 0.0
        return stability_index(self._counts, self._training)


def stability_index(counts: Mapping[str, int], training: Mapping[str, float]) -> float:
    """The distance of counted classes from a mix of shares; 0 = the same."""
    total = sum(counts.values())
    index = 0.0
    for name in {*counts, *training}:
        now = max(counts.get(name, 0) / total, _FLOOR)
        then = max(training.get(name, 0.0), _FLOOR)
        index += (now - then) * math.log(now / then)
    return index


def last_words(request: ChatRequest) -> str:
    """The user's last turn."""
    if isinstance(request.input, str):
        return request.input
    said = (message.content for message in reversed(request.input.messages) if message.role == chat.ROLE_USER)
    return next(said, "")
