"""What the router is told about the experts: their state now, and what each of them can do.

`serve.gateway` asks before it routes. The facts come from the catalogue, `serve.dispatch.health` and the dispatcher.
"""

from experts.catalog.engine_limits import refused_settings
from experts.catalog.spec import Catalog
from protos import chat_pb2 as chat
from router.policy.decide import ExpertState
from serve.dispatch.dispatcher import Dispatcher
from serve.dispatch.health import HealthMonitor
from serve.errors import ExpertUnavailable, UnsupportedParameter
from serve.request import ChatRequest


class Candidates:
    """The experts of a catalogue, as the router sees them."""

    def __init__(self, catalog: Catalog, health: HealthMonitor, dispatcher: Dispatcher) -> None:
        self._catalog = catalog
        self._priced = [
            (expert, expert.price.usd_per_completion_token * 1e6, expert.price.usd_per_prompt_token * 1e6)
            for expert in catalog.experts
        ]
        self._health = health
        self._dispatcher = dispatcher

    def states(self, request: ChatRequest) -> list[ExpertState]:
        """The state of every expert that can keep to the form that the request asks for."""
        states = self.all_states(request.sampling)
        if not request.needs_structure:
            return states
        return [state for state in states if self._health.experts[state.name].structured_output is True]

    def all_states(self, asked: chat.Sampling | None = None) -> list[ExpertState]:
        """The state of every expert; one that does not support the request's settings gets no room for it."""
        asked = asked or chat.Sampling()
        return [
            ExpertState(
                name=expert.name,
                context_window=0 if refused_settings(expert, asked) else expert.prompt_limit + 1,
                healthy=health.is_ready and not self._dispatcher.is_open(expert.name),
                queue_len=self._health.queue_len(expert.name),
                max_batch_size=expert.max_batch_size,
                usd_per_million_tokens=usd_per_million_tokens,
                usd_per_million_prompt_tokens=usd_per_million_prompt_tokens,
                estimate=health.estimate,
            )
            for expert, usd_per_million_tokens, usd_per_million_prompt_tokens in self._priced
            for health in (self._health.experts[expert.name],)
        ]

    def check_structure(self, request: ChatRequest) -> None:
        """Check that an expert that may answer can keep to the requested form, as far as is known.

        Raises:
            ExpertUnavailable: nobody who might has been reached yet.
            UnsupportedParameter: nobody who may answer can.
        """
        if not request.needs_structure:
            return
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
