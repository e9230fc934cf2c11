"""The catalogue of experts: what each is for, made of, runs on and costs; read from YAML and checked.

Everyone who needs an expert by name reads it: the gateway (prices, context windows), the start code (engines,
resources) and the compiler (bases, adapters). It imports neither Ray nor an engine. `load_catalog` is the only way in;
what it returns never changes afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from experts.catalog.prices import Price, PriceList, PricesError, load_prices
from experts.catalog.remote import RemoteError, is_remote, parse_address
from experts.catalog.yaml_file import Document, YamlError, explain, read_yaml

EngineName = Literal["openvino", "neuron", "upstream", "echo"]
OutcomeName = Literal["call", "ask", "decline", "cited", "unknown"]
Scalar = bool | int | float | str
SamplingField = Literal["seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "logit_bias"]
_WITHOUT_WEIGHTS: Final[frozenset[EngineName]] = frozenset({"echo", "upstream"})
Share = Annotated[float, Field(ge=0, le=1)]
Form = Literal["json_object", "json_schema"]
"""A form that an answer may be asked to have, by OpenAI's names."""
RESERVED_NAMES: Final = frozenset({"auto", "moegate"})
Base = Annotated[
    str,
    StringConstraints(
        pattern=r"^(pypi:[A-Za-z0-9._-]+(==[^\s=]+)?|hf:[\w.-]+/[\w.-]+(:[^\s:]+)?|[^\s:][^:]*|[a-z][a-z0-9+.-]*://\S+)$"
    ),
]


class CatalogError(Exception):
    """The catalogue cannot be used; the message names the file, the expert and the field."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SamplingDefaults(_Model):
    """How tokens are chosen where the request does not say."""

    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=0.95, gt=0, le=1)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)  # not applied where the engine does not honour it


class Resources(_Model):
    """What one replica reserves of its Ray node."""

    num_cpus: float = Field(default=0.25, ge=0)
    custom: dict[str, float] = {}  # Ray resource names, such as neuron_cores


class Scaling(_Model):
    """How many replicas Ray Serve keeps; `target_ongoing` is the load per replica it aims at.

    An expert whose `min_replicas` is 0 is cold while nobody asks for it: its first request wakes it, and is answered by
    the next expert of the ranking meanwhile.
    """

    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=1, ge=1)
    target_ongoing: float | None = Field(default=None, gt=0)  # sequences a replica; None: its batch slots
    upscale_delay_s: float = Field(default=10, ge=0)  # of load above the target, before a replica is added
    downscale_delay_s: float = Field(default=120, ge=0)  # of load below it, before one is taken away
    drain_s: float = Field(default=300, ge=0)  # that a replica's last answers may take when it is taken away

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas is above max_replicas")
        return self

    @property
    def is_fixed(self) -> bool:
        """Whether the number of replicas never changes."""
        return self.min_replicas == self.max_replicas


class ExpertSpec(_Model):
    """One expert. Unknown fields are refused, so a misspelt one is found at start and not in production."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)
    description: str = Field(min_length=1)
    examples: tuple[str, ...] = ()  # requests that are its own; `router.kind: examples` reads them
    base: Base
    adapter: str | None = None
    engine: EngineName = "openvino"
    context_window: int = Field(ge=2)  # tokens, prompt + answer
    max_batch_size: int = Field(default=16, ge=1)  # sequences one replica decodes at once
    max_queue_len: int = Field(default=32, ge=0)  # sequences that may wait before one replica's batch
    max_prompt_tokens: int | None = Field(default=None, ge=1)  # longest prompt the engine takes; None: what fits
    max_tokens_cap: int | None = Field(default=None, ge=1)  # most tokens one answer may have
    max_documents: int | None = Field(default=None, ge=1)  # of a request that are shown, nearest first; None: all
    sampling: SamplingDefaults = SamplingDefaults()
    system_prompt: str = ""
    documents_prompt: str = ""  # stands in the system message where the request has documents, whoever wrote the rest
    collections: tuple[str, ...] = ()  # searched for a request that names this expert and no collections itself
    outcomes: tuple[OutcomeName, ...] = ()  # that its answers begin with (`experts.conversation.outcomes`)
    forms: dict[Form, Share] = {}  # asked for such a form, it counts with this probability at least, whatever the words
    hands_back: bool = False  # where no tool fits, it says so before its first token, and another expert is asked
    calls_tools: bool = True  # False: it never learned to, and is shown none unless it is named or a call has to come
    asks_for_missing: bool = False  # a call whose required value nobody said becomes a question
    price: Price
    licence: str = Field(min_length=1)
    resources: Resources = Resources()
    scaling: Scaling = Scaling()
    engine_options: dict[str, Scalar | dict[str, Scalar]] = {}
    not_honoured: tuple[SamplingField, ...] = ()  # by its server, beyond what is known of the engine
    canary_of: str | None = None  # the expert whose successor this is, on trial
    canary_share: float = Field(default=0.0, ge=0, le=0.5)  # of that expert's requests
    shadow_share: Share = 0.0  # likewise, that it answers once more, after the user has been served

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"no expert can be named {name!r}: as a request's model it means that the router decides")
        return name

    @field_validator("base", "adapter")
    @classmethod
    def _is_pinned(cls, value: str | None) -> str | None:
        if value is None or not is_remote(value):
            return value
        try:
            pin = parse_address(value).sha256
        except RemoteError as error:
            raise ValueError(str(error)) from None
        if pin is None:
            raise ValueError(f"{value} needs a pin, @sha256:HEX (python -m experts.artifacts.publish prints it)")
        return value

    @model_validator(mode="after")
    def _prompt_fits(self) -> Self:
        if self.max_prompt_tokens is not None and self.max_prompt_tokens >= self.context_window:
            raise ValueError("max_prompt_tokens must be below context_window, which holds the answer too")
        return self

    @property
    def has_weights(self) -> bool:
        """Whether its replicas load weights of ours."""
        return self.engine not in _WITHOUT_WEIGHTS

    @property
    def prompt_limit(self) -> int:
        """Tokens of the longest prompt that this expert can answer."""
        return self.max_prompt_tokens or self.context_window - 1


class Catalog(_Model):
    """Every expert, in the file's order; `default` answers when nothing says otherwise."""

    experts: tuple[ExpertSpec, ...] = Field(min_length=1)
    default: str

    @model_validator(mode="after")
    def _names_hold(self) -> Self:
        repeated = {name for name in self.names if self.names.count(name) > 1}
        if repeated:
            raise ValueError(f"expert names must be unique, repeated: {', '.join(sorted(repeated))}")
        if self.default not in self.names:
            raise ValueError(f"default {self.default!r} is none of the experts: {', '.join(self.names)}")
        for expert in self.experts:
            if expert.canary_of is not None and expert.canary_of not in set(self.names) - {expert.name}:
                raise ValueError(f"{expert.name!r} is a canary of {expert.canary_of!r}, which is none of the others")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The experts' names, in the file's order."""
        return tuple(expert.name for expert in self.experts)

    @property
    def handing_back(self) -> tuple[str, ...]:
        """The names of those that hand back what none of the tools fits."""
        return tuple(expert.name for expert in self.experts if expert.hands_back)

    @property
    def calling_none(self) -> tuple[str, ...]:
        """The names of those that have not learned to call tools."""
        return tuple(expert.name for expert in self.experts if not expert.calls_tools)

    def get(self, name: str) -> ExpertSpec | None:
        """Return the expert of that name, or None."""
        return next((expert for expert in self.experts if expert.name == name), None)


def default_path() -> Path:
    """Return the checkout's deploy/experts.yaml, or the copy packaged in a wheel when there is no checkout."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "deploy" / "experts.yaml"
    return checkout if checkout.is_file() else package / "_deploy" / "experts.yaml"


def adapter_folder(adapter: str) -> Path:
    """Return where an adapter lies: `moegate:NAME` is one that ships with the package, anything else is a path."""
    shipped = adapter.removeprefix("moegate:")
    return (
        Path(__file__).resolve().parents[1] / "adapters" / shipped if shipped != adapter else Path(adapter).expanduser()
    )


def load_catalog(path: Path | None = None, prices: PriceList | None = None) -> Catalog:
    """Read and check a catalogue; an instance it names costs what `prices`, or the list that ships, says.

    Raises:
        CatalogError: the file is missing, is not YAML, or does not describe a usable catalogue.
    """
    path = path or default_path()
    try:
        document = read_yaml(path)
    except YamlError as error:
        raise CatalogError(str(error)) from None
    if not isinstance(document.content, dict):
        raise CatalogError(f"{path}: a catalogue is a mapping with `experts` and `default`")
    try:
        return Catalog.model_validate(_priced(document.content, prices))
    except PricesError as error:
        raise CatalogError(f"{path}: {error}") from None
    except ValidationError as error:
        raise CatalogError("\n".join(_explain(error, document))) from error


def _priced(content: object, prices: PriceList | None) -> object:
    """Fill in what the instances that a raw catalogue names cost by the hour.

    Raises:
        PricesError: one of them is not in the list.
    """
    if not isinstance(content, dict) or not isinstance(content.get("experts"), list):
        return content
    return {**content, "experts": [_priced_entry(entry, prices) for entry in content["experts"]]}


def _priced_entry(entry: object, prices: PriceList | None) -> object:
    if not isinstance(entry, dict):
        return entry
    price = entry.get("price")
    if not isinstance(price, dict) or "instance_usd_per_hour" in price:
        return entry
    name = price.get("instance")
    if not isinstance(name, str):
        return entry
    spec = (prices or load_prices()).instances.get(name)
    if spec is None:
        raise PricesError(f"expert {entry.get('name')!r}: price.instance: {name!r} is not in the price list")
    return {**entry, "price": {**price, "instance_usd_per_hour": spec.usd_per_hour}}


def _explain(error: ValidationError, document: Document) -> list[str]:
    """Turn pydantic's report into one line per mistake: file and line, expert, field, what is wrong."""
    lines = []
    for mistake in error.errors(include_url=False):
        where, fields = "", list(mistake["loc"])
        if len(fields) > 1 and fields[0] == "experts" and isinstance(fields[1], int):
            where, fields = f"expert {_name_at(document.content, fields[1])}: ", fields[2:]
        field = ".".join(str(part) for part in fields)
        what = explain(mistake, Catalog)
        lines.append(f"{document.where(mistake['loc'])}: {where}{field + ': ' if field else ''}{what}")
    return lines


def _name_at(content: object, index: int) -> str:
    """Name the index-th expert of a raw catalogue, by its position (from 1) when it has no name."""
    match content:
        case {"experts": [*entries]} if isinstance(entries[index], dict) and "name" in entries[index]:
            return repr(entries[index]["name"])
        case _:
            return f"number {index + 1}"
