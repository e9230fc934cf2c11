"""What the commands know of an expert's candidate on trial: its entry, its history, and what gateways have seen."""

import getpass
from datetime import datetime

from experts.catalog.spec import Catalog, ExpertSpec, load_catalog
from experts.flywheel.history import Change
from experts.flywheel.progress import read_breach, read_progress
from experts.flywheel.stages import Seen, Step, next_step
from experts.flywheel.unseen import Compared, compare, paired
from experts.flywheel.verdict import Rules
from serve.commands.flywheel_data import interactions, opened_ratings, registry_of
from serve.interactions import segments
from serve.interactions.stores import open_segments
from serve.routing.canary import canaries
from serve.routing.trials import ENDED_TRIALS, PROGRESS, stamp_of
from serve.settings.tree import Settings, SettingsError


class Bench:
    """One expert's place in the flywheel.

    Attributes:
        expert: its name.
        registry: what serves, and who is on trial.
    """

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

    def begin(self, digest: str, *, why: str) -> Change:
        """Let a candidate answer unseen; one that does so already goes on."""
        trial = self.registry.trial
        if trial is not None and trial.digest == digest:
            return trial
        self._check_kept()
        share = self.settings.flywheel.shadow_share
        return self.registry.try_out(digest, share, is_shadow=True, by=getpass.getuser(), why=why)

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
        """Decide what comes next for the candidate on trial."""
        trial = self.trial
        share = 0.0 if trial.event != "canary" else trial.share
        return next_step(share, self.seen(), self.settings.flywheel.table)

    def give(self, share: float, *, why: str) -> Change:
        """Give the candidate on trial a share of the traffic."""
        return self.registry.try_out(str(self.trial.digest), share, is_shadow=False, by=getpass.getuser(), why=why)

    def end(self, *, why: str) -> Change:
        """End the trial."""
        return self.registry.end_trial(by=getpass.getuser(), why=why)

    def _check_kept(self) -> None:
        if not self.settings.interactions.is_on:
            raise SettingsError(
                "interactions.keys: nothing is kept, so there is nothing to compare unseen answers with"
            )
