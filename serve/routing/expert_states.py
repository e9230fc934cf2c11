"""What the router is told about the experts: their state now, and what each of them can do.

`serve.gateway` asks before it routes; what is known comes from the catalogue, `serve.dispatch.health` and the
dispatcher. `moegate route` asks the same of experts that nobody has started (`idle_states`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from experts.catalog.engine_limits import PROMISES, is_set, not_honoured, refused_settings
from experts.catalog.spec import Catalog, ExpertSpec, Form
from protos import chat_pb2 as chat
from router.policy.decide import ExpertState
from serve.dispatch.dispatcher import Dispatcher
from serve.dispatch.health import HealthMonitor
from serve.errors import ExpertUnavailable, UnsupportedParameter
from serve.request import ChatRequest

_FORMS: Final[Mapping[chat.ResponseFormat.Type.ValueType, Form]] = MappingProxyType(
    {
        chat.ResponseFormat.TYPE_JSON_OBJECT: "json_object",
        chat.ResponseFormat.TYPE_JSON_SCHEMA: "json_schema",
    }
)


def idle_states(catalog: Catalog, asked: chat.Sampling, wanted: chat.ResponseFormat) -> list[ExpertState]:
    """Every expert of a catalogue as it would be with nothing to do, for an answer of the wanted form."""
    idle = [(expert, _idle(expert)) for expert in catalog.experts]
    return [
        state._replace(context_window=_room(expert, state, asked), at_least=_at_least(expert, wanted))
        for expert, state in idle
    ]


def _at_least(expert: ExpertSpec, wanted: chat.ResponseFormat) -> float:
    """The probability with which an expert counts at least, by the form alone."""
    form = _FORMS.get(wanted.type)
    return 0.0 if form is None else expert.forms.get(form, 0.0)


def _idle(expert: ExpertSpec) -> ExpertState:
    """What the catalogue says of an expert."""
    return ExpertState(
        name=expert.name,
        context_window=expert.prompt_limit + 1,
        healthy=True,
        queue_len=0,
        max_batch_size=expert.max_batch_size,
        usd_per_million_tokens=expert.price.usd_per_completion_token * 1e6,
        usd_per_million_prompt_tokens=expert.price.usd_per_prompt_token * 1e6,
    )


def _room(expert: ExpertSpec, idle: ExpertState, asked: chat.Sampling) -> int:
    """Tokens of an expert's window; none for a request that asks for what the expert does not honour."""
    return 0 if refused_settings(expert, asked) else idle.context_window


class Candidates:
    """The experts of a catalogue, as the router sees them."""

    def __init__(self, catalog: Catalog, health: HealthMonitor, dispatcher: Dispatcher) -> None:
        self.renew(catalog)
        self._health = health
        self._dispatcher = dispatcher

    def renew(self, catalog: Catalog) -> None:
        """Take other prices of the same experts."""
        self._catalog = catalog
        # Once: prices are sums of many parts, and most experts have no form of their own.
        self._idle = [(expert, _idle(expert), bool(expert.forms)) for expert in catalog.experts]
        refusable = {name for expert in catalog.experts for name in not_honoured(expert)}
        self._scalars = tuple(refusable - {"logit_bias"})
        # A bias is for one vocabulary, so it narrows the choice down even where every expert takes one.
        self._promises = tuple(name for name in PROMISES if name in refusable or name == "logit_bias")

    def states(self, request: ChatRequest) -> list[ExpertState]:
        """The state of every expert that can keep to the form, and honour the settings, that the request asks for."""
        wanted = request.response_format
        states = self.all_states(request.sampling, wanted)
        if self._asks_more(request.sampling) and (promised := self._promised(request.sampling)):
            states = [state for state in states if self._may_answer(state.name, promised, request)]
        if wanted.type == chat.ResponseFormat.TYPE_TEXT:
            return states
        return [state for state in states if self._health.experts[state.name].structured_output is True]

    def all_states(
        self, asked: chat.Sampling | None = None, wanted: chat.ResponseFormat | None = None
    ) -> list[ExpertState]:
        """The state of every expert; one that does not support the request's settings gets no room for it."""
        asked, wanted = asked or chat.Sampling(), wanted or chat.ResponseFormat()
        may_refuse = self._asks_more(asked)
        return [
            self._state(
                idle,
                _room(expert, idle, asked) if may_refuse else idle.context_window,
                _at_least(expert, wanted) if has_forms else 0.0,
            )
            for expert, idle, has_forms in self._idle
        ]

    def _state(self, idle: ExpertState, context_window: int, at_least: float) -> ExpertState:
        health = self._health.experts[idle.name]
        return ExpertState(
            name=idle.name,
            context_window=context_window,
            healthy=health.is_ready and not self._dispatcher.is_open(idle.name),
            queue_len=self._health.queue_len(idle.name),
            max_batch_size=idle.max_batch_size,
            usd_per_million_tokens=idle.usd_per_million_tokens,
            usd_per_million_prompt_tokens=idle.usd_per_million_prompt_tokens,
            estimate=health.estimate,
            at_least=at_least,
        )

    def check(self, request: ChatRequest) -> None:
        """Check that an expert that may answer can do what the answer depends on, as far as is known.

        Raises:
            ExpertUnavailable: nobody who might has been reached yet.
            UnsupportedParameter: nobody who may answer can.
        """
        if self._asks_more(request.sampling) and (promised := self._promised(request.sampling)):
            self._check_promised(request, promised)
        if request.needs_structure:
            self._check_structure(request)

    def _asks_more(self, asked: chat.Sampling) -> bool:
        """Whether a request makes a setting that not every expert honours; on every request's path, so without ado."""
        for name in self._scalars:
            if asked.HasField(name):  # type: ignore[arg-type]  # the stub lists the names as literals
                return True
        return bool(asked.logit_bias)

    def _promised(self, asked: chat.Sampling) -> tuple[str, ...]:
        """Name the settings that the request makes, that its answer depends on, and that not every expert honours."""
        return tuple(name for name in self._promises if is_set(name, asked) and getattr(asked, name))

    def _may_answer(self, name: str, promised: tuple[str, ...], request: ChatRequest) -> bool:
        """Whether an expert honours all of these settings; a bias is for the tokens of the named expert alone."""
        expert = self._catalog.get(name)
        is_its_own = "logit_bias" not in promised or name == request.pinned
        return expert is not None and is_its_own and not set(promised) & set(not_honoured(expert))

    def _check_promised(self, request: ChatRequest, promised: tuple[str, ...]) -> None:
        if "logit_bias" in promised and request.pinned is None:
            message = "'logit_bias' numbers the tokens of one model: name an expert in 'model'"
            raise UnsupportedParameter(message, param="logit_bias")
        asked = self._catalog.names if request.pinned is None else (request.pinned,)
        if any(self._may_answer(name, promised, request) for name in asked):
            return
        who = "no expert honours" if request.pinned is None else "the expert named in 'model' does not honour"
        for name in promised:
            if not any(self._may_answer(expert, (name,), request) for expert in asked):
                raise UnsupportedParameter(f"'{name}': {who} it", param=name)
        message = f"'{promised[0]}': no one expert honours {', '.join(promised)} together"
        raise UnsupportedParameter(message, param=promised[0])

    def _check_structure(self, request: ChatRequest) -> None:
        asked = self._catalog.names if request.pinned is None else (request.pinned,)
        said = [self._health.experts[name].structured_output for name in asked]
        if True in said:
            return
        if None in said:
            for name in asked:
                self._dispatcher.waker.wake(name)  # it says when it is awake; one that is probed needs no waking
            raise ExpertUnavailable("no expert that could keep to 'response_format' has been reached; retry later")
        who = "no expert" if request.pinned is None else "not the expert named in 'model'"
        raise UnsupportedParameter(f"'response_format': {who} can keep to one", param="response_format")
