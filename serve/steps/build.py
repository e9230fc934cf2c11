"""The list of steps, as the settings want it."""

from collections.abc import Callable

from experts.catalog.spec import Catalog
from serve.settings.tool_selection import ToolSelectionSettings
from serve.settings.tree import Settings
from serve.steps.cache.step import CacheStep
from serve.steps.cache.stores import open_store
from serve.steps.guard.in_force import GuardRules
from serve.steps.guard.step import GuardStep
from serve.steps.step import Step, Steps
from serve.telemetry.metrics import Metrics


def build_steps(
    settings: Settings, catalog: Catalog, metrics: Metrics, *, guard: GuardRules | None, identity: Callable[[], bytes]
) -> Steps:
    """Make the steps that every request goes through, outermost first (`serve.steps.step`).

    `guard` are the rules in force, `identity` tells who would answer a request now.

    Raises:
        SettingsError: Redis is wanted and its client is not installed.
    """
    steps: list[Step] = []
    if guard is not None:
        prompts = {expert.name: expert.system_prompt for expert in catalog.experts if expert.system_prompt}
        steps.append(GuardStep(guard, metrics.guard, prompts=prompts))
    if settings.tool_selection.enabled:
        steps.append(_tool_selection(settings.tool_selection, metrics))
    if settings.cache.enabled:
        steps.append(CacheStep(open_store(settings.cache), settings.cache, metrics.cache, identity))
    return Steps(steps)


def _tool_selection(settings: ToolSelectionSettings, metrics: Metrics) -> Step:
    """Make the step; its selector is imported only here, and only when it is wanted."""
    from router.tools.selector import shipped_selector  # noqa: PLC0415
    from serve.steps.tool_selection.step import ToolSelectionStep  # noqa: PLC0415

    return ToolSelectionStep(shipped_selector(), settings, metrics.tool_selection)
