"""Settings of the sets of tools that requests may name."""

from pathlib import Path

from pydantic import ConfigDict

from serve.settings.base import Sane


class ToolsetsSettings(Sane):
    """Sets of tools that the gateway keeps for its callers (`serve.steps.toolsets`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path | None = None  # None = no sets; deploy/toolsets.yaml is an example
