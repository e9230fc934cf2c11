"""Settings of the guard."""

from pathlib import Path

from pydantic import ConfigDict

from serve.settings.base import Sane


class GuardSettings(Sane):
    """Rules that look at what goes in and what comes out (`serve.steps.guard`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: Path | None = None  # None = no guard; deploy/guard.yaml is an example
