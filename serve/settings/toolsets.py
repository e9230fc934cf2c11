"""Settings of the sets of tools that requests may name."""

from pathlib import Path

from serve.settings.base import Section


class ToolsetsSettings(Section):
    """Sets of tools that the gateway keeps for its callers (`serve.steps.toolsets`)."""

    file: Path | None = None  # None = no sets; deploy/toolsets.yaml is an example
