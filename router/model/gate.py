"""The gate: calibrated probabilities of each expert for one query, by a small network in numpy.

`router.Router` owns one, built from an `Artifact`. Without tools the tool-caller is never a candidate. With tools its
probability is that they fit the request. A head of its own gives that, and prefers yes in doubt. Where the catalogue
has no tool-caller, the words alone decide.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from router.features.featurize import Features, RouteQuery, featurize, fit_of
from router.features.set_aside import sets_aside
from router.features.structure import Floats
from router.features.tool_fit import opinions
from router.model.artifact import Artifact, Side
from router.model.system_prompt import Effect

TOOL_CALLER = "tool-caller"
"""The label of training rows whose tools fit, and so the class of the head that learned from them. A catalogue need not
have an expert of that name."""
FIRM = 0.0  # log-odds from which words that put the usual task aside say themselves what is wanted
OPENING_SHARE = 1 / 3  # of the log-odds of a long turn: what its first words say alone (docs/results.md)
QUIETEST = -8.0  # log-odds: how little a rival may have to say; further experts silence the others by far more
TOOLS_FROM = 0.5  # tools at least this likely to fit come before any words

Doubles = np.ndarray[Any, np.dtype[np.float64]]

_NOT_OFFERED = np.zeros(1)


@dataclass(frozen=True, slots=True)
class Gate:
    """A network with a sigmoid a class, and heads for tools and follow-ups beside it.

    Attributes:
        artifact: the weights; `artifact.classes` names the network's answers, the tool-caller not among them.
    """

    artifact: Artifact

    @property
    def experts(self) -> tuple[str, ...]:
        """Name the experts in the order of `probabilities`."""
        return (*self.artifact.classes, TOOL_CALLER)

    def probabilities(self, query: RouteQuery, *, serves_tools: bool = True) -> Doubles:
        """Return (E,) calibrated probabilities in [0, 1], each on its own: they need not sum to 1.

        Where there is no tool-caller (`serves_tools` is False), offered tools take nothing from the others.
        """
        features = self.features(query)
        heads = sigmoid(self.logits(features, self.effect(query, features)))
        if not (query.has_tools and serves_tools):
            return np.concatenate((heads, _NOT_OFFERED))
        fit = self.fit(query, features)
        if fit >= min(TOOLS_FROM, float(heads.max())):
            return np.append(np.minimum(heads, 1.0 - fit), fit)
        return np.append(heads, fit)  # plainly not for the tools: judged by the words alone

    def features(self, query: RouteQuery) -> Features:
        """Read a query, earlier turns included as far as the newest leans on them."""
        return featurize(query, self.leaning if self.artifact.leans else None)

    def fit(self, query: RouteQuery, features: Features) -> float:
        """Say how likely the offered tools are what the request needs."""
        side = self.artifact.fits
        if query.must_call:
            return 1.0
        if side is None:
            return self.artifact.tool_probability
        dense = np.concatenate([features.dense, fit_of(query, features), opinions(self._whole(features))])
        return _answer(side, features, dense)

    def leaning(self, features: Features) -> float:
        """Say how likely a turn, read alone, needs the turns before it."""
        side = self.artifact.leans
        return _answer(side, features, features.dense) if side else 0.0

    def by_expert(self, query: RouteQuery, served: Collection[str] | None = None) -> dict[str, float]:
        """Return the same by name; `served` names the experts there are, None = all that the artefact knows."""
        serves_tools = served is None or TOOL_CALLER in served
        found = self.probabilities(query, serves_tools=serves_tools)
        return dict(zip(self.experts, found.tolist(), strict=True))

    def effect(self, query: RouteQuery, features: Features) -> Effect | None:
        """Say what the system prompt does to the words' log-odds; None where it is as if there were none."""
        head, text = self.artifact.system, query.thread.system
        if head is None or not text:
            return None
        if sets_aside(query.thread.said[0]) and float(self.raw(features).max()) >= FIRM:
            return None
        return head.effect(text, self.artifact.network)

    def logits(self, features: Features, effect: Effect | None = None) -> Doubles:
        """Return the calibrated log-odds of each class, (C,)."""
        raw = self.raw(features)
        raw = raw if effect is None else effect.on(raw)
        scaled = raw * self.artifact.slope + self.artifact.rival * rivals(raw) + self.artifact.intercept
        return np.asarray(scaled, dtype=np.float64)

    def raw(self, features: Features) -> Floats:
        """Return the log-odds of each class before calibration, (C,)."""
        whole = self._whole(features)
        if features.opening is None:
            return whole
        return np.asarray(whole + np.float32(OPENING_SHARE) * (self._whole(features.opening) - whole))

    def _whole(self, features: Features) -> Floats:
        """Ask the network, as it was trained: of all that was read together, (C,)."""
        return self.artifact.network.logits(features)


def _answer(side: Side, features: Features, dense: Floats) -> float:
    """Ask a head beside the classes; a probability."""
    logit = features.values @ side.hashed.take(features.indices) + dense @ side.dense + side.bias
    return float(sigmoid(np.asarray(logit, dtype=np.float64)))


def rivals(logits: Any) -> Any:  # noqa: ANN401 - float32 when serving, float64 in training
    """Return each class's strongest rival: the highest of the other classes' log-odds, at least `QUIETEST`; (..., C).

    A single class has none, which counts 0.
    """
    if logits.shape[-1] < 2:
        return np.zeros_like(logits)
    ordered = np.sort(logits, axis=-1)
    best, second = ordered[..., -1:], ordered[..., -2:-1]
    return np.maximum(np.where(logits == best, second, best), QUIETEST)


def sigmoid(logits: Doubles) -> Doubles:
    """Map log-odds to probabilities without overflow."""
    return 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(logits, -30.0), 30.0)))
