"""Why a query went where it went: the decision, its time, and the features that counted for each expert.

`moegate route` prints it. Unlike the rest of this package, an explanation quotes the user's words. It is shown to the
person who typed them, and never logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from router.decision import RouteDecision
from router.features.featurize import RouteQuery, name_features
from router.features.structure import STRUCTURE_NAMES
from router.model.gate import TOOL_CALLER, Gate
from router.policy.decide import ExpertState, RoutingPreferences
from router.policy.objective import NO_PREFERENCES

TOP = 6


class Explainable(Protocol):
    """A router, and the network that it asks where it has one."""

    @property
    def gate(self) -> Gate | None:
        """The network; None where rules decide, of which no feature can be told."""
        ...

    def route(
        self,
        query: RouteQuery,
        states: Sequence[ExpertState],
        pinned: str | None = None,
        preferences: RoutingPreferences = NO_PREFERENCES,
    ) -> RouteDecision:
        """Rank all experts."""
        ...


@dataclass(frozen=True, slots=True)
class Contribution:
    """One feature and the log-odds it added for one expert."""

    feature: str
    log_odds: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its grounds; prints itself on a rich console."""

    decision: RouteDecision
    contributions: dict[str, tuple[Contribution, ...]]

    @property
    def microseconds(self) -> float:
        """State how long the decision took."""
        return self.decision.route_s * 1e6

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        decision = self.decision
        return {
            "expert": decision.expert,
            "reason": decision.reason.value,
            "confidence": round(decision.confidence, 4),
            "router_version": decision.router_version,
            "microseconds": round(self.microseconds, 1),
            "experts": [
                {
                    "expert": candidate.expert,
                    "probability": round(candidate.probability, 4),
                    "top_features": [
                        {"feature": part.feature, "log_odds": round(part.log_odds, 3)}
                        for part in self.contributions.get(candidate.expert, ())
                    ],
                }
                for candidate in decision.ranking
            ],
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render a table, best expert first, and one line below it."""
        table = Table(title=f"{self.decision.expert} ({self.decision.reason.value})")
        table.add_column("expert")
        table.add_column("probability", justify="right")
        table.add_column("what spoke for it (+) and against it (-), in log-odds")
        for candidate in self.decision.ranking:
            parts = self.contributions.get(candidate.expert, ())
            words = ", ".join(f"{part.feature} {part.log_odds:+.2f}" for part in parts)
            table.add_row(candidate.expert, f"{candidate.probability:.3f}", words.replace("[", r"\["))
        yield table
        yield "Each probability stands alone: how likely that expert is to serve the request well."
        yield "They need not sum to 1: several experts may do, or none."
        yield f"{self.microseconds:.0f} µs, router {self.decision.router_version}"


def explain(
    router: Explainable,
    query: RouteQuery,
    states: Sequence[ExpertState],
    pinned: str | None = None,
    preferences: RoutingPreferences = NO_PREFERENCES,
) -> Explanation:
    """Route a query and say why; the time is that of the routing alone.

    Raises:
        NoExpertsError: `states` is empty.
        UnknownExpertError: `pinned` is not among `states`.
    """
    decision = router.route(query, states, pinned, preferences)
    if router.gate is None:
        return Explanation(decision, {})
    found = _contributions(router.gate, query)
    found[TOOL_CALLER] = (_tools(router.gate, query),)
    return Explanation(decision, found)


def _tools(gate: Gate, query: RouteQuery) -> Contribution:
    """Say in one line what the tools did."""
    if not query.has_tools:
        return Contribution("no tools offered", 0.0)
    fit = gate.fit(query, gate.features(query))
    return Contribution("tools offered, fit in log-odds", float(np.log(fit / max(1e-9, 1.0 - fit))))


def _contributions(gate: Gate, query: RouteQuery) -> dict[str, tuple[Contribution, ...]]:
    """Split each class's log-odds over the features, as the network weighs them here, and keep the `TOP` largest."""
    artifact = gate.artifact
    features = gate.features(query)
    raw, effect = gate.raw(features), gate.effect(query, features)
    opened = (raw - artifact.network.logits(features)) * artifact.slope
    names = name_features(query)
    of_ngrams, of_dense = artifact.network.weights_at(features)
    hashed = features.values[:, None] * of_ngrams * artifact.slope
    dense = features.dense[:, None] * of_dense * artifact.slope
    found = {}
    for at, expert in enumerate(artifact.classes):
        sums: dict[str, float] = {}
        for bucket, value in zip(features.indices.tolist(), hashed[:, at].tolist(), strict=True):
            name = names.get(bucket, "?")
            sums[name] = sums.get(name, 0.0) + value
        spoken = dense[:, at].tolist()
        sums |= {f"[{name}]": value for name, value in zip(STRUCTURE_NAMES, spoken, strict=False) if value}
        sums["[what its words mean]"] = sum(spoken[len(STRUCTURE_NAMES) :])
        if features.opening is not None:
            sums["[how it begins]"] = float(opened[at])
        if effect is not None:
            before = float(raw[at])
            sums["[the system prompt]"] = float(effect.on(raw)[at] - before) * float(artifact.slope[at])
        top = sorted(sums.items(), key=lambda item: (-abs(item[1]), item[0]))[:TOP]
        found[expert] = tuple(Contribution(name, float(np.float64(value))) for name, value in top)
    return found
