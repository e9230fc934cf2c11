"""What may be done to a registry, wherever it is kept: promoting, trying out, undoing; each is one line of its history.

Two places keep one: a folder (`experts.flywheel.registry`) and an object store (`experts.flywheel.object_registry`).
What is asked here is the same for both, and so is what is refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from experts.flywheel.history import (
    ADOPTED,
    CANARY,
    ENDED,
    PROMOTED,
    ROLLED_BACK,
    SERVING,
    SHADOW,
    Change,
    on_trial,
    serving,
)


class RegistryError(Exception):
    """It cannot be done; the message says why."""


class Changes(ABC):
    """One expert's registry."""

    @property
    @abstractmethod
    def link(self) -> Path:
        """What the catalogue's `adapter` may name."""

    @property
    @abstractmethod
    def next_link(self) -> Path:
        """What the `adapter` of the expert's canary may name."""

    @abstractmethod
    def history(self) -> list[Change]:
        """Every change, the oldest first."""

    @abstractmethod
    def candidates(self) -> dict[str, Mapping[str, Any]]:
        """Manifests by digest."""

    @abstractmethod
    def add(self, artifact: Path, facts: Mapping[str, Any]) -> str:
        """Copy a candidate's folder in, beside its facts; returns its digest. Doing it again is no harm.

        Raises:
            RegistryError: it is no folder, or an empty one.
        """

    @abstractmethod
    def _alone(self) -> AbstractContextManager[None]:
        """Nobody's change comes between what is looked at here and the change that follows from it."""

    @abstractmethod
    def _change(self, event: str, digest: str | None, by: str, why: str, share: float = 0.0) -> Change:
        """Write a line."""

    @property
    def current(self) -> str | None:
        """The digest of what serves; None = what the catalogue shipped with."""
        return serving(self.history())

    @property
    def trial(self) -> Change | None:
        """The line that put a candidate where it is on trial now; None where nobody is."""
        return on_trial(self.history())

    def promote(self, digest: str, *, by: str, why: str) -> Change:
        """Let a candidate serve.

        Raises:
            RegistryError: there is no such candidate, or it serves already.
        """
        with self._alone():
            if digest not in self.candidates():
                raise RegistryError(
                    f"there is no candidate {digest}; there are {', '.join(self.candidates()) or 'none'}"
                )
            if digest == self.current:
                raise RegistryError(f"{digest} serves already")
            return self._change(PROMOTED, digest, by, why)

    def adopt(self, artifact: Path, *, by: str) -> Change | None:
        """Take what the catalogue ships with in, so that both links name something; None where something serves.

        Raises:
            RegistryError: it is no folder, or an empty one.
        """
        if any(change.event in SERVING for change in self.history()):
            return None
        digest = self.add(artifact, {"adopted": True})
        with self._alone():
            return self._change(ADOPTED, digest, by, "what the catalogue ships with")

    def try_out(self, digest: str, share: float, *, is_shadow: bool, by: str, why: str) -> Change:
        """Put a candidate on trial, or give it another share.

        Raises:
            RegistryError: there is no such candidate, or it serves already.
        """
        with self._alone():
            if digest not in self.candidates():
                raise RegistryError(f"there is no candidate {digest}")
            if digest == self.current:
                raise RegistryError(f"{digest} serves already")
            return self._change(SHADOW if is_shadow else CANARY, digest, by, why, share)

    def end_trial(self, *, by: str, why: str) -> Change:
        """End the trial that goes on.

        Raises:
            RegistryError: nobody is on trial.
        """
        with self._alone():
            trial = self.trial
            if trial is None:
                raise RegistryError("nobody is on trial")
            return self._change(ENDED, trial.digest, by, why)

    def roll_back(self, *, by: str, why: str) -> Change:
        """Let what served before the last promotion serve again.

        Raises:
            RegistryError: nothing was promoted, or that is undone already.
        """
        with self._alone():
            before: list[str | None] = [None]
            for change in self.history():
                if change.event == ADOPTED:
                    before = [change.digest]
                elif change.event == PROMOTED:
                    before.append(change.digest)
                elif change.event == ROLLED_BACK and len(before) > 1:
                    before.pop()
            if len(before) < 2:
                raise RegistryError("nothing is promoted that could be undone")
            return self._change(ROLLED_BACK, before[-2], by, why)
