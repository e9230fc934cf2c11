"""The routers that can serve, by their names in `router.kind` of the settings.

`serve.app` and `moegate route` load the router here. A further kind is one entry in `KINDS` (docs/adding-a-policy.md).
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from experts.catalog.spec import Catalog
from router.decision import Coverage, RouteDecision
from router.features.featurize import RouteQuery
from router.model.artifact import Artifact
from router.model.gate import TOOL_CALLER, Gate
from router.policy.decide import ExpertState, Policy, RoutingPreferences
from router.policy.examples import ExampleWords
from router.policy.explore import Exploration
from router.policy.keywords import keywords
from router.policy.objective import NO_PREFERENCES
from router.policy.ranking import Judge
from router.policy.rules import RuleRouter, random_router
from router.router import Router
from serve.settings.tree import RouterSettings, SettingsError

UNSURE: Final = 0.35  # probability below which a router over examples leaves the request to the default expert


class ServingRouter(Protocol):
    """What a gateway process needs of a router."""

    @property
    def version(self) -> str:
        """The router's name for headers, logs and metrics."""
        ...

    @property
    def training_mix(self) -> dict[str, float]:
        """Share of the training rows by expert; empty where nothing was trained."""
        ...

    @property
    def gate(self) -> Gate | None:
        """The network, where there is one: `moegate route` then tells what each word spoke for."""
        ...

    def route(
        self,
        query: RouteQuery,
        states: Sequence[ExpertState],
        pinned: str | None = None,
        preferences: RoutingPreferences = NO_PREFERENCES,
    ) -> RouteDecision:
        """Rank all experts for one query.

        Raises:
            NoExpertsError: `states` is empty.
            UnknownExpertError: `pinned` is not among `states`.
        """
        ...

    def coverage(self, experts: Sequence[str]) -> Coverage:
        """Tell which of these experts it cannot choose, and which of its classes none of them serves."""
        ...

    def changed_artifact(self) -> Artifact | None:
        """Read a replaced artefact; None where nothing changed. May run in another thread.

        Raises:
            ArtifactError: the new one cannot be used.
        """
        ...

    def take_up(self, artifact: Artifact) -> None:
        """Decide by this artefact from now on.

        Raises:
            ArtifactError: it cannot be used.
        """
        ...


Load = Callable[[RouterSettings, Catalog], ServingRouter]


def load_router(settings: RouterSettings, catalog: Catalog) -> ServingRouter:
    """Make the router that the settings name, for the experts of a catalogue.

    Raises:
        SettingsError: `router.kind` is not in `KINDS`.
        ArtifactError: the artefact cannot be used.
    """
    load = KINDS.get(settings.kind)
    if load is None:
        raise SettingsError(f"router.kind: {settings.kind!r} is not one of {', '.join(KINDS)}")
    return load(settings, catalog)


def by_rule(judge: Judge) -> Load:
    """Return what loads a router that ranks by `judge`, under the judge's own name."""

    def load(settings: RouterSettings, catalog: Catalog) -> ServingRouter:
        policy = Policy(catalog.default, settings.abstain_below or 0.0)
        return RuleRouter(judge, judge.__name__, policy, _exploration(settings))

    return load


def _learned(settings: RouterSettings, catalog: Catalog) -> ServingRouter:
    return Router.load(
        settings.artifact,
        exploration=_exploration(settings),
        abstain_below=settings.abstain_below,
        default_expert=catalog.default,
    )


def _examples(settings: RouterSettings, catalog: Catalog) -> ServingRouter:
    texts = {expert.name: [expert.description, *expert.examples] for expert in catalog.experts}
    below = UNSURE if settings.abstain_below is None else settings.abstain_below
    policy = Policy(catalog.default, below)
    judge = ExampleWords.of(texts, (TOOL_CALLER, *catalog.handing_back))
    return RuleRouter(judge, "examples", policy, _exploration(settings))


def _random(settings: RouterSettings, catalog: Catalog) -> ServingRouter:
    return random_router(catalog.default, random.Random(settings.explore_seed))


def _exploration(settings: RouterSettings) -> Exploration | None:
    return Exploration(settings.explore, random.Random(settings.explore_seed)) if settings.explore else None


KINDS: Final[Mapping[str, Load]] = {
    "learned": _learned,
    "keywords": by_rule(keywords),
    "examples": _examples,
    "random": _random,
}
