"""What the commands know of a candidate on trial, an expert's or a router's: its history, and what gateways saw."""

import getpass
from abc import ABC, abstractmethod
from collections import Counter
from datetime import datetime
from typing import Any

from experts.catalog.spec import Catalog, ExpertSpec, load_catalog
from experts.flywheel.changes import Changes
from experts.flywheel.history import CANARY, Change
from experts.flywheel.progress import read_breach, read_compared, read_progress
from experts.flywheel.stages import Move, Seen, Step, next_step
from experts.flywheel.unseen import Compared, compare, paired
from experts.flywheel.verdict import Rules
from serve.commands.flywheel_data import interactions, opened_ratings, registry_of
from serve.interactions import segments
from serve.interactions.stores import open_segments
from serve.live.remote.registries import ROUTER
from serve.routing.canary import canaries
from serve.routing.router_trial import ARTIFACT, FAILED, NAME, OTHER, SAME, is_tried_out, stamp_of_router
from serve.routing.trials import stamp_of
from serve.routing.watching import ENDED_TRIALS, PROGRESS
from serve.settings.tree import Settings, SettingsError


class Trying(ABC):
    """A place in the flywheel: an expert's, or the router's.

    Attributes:
        settings: the gateway's.
        expert: whose, by name.
        registry: what serves, and who is on trial.
    """

    settings: Settings
    expert: str
    registry: Changes

    @property
    def trial(self) -> Change:
        """The line that put a candidate where it is now.

        Raises:
            SettingsError: nobody is on trial.
        """
        trial = self.registry.trial
        if trial is None or trial.digest is None:
            raise SettingsError(
                f"{self.expert}: nobody is on trial: moegate flywheel shadow {self.expert} --candidate …"
            )
        return trial

    @property
    def stage(self) -> float:
        """The share of the traffic that the candidate on trial gets; 0 = none yet."""
        trial = self.trial
        return trial.share if trial.event == CANARY else 0.0

    def begin(self, digest: str, *, why: str) -> Change:
        """Let a candidate work unseen; one that does so already goes on."""
        trial = self.registry.trial
        if trial is not None and trial.digest == digest:
            return trial
        self.check()
        share = self.settings.flywheel.shadow_share
        return self.registry.try_out(digest, share, is_shadow=True, by=getpass.getuser(), why=why)

    def give(self, share: float, *, why: str) -> Change:
        """Give the candidate on trial a share of the traffic."""
        return self.registry.try_out(str(self.trial.digest), share, is_shadow=False, by=getpass.getuser(), why=why)

    def end(self, *, why: str) -> Change:
        """End the trial."""
        return self.registry.end_trial(by=getpass.getuser(), why=why)

    @abstractmethod
    def check(self) -> None:
        """See that a candidate can be tried out at all.

        Raises:
            SettingsError: it cannot, and what is missing.
        """

    @abstractmethod
    def tell_unseen(self) -> dict[str, Any]:
        """Say what the candidate on trial has shown unseen; returns the JSON line's part."""

    @abstractmethod
    def next_step(self) -> Step:
        """Decide what comes next for the candidate on trial."""


class Bench(Trying):
    """One expert's."""

    def __init__(self, settings: Settings, expert: str) -> None:
        """Open it.

        Raises:
            SettingsError: there is no such expert.
        """
        self.settings = settings
        self.expert = expert
        self.catalog: Catalog = load_catalog(settings.experts.catalog)
        if expert not in self.catalog.names:
            raise SettingsError(f"there is no expert {expert!r}; there are {', '.join(self.catalog.names)}")
        self.registry = registry_of(settings, expert)

    @property
    def canary(self) -> ExpertSpec:
        """The entry of the catalogue in which candidates are tried out.

        Raises:
            SettingsError: there is none.
        """
        spec = canaries(self.catalog).get(self.expert)
        if spec is None:
            raise SettingsError(
                f"{self.expert} has no canary: give the catalogue an entry with `canary_of: {self.expert}` and "
                f"`adapter: {self.registry.next_link}` (docs/flywheel.md)"
            )
        return spec

    def compared(self) -> Compared:
        """Compare what the candidate on trial has answered unseen with what the users got."""
        digest = str(self.trial.digest)
        began = next(change.at for change in self.registry.history() if change.digest == digest)
        artifact = str(self.registry.candidates().get(digest, {}).get("artifact") or "")
        store = open_segments(self.settings.interactions)
        with opened_ratings(self.settings) as ratings:
            unseen = [row for row in segments.every_row(store) if segments.is_shadow(row)]
            given = interactions(self.settings, ratings)
            since = datetime.fromisoformat(began).timestamp()
            return compare(paired(given, unseen, self.canary.name, since, artifact), Rules())

    def seen(self) -> Seen:
        """What all gateways have seen of the candidate that gets a share of the traffic."""
        folder, stamp = self.settings.flywheel.place, stamp_of(self.canary, str(self.trial.digest))
        seen = read_progress(folder / PROGRESS, stamp)
        return Seen(seen.answers, seen.wealth, read_breach(folder / ENDED_TRIALS, stamp))

    def next_step(self) -> Step:
        """Decide by what gateways have seen."""
        return next_step(self.stage, self.seen(), self.settings.flywheel.table)

    def tell_unseen(self) -> dict[str, Any]:
        """Compare it with what the users got."""
        compared = self.compared()
        explain_unseen(compared)
        return compared.as_dict()

    def check(self) -> None:
        """What is not kept cannot be compared."""
        if not self.settings.interactions.is_on:
            raise SettingsError(
                "interactions.keys: nothing is kept, so there is nothing to compare unseen answers with"
            )


class RouterBench(Trying):
    """The router's."""

    def __init__(self, settings: Settings) -> None:
        """Open it.

        Raises:
            SettingsError: its registry cannot be reached.
        """
        self.settings = settings
        self.expert = NAME
        self.registry = registry_of(settings, NAME, ROUTER)

    def check(self) -> None:
        """Gateways follow the registry only where the router that serves is the registry's."""
        if not is_tried_out(self.settings.flywheel.place, self.settings.router.artifact):
            raise SettingsError(
                f"router.artifact: gateways try a router out only where it is {self.registry.link / ARTIFACT}"
            )

    def tell_unseen(self) -> dict[str, Any]:
        """Count how often it would have decided otherwise."""
        found = self._compared()
        total = sum(found.values())
        share = f", {found[OTHER] / total:.1%} otherwise" if total else ""
        print(f"  {total} decisions beside the router that serves{share}; {found[FAILED]} failed")
        return {"n": total, **{name: found[name] for name in (SAME, OTHER, FAILED)}}

    def next_step(self) -> Step:
        """Traffic only after enough decisions beside, then by what gateways have seen."""
        found, needed = self._compared(), self.settings.flywheel.shadow_answers
        total = sum(found.values())
        if found[FAILED]:
            return Step(Move.END, 0.0, f"it could not decide {found[FAILED]} of {total} times")
        if self.trial.event != CANARY and total < needed:
            return Step(Move.WAIT, 0.0, f"{total} of {needed} decisions beside the router that serves")
        folder, stamp = self.settings.flywheel.place, stamp_of_router(str(self.trial.digest))
        seen = read_progress(folder / PROGRESS, stamp)
        breach = read_breach(folder / ENDED_TRIALS, stamp)
        return next_step(self.stage, Seen(seen.answers, seen.wealth, breach), self.settings.flywheel.table)

    def _compared(self) -> Counter[str]:
        return read_compared(self.settings.flywheel.place / PROGRESS, stamp_of_router(str(self.trial.digest)))


def open_bench(settings: Settings, name: str) -> Trying:
    """An expert's place, or the router's where no expert has that name.

    Raises:
        SettingsError: there is no such expert.
    """
    if name == NAME and name not in load_catalog(settings.experts.catalog).names:
        return RouterBench(settings)
    return Bench(settings, name)


def explain_unseen(compared: Compared) -> None:
    """Say what a comparison found."""
    for one in compared.judgement.findings:
        span = f"{one.candidate - one.incumbent:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
        print(f"  {one.name}: {one.candidate:.3f} beside {one.incumbent:.3f}, {span}, n {one.n}: {one.verdict.value}")
    for name, means in compared.facts["took"].items():
        print(f"  {name}: {means['unseen']:.4g} beside {means['given']:.4g}")
    same = compared.facts["same_as_liked"]
    if same["n"]:
        print(f"  says what was liked: {same['share']:.0%} of {same['n']}")
