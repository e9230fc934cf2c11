"""What a simulation is to do, read from YAML and checked: engines by their curves, experts, traffic, fleet, targets.

`deploy/plan.yaml` is an example with every field. An engine's figures state where they come from (`source`), and the
report repeats it, so that a published or estimated curve is not mistaken for a measured one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from experts.catalog.prices import UsdPerMillion
from experts.catalog.yaml_file import YamlError, read_yaml
from experts.neuron.instances import load_instances


class PlanError(Exception):
    """The description cannot be used; the message names the field."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EngineModel(_Part):
    """One kind of replica: how fast it steps and prefills, what it occupies."""

    slots: int = Field(ge=1)  # sequences decoded at once
    queue: int = Field(default=32, ge=0)  # that may wait before them
    step_ms: dict[int, float]  # running sequences -> time of one decode step; between them straight lines
    step_ms_per_context_token: float = Field(default=0.0, ge=0)  # beside: of every token in the caches of who runs
    prefill_ms: float = Field(default=0.0, ge=0)  # of any prompt; with chunk_tokens of any step that takes prompts in
    prefill_ms_per_token: float = Field(ge=0)
    chunk_tokens: int | None = Field(
        default=None, ge=1
    )  # tokens of one step, prompts and decoding; None: prompts whole
    latency_ms: float = Field(default=0.0, ge=0)  # beside the engine, on every request's way: gateway, ingress, network
    busy_latency_ms: float = Field(default=0.0, ge=0)  # more, to a request that comes while others run: shared cores
    bucket: int | None = Field(default=None, ge=1)  # tokens that every prompt is padded to; None: no padding
    instance: str  # of deploy/instances.yaml, or with usd_per_hour any name
    cores: int = Field(ge=1)  # of the instance, that one replica takes
    instance_cores: int | None = Field(default=None, ge=1)  # default: the instance's
    usd_per_hour: float | None = Field(
        default=None, ge=0
    )  # of the instance; default: deploy/instances.yaml's, on demand
    start_s: float = Field(
        default=30.0, ge=0
    )  # from asking for a replica to its first request, on a node that is there
    source: str = Field(min_length=1)  # where the figures come from: measured, published, estimated; when

    @model_validator(mode="after")
    def _curve_holds(self) -> Self:
        if not self.step_ms or min(self.step_ms) < 1 or min(self.step_ms.values()) <= 0:
            raise ValueError("step_ms maps numbers of sequences from 1 to times above 0")
        return self

    def step_s(self) -> list[float]:
        """Return seconds of one step by running sequences, 0 to `slots`."""
        known = sorted(self.step_ms.items())
        counts, times = [count for count, _ in known], [time / 1e3 for _, time in known]
        return [0.0, *np.interp(range(1, self.slots + 1), counts, times).tolist()]

    def prefill_tokens(self, prompt: int) -> int:
        """Return the tokens that are computed for a prompt, padding included."""
        return max(prompt, self.bucket or 0)

    def price(self) -> tuple[float, int]:
        """Return USD an instance-hour, and the instance's cores.

        Raises:
            PlanError: neither the description nor the data knows the instance.
        """
        if self.usd_per_hour is not None and self.instance_cores is not None:
            return self.usd_per_hour, self.instance_cores
        known = load_instances().instances.get(self.instance)
        if known is None:
            raise PlanError(
                f"instance {self.instance!r} is not in deploy/instances.yaml: say usd_per_hour, instance_cores"
            )
        usd_per_hour = known.usd_per_hour if self.usd_per_hour is None else self.usd_per_hour  # 0: it is paid for
        return usd_per_hour, self.instance_cores or known.cores


class Lengths(_Part):
    """Token counts: log-normal around a median, within bounds."""

    median: float = Field(gt=0)
    sigma: float = Field(default=0.6, ge=0)  # of the logarithm; 0 = always the median
    most: int = Field(default=4096, ge=1)


class ExpertPlan(_Part):
    """One expert of the fleet."""

    engine: str
    share: float = Field(gt=0)  # of the traffic; shares are scaled to 1
    replicas: tuple[int, int] = (1, 1)  # fewest, most
    target_ongoing: float | None = Field(default=None, gt=0)  # per replica; None: its slots
    prompt: Lengths = Lengths(median=200)
    answer: Lengths = Lengths(median=150)


class Bursts(_Part):
    """Sudden crowds on top of the rest."""

    per_hour: float = Field(gt=0)
    factor: float = Field(gt=1)  # times the rate
    seconds: float = Field(default=60, gt=0)


class Traffic(_Part):
    """When requests come."""

    requests_per_s: float = Field(default=1.0, gt=0)  # on average; must be said where there is no log
    hours: float = Field(default=24, gt=0)
    shape: Literal["poisson", "diurnal"] = "poisson"
    peak_to_mean: float = Field(default=2.0, ge=1, le=2)  # of the day's curve, a sine
    bursts: Bursts | None = None
    log: Path | None = None  # in place of all this: a gateway's log, or lines {"at_s", "expert", "prompt_tokens",
    # "completion_tokens"}
    seed: int = 0

    @model_validator(mode="after")
    def _rate_is_known(self) -> Self:
        if self.log is None and "requests_per_s" not in self.model_fields_set:
            raise ValueError("say requests_per_s, or log: a file of recorded requests")
        return self


class Spot(_Part):
    """Instances that may be taken away."""

    losses_per_instance_hour: float = Field(ge=0)
    price_factor: float = Field(gt=0, le=1)  # of the on-demand price


class FleetRules(_Part):
    """How the fleet grows and shrinks."""

    upscale_delay_s: float = Field(default=10, ge=0)
    downscale_delay_s: float = Field(default=120, ge=0)
    node_start_s: float = Field(default=240, ge=0)  # until a new instance takes replicas
    cold_fallback_s: float = Field(default=1.0, ge=0)  # after which the gateway passes a cold expert over
    spot: Spot | None = None


class Targets(_Part):
    """What a request must keep to count as well served."""

    ttft_s: float = Field(default=2.0, gt=0)
    itl_s: float = Field(default=0.1, gt=0)


class Quality(_Part):
    """How good the answers are, where somebody has measured it."""

    score: float = Field(ge=0, le=1)
    ci95: tuple[float, float] | None = None
    n: int = Field(ge=1)  # rows that it was measured on
    source: str = Field(min_length=1)  # of what, by whom, when


class Api(_Part):
    """Somebody else's model, paid by the token; what nobody has measured of it stays open."""

    usd_per_million: UsdPerMillion
    ttft_s: float | None = Field(default=None, gt=0)  # median
    itl_s: float | None = Field(default=None, gt=0)  # median
    source: str = Field(min_length=1)  # where these figures come from; when


class Alternative(_Part):
    """The same requests, answered in another way: exactly one of `model`, `api`, `spot` and `engines`."""

    model: ExpertPlan | None = None  # one model for all of them; its share and lengths are not used
    api: Api | None = None
    spot: Spot | None = None  # the experts, on instances that may be taken away
    engines: dict[str, str] | None = None  # the experts, some on other engines: engine of theirs -> another
    quality: Quality | None = None  # default: the experts' where they answer

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        ways = ("model", "api", "spot", "engines")
        if sum(getattr(self, way) is not None for way in ways) != 1:
            raise ValueError(f"say exactly one of {', '.join(ways)}")
        return self


class Plan(_Part):
    """The whole description."""

    engines: dict[str, EngineModel]
    experts: dict[str, ExpertPlan] = Field(min_length=1)
    traffic: Traffic
    fleet: FleetRules = FleetRules()
    targets: Targets = Targets()
    default: str | None = None  # who answers for a cold expert; None: the last one
    one_big: ExpertPlan | None = None  # the model to compare with; its share and lengths are not used
    alternatives: dict[str, Alternative] = Field(default_factory=dict)  # by the titles that the report gives them
    quality: Quality | None = None  # of the experts' answers

    @model_validator(mode="after")
    def _names_hold(self) -> Self:
        for title, other in self.alternatives.items():
            for engine in (part for pair in (other.engines or {}).items() for part in pair):
                if engine not in self.engines:
                    raise ValueError(f"alternatives.{title}: engine {engine!r} is none of {', '.join(self.engines)}")
        for name, expert in self._models().items():
            if expert.engine not in self.engines:
                raise ValueError(f"{name}: engine {expert.engine!r} is none of {', '.join(self.engines)}")
            if not 0 <= expert.replicas[0] <= expert.replicas[1] or expert.replicas[1] < 1:
                raise ValueError(f"{name}: replicas are [fewest, most]")
        if self.default is not None and self.default not in self.experts:
            raise ValueError(f"default {self.default!r} is none of the experts")
        return self

    def _models(self) -> dict[str, ExpertPlan]:
        """Return everything that runs on an engine, by the name that a mistake is told with."""
        others = {f"alternatives.{title}": other.model for title, other in self.alternatives.items() if other.model}
        return {**self.experts, **({"one_big": self.one_big} if self.one_big else {}), **others}


def load_plan(path: Path) -> Plan:
    """Read and check a description.

    Raises:
        PlanError: it cannot be used.
    """
    try:
        document = read_yaml(path)
        content = _with_curves(document.content, path.parent)
    except YamlError as error:
        raise PlanError(str(error)) from None
    try:
        return _beside(path.parent, Plan.model_validate(content))
    except ValidationError as error:
        mistakes = error.errors(include_input=False, include_url=False)
        raise PlanError("\n".join(document.complaint(mistake, Plan) for mistake in mistakes)) from None


def _beside(folder: Path, plan: Plan) -> Plan:
    """Read a relative path to a log as one beside the plan's file."""
    log = plan.traffic.log
    if log is None or log.is_absolute():
        return plan
    return plan.model_copy(update={"traffic": plan.traffic.model_copy(update={"log": folder / log})})


def _with_curves(content: object, folder: Path) -> object:
    """Put measured curves (`curve: FILE`, of loadtests.engine_curve) in their place; the plan's own fields win."""
    if isinstance(content, dict) and isinstance(engines := content.get("engines"), dict):
        for engine in engines.values():
            if isinstance(engine, dict) and (file := engine.pop("curve", None)) is not None:
                measured = read_yaml(folder / str(file)).content
                if not isinstance(measured, dict):
                    raise YamlError(f"{folder / str(file)}: not a curve of loadtests.engine_curve")
                engine.update(measured | engine)
    return content
