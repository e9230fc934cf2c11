"""Settings of the guard."""

from pathlib import Path

from serve.settings.base import Section


class GuardSettings(Section):
    """Rules that look at what goes in and what comes out (`serve.steps.guard`)."""

    rules: Path | None = None  # None = no guard; deploy/guard.yaml is an example
