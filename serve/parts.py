"""How the parts of a gateway are made that need more than their own constructor; `serve.app` puts them together.

What only some gateways need (the encoder, trials, kept interactions) is None where it is off, and then not imported.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from experts.catalog.encoders import encoder_name
from experts.catalog.engine_limits import prompt_bucket
from experts.catalog.spec import Catalog
from router.decision import Coverage, RouteDecision
from serve.admission.drain import Drain
from serve.admission.permits import Admission
from serve.costs.ledger import Ledger
from serve.dispatch.health import HealthMonitor
from serve.embeddings.calls import EncoderCalls
from serve.embeddings.embedder import Embedder
from serve.embeddings.vector_stores import VectorStores
from serve.expert_client.channel import ExpertChannels
from serve.expert_client.encoder_channel import EncoderChannel
from serve.limits.quota import Quotas
from serve.limits.reservation import Reservations
from serve.limits.stores import LimitStore
from serve.routing.canary import canaries
from serve.routing.kinds import ServingRouter, load_router
from serve.settings.tree import ExpertsSettings, Settings, SettingsError
from serve.steps.guard.in_force import GuardRules
from serve.steps.toolsets.in_force import Toolsets
from serve.telemetry.logs import count_losses
from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.process import process_registry
from serve.telemetry.observer import Observer
from serve.telemetry.observers.keys import KeyObserver
from serve.telemetry.observers.ledger import LedgerObserver
from serve.telemetry.observers.log import LogObserver
from serve.telemetry.observers.metrics import MetricsObserver
from serve.telemetry.observers.tracing import TraceObserver
from serve.telemetry.recent_decisions import Recent
from serve.telemetry.recent_requests import RecentRequests
from serve.telemetry.traffic import Traffic

if TYPE_CHECKING:
    from serve.interactions.build import Interactions
    from serve.interactions.observer import Taker
    from serve.interactions.shadow import Shadow
    from serve.routing.router_trial import RouterTrial
    from serve.routing.trials import Trials

log = logging.getLogger("moegate.app")


def make_metrics(catalog: Catalog, router_version: str) -> Metrics:
    """Make the metrics of this process, with a series for each expert from the start."""
    metrics = Metrics(process_registry())
    metrics.expect(catalog.names, catalog.handing_back)
    metrics.process.build(router_version)
    count_losses(metrics.process.lost_lines.inc)
    return metrics


def make_quotas(settings: Settings, catalog: Catalog, accounts: LimitStore, ledger: Ledger, metrics: Metrics) -> Quotas:
    """Make what each key may still use, counted in `accounts`."""
    return Quotas(
        accounts,
        Reservations(catalog, ledger.tariffs, is_hedging=settings.dispatch.hedge_after_ms is not None),
        on_refusal=lambda short: metrics.access.limited.labels(short.value).inc(),
    )


def make_encoder_services(
    settings: Settings,
    encoder: EncoderChannel | None,
    *,
    allowances: Quotas,
    admission: Admission,
    drain: Drain,
    metrics: Metrics,
) -> tuple[Embedder | None, VectorStores | None]:
    """Make what answers requests for embeddings, where there is an encoder, and for collections."""
    if encoder is None:
        return None, None
    calls = EncoderCalls(metrics.encoder, metrics.keys)
    shared: _Shared = {"allowances": allowances, "admission": admission, "drain": drain, "calls": calls}
    embedder = Embedder(encoder_name(settings.encoder.base), settings.encoder, encoder, **shared)
    if not settings.retrieval.enabled:
        return embedder, None
    return embedder, VectorStores(encoder, timeout_s=settings.encoder.timeout_s, **shared)


class _Shared(TypedDict):
    """What both services of the encoder are made with."""

    allowances: Quotas
    admission: Admission
    drain: Drain
    calls: EncoderCalls


def open_channels(settings: ExpertsSettings) -> ExpertChannels:
    """Make the connections to the experts' ingress; none is opened yet."""
    return ExpertChannels(settings.target, settings.channels, secret=settings.secret)


def open_encoder(settings: Settings) -> EncoderChannel | None:
    """Make the way to the encoder, where there is one.

    Raises:
        SettingsError: retrieval needs it, and it is off.
    """
    if settings.retrieval.enabled and not settings.encoder.enabled:
        raise SettingsError("retrieval.enabled: collections are searched beside the encoder; set encoder.enabled, too")
    experts = settings.experts
    return EncoderChannel(experts.target, secret=experts.secret) if settings.encoder.enabled else None


def open_trials(settings: Settings, catalog: Catalog, metrics: Metrics) -> "Trials | None":
    """Make the judge of the catalogue's canaries, where it names one."""
    if not canaries(catalog):
        return None
    from serve.routing.trials import Trials  # noqa: PLC0415  # only who tries somebody out pays for it

    return Trials(settings.flywheel.place, catalog, metrics.trials)


def open_router_trial(
    settings: Settings, catalog: Catalog, router: ServingRouter, metrics: Metrics
) -> "RouterTrial | None":
    """Make what tries a router's candidates out, where the registry says which router serves."""
    wanted, folder = settings.router, settings.flywheel.place
    if wanted.kind != "learned" or wanted.artifact is None:
        return None
    from serve.routing.router_trial import RouterTrial, is_tried_out  # noqa: PLC0415  # only who tries pays for it

    def load(path: Path) -> ServingRouter:
        return load_router(wanted.model_copy(update={"artifact": path}), catalog)

    return RouterTrial(folder, router, load, metrics.trials) if is_tried_out(folder, wanted.artifact) else None


def on_rating(*trials: "Trials | RouterTrial | None") -> "Callable[[str, RouteDecision, float], None] | None":
    """Who is told of each rating of an answer that this process has given; None where nobody is."""
    told = [trial.rated for trial in trials if trial is not None]
    if not told:
        return None

    def tell(response_id: str, decision: RouteDecision, rating: float) -> None:
        for rated in told:
            rated(response_id, decision, rating)

    return tell


def open_guard(settings: Settings, metrics: Metrics) -> GuardRules | None:
    """Read the guard's rules, where there are some."""
    return GuardRules(settings.guard.rules, metrics.guard) if settings.guard.rules else None


def open_toolsets(settings: Settings) -> Toolsets | None:
    """Read the sets of tools that requests may name, where there are some."""
    return Toolsets(settings.toolsets.file) if settings.toolsets.file else None


def open_interactions(
    settings: Settings,
    metrics: Metrics,
    catalog: Catalog,
    trials: "Trials | None",
    channels: ExpertChannels,
    ledger: Ledger,
    admission: Admission,
    health: HealthMonitor,
) -> "Interactions | None":
    """Make what keeps answers for learning, where the settings ask for it; with a mirror where there are canaries."""
    if not settings.interactions.is_on:
        return None
    from serve.interactions import build, shadow  # noqa: PLC0415  # only who keeps some pays for it

    def artifact_of(name: str) -> str:
        return health.experts[name].artifact

    def is_idle(expert: str) -> bool:
        return not admission.waiting and health.why_not(expert) is None and health.has_room(expert)

    def mirror(taker: "Taker") -> "Shadow":
        assert trials is not None  # asked only then
        flywheel, shadows = settings.flywheel, lambda: trials.shadows
        return shadow.Shadow(taker, shadows, channels, ledger, is_idle, artifact_of, flywheel, metrics.trials)

    mirroring = None if trials is None else mirror
    content = catalog.model_dump_json().encode()
    return build.open_interactions(settings.interactions, metrics.interactions, content, artifact_of, mirroring)


def redacted(settings: Settings, text: str) -> str:
    """Take out of somebody's words what is not to be kept."""
    from serve.interactions.redaction import Redaction, Redactor  # noqa: PLC0415  # only who corrects pays for it

    return Redaction(Redactor(settings.interactions.redact)).text(text)


def make_observers(
    catalog: Catalog,
    metrics: Metrics,
    ledger: Ledger,
    *,
    traffic: Traffic,
    recent: tuple[Recent, RecentRequests],
    trials: "tuple[Trials | RouterTrial | None, ...]",
    interactions: "Interactions | None",
) -> tuple[Observer, ...]:
    """Make those who are told of every request, in this order."""
    buckets = {expert.name: prompt_bucket(expert) for expert in catalog.experts}
    return (
        MetricsObserver(metrics, buckets),
        LedgerObserver(ledger),
        KeyObserver(metrics.keys),
        traffic,
        *recent,
        TraceObserver(),
        LogObserver(),
        *(trial for trial in trials if trial is not None),
        *(() if interactions is None else (interactions.observer,)),
    )


def warn_of_gaps(coverage: Coverage) -> None:
    """Say which experts the router cannot choose, and which of its classes nobody serves."""
    if coverage.unknown_experts:
        log.warning("the router does not know these experts", extra={"experts": list(coverage.unknown_experts)})
    if coverage.classes_without_expert:
        classes = list(coverage.classes_without_expert)
        log.warning("the router knows classes that no expert serves", extra={"classes": classes})
