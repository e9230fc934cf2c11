"""The list of steps, as the settings want it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from experts.catalog.encoders import encoder_name
from experts.catalog.spec import Catalog
from serve.settings.encoder import EncoderSettings
from serve.settings.retrieval import RetrievalSettings
from serve.settings.tree import Settings
from serve.steps.cache.step import CacheStep
from serve.steps.cache.stores import open_store
from serve.steps.guard.in_force import GuardRules
from serve.steps.guard.step import GuardStep
from serve.steps.step import Step, Steps
from serve.steps.toolsets.in_force import Toolsets
from serve.steps.toolsets.step import ToolsetsStep
from serve.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from serve.steps.retrieval.step import Retriever
    from serve.steps.vectors import Encoder

    class AsksEncoder(Retriever, Encoder, Protocol):
        """What the steps ask of the encoder's application."""


def build_steps(
    settings: Settings,
    catalog: Catalog,
    metrics: Metrics,
    *,
    guard: GuardRules | None,
    toolsets: Toolsets | None,
    identity: Callable[[], bytes],
    retriever: "AsksEncoder | None" = None,
) -> Steps:
    """Make the steps that every request goes through, outermost first (`serve.steps.step`).

    `guard` are the rules in force, `toolsets` the sets of tools, `identity` tells who would answer a request now,
    `retriever` searches collections. Retrieval comes before the guard, whose rules look at documents, too, and they
    are compared as it leaves them; the sets' tools, which are the operator's, come behind it and before the choice.

    Raises:
        SettingsError: Redis is wanted and its client is not installed.
    """
    steps: list[Step] = []
    if retriever is not None and settings.retrieval.enabled:
        steps.append(_retrieval(retriever, settings.retrieval, metrics, catalog))
    if guard is not None:
        prompts = {expert.name: expert.system_prompt for expert in catalog.experts if expert.system_prompt}
        steps.append(GuardStep(guard, metrics.guard, prompts=prompts))
    if retriever is not None and settings.encoder.rank_documents and (most := _fewest_shown(catalog)) is not None:
        steps.append(_documents(retriever, settings.encoder, metrics, most))
    if toolsets is not None:
        steps.append(ToolsetsStep(toolsets, max_tools=settings.tool_selection.most_offered))
    if settings.tool_selection.enabled:
        steps.append(_tool_selection(settings, metrics, retriever))
    if settings.cache.enabled:
        steps.append(CacheStep(open_store(settings.cache), settings.cache, metrics.cache, identity))
    return Steps(steps)


def _retrieval(retriever: "Retriever", settings: RetrievalSettings, metrics: Metrics, catalog: Catalog) -> Step:
    """Make the step, which is imported only here, and only when it is wanted."""
    from serve.steps.retrieval.step import RetrievalStep  # noqa: PLC0415

    return RetrievalStep(retriever, settings, metrics.retrieval, catalog)


def _fewest_shown(catalog: Catalog) -> int | None:
    """How many documents the expert shows that shows fewest; None where all show all."""
    return min((expert.max_documents for expert in catalog.experts if expert.max_documents is not None), default=None)


def _documents(encoder: "AsksEncoder", settings: EncoderSettings, metrics: Metrics, most_shown: int) -> Step:
    """Make the step, which is imported only here, and only where there is an encoder."""
    from serve.steps.documents.step import DocumentStep  # noqa: PLC0415

    return DocumentStep(encoder, settings, metrics.encoder, most_shown)


def _tool_selection(settings: Settings, metrics: Metrics, encoder: "AsksEncoder | None") -> Step:
    """Make the step; its selector is imported only here, and only when it is wanted.

    The encoder is heard where the selector was fitted with it: another one's numbers mean another thing.
    """
    from router.tools.selector import shipped_selector  # noqa: PLC0415
    from serve.steps.tool_selection.encoded import ToolEncoder  # noqa: PLC0415
    from serve.steps.tool_selection.step import ToolSelectionStep  # noqa: PLC0415

    selector, wanted = shipped_selector(), settings.tool_selection
    is_known = encoder_name(settings.encoder.base) == selector.encoder
    heard = None
    if encoder is not None and wanted.encoder and is_known:
        heard = ToolEncoder(encoder, metrics.encoder, wanted.encoder_timeout_s)
    return ToolSelectionStep(selector, wanted, metrics.tool_selection, heard)
