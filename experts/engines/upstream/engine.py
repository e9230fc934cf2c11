"""The engine in front of another server: a request goes there, its answer comes back as any engine's does.

Each sequence is one task that reads the server's stream into a `TokenStream`. Closing `generate` cancels the task, and
that closes the request at the server at once. A sequence that is silent is kept alive by what can be known from here:
while it waits, the server is asked for its list of models, and an answer counts as the step that other engines make.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from experts.catalog.spec import ExpertSpec
from experts.engine import (
    HEARTBEAT,
    HEARTBEAT_S,
    Capabilities,
    Completion,
    DeadlineExceeded,
    EngineDead,
    EngineError,
    GenerationInput,
    Load,
    Sampling,
    TokenDelta,
)
from experts.engines.failures import describe_failure
from experts.engines.slots import Slots
from experts.engines.stream import TokenStream
from experts.engines.upstream.errors import translate
from experts.engines.upstream.options import UpstreamOptions, read_secrets
from experts.engines.upstream.reply import Reply
from experts.engines.upstream.request import call_body, estimate_prompt
from experts.engines.upstream.server import Server

_log = logging.getLogger("moegate.upstream")


class UpstreamEngine:
    """Implements `experts.engine.Engine` over an OpenAI-compatible server."""

    def __init__(self, spec: ExpertSpec) -> None:
        """Read the secrets; connects to nothing yet.

        Raises:
            UpstreamOptionsError: a secret's variable is not set.
        """
        self._spec = spec
        self._options = UpstreamOptions.model_validate(spec.engine_options)
        self._secrets = read_secrets(self._options)
        self._slots = Slots(spec.max_batch_size, spec.max_queue_len)
        self._heard: dict[TokenStream, float] = {}  # when each live sequence last told something
        self._beating: asyncio.Task[None] | None = None
        self._is_stopped = False

    @property
    def capabilities(self) -> Capabilities:
        """What the catalogue entry says that the server can do."""
        honoured = frozenset(Sampling.__dataclass_fields__) - set(self._spec.not_honoured)
        if not self._options.structured_output:
            honoured -= {"constraint"}
        if not self._options.temperature:
            honoured -= {"temperature", "top_p"}
        return Capabilities(
            self._spec.max_batch_size,
            self._spec.context_window,
            honoured,
            max_prompt_tokens=self._spec.prompt_limit,
            takes_conversations=self._options.tools == "native",
        )

    async def start(self) -> None:
        """Make the client. A server that does not answer yet is no failure: the expert is not well until it does."""
        self._server = Server(self._options, *self._secrets)
        self._beating = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        """End every sequence and close the connections."""
        self._is_stopped = True
        for stream in self._heard:
            stream.feed(EngineDead("the engine was stopped"))
        if self._beating is not None:
            self._beating.cancel()
            await self._server.close()

    async def generate(self, request: GenerationInput) -> AsyncGenerator[TokenDelta | Completion, None]:
        """Ask the server once a slot is free; yield what comes."""
        self._check_alive()
        arrived_s = time.monotonic()
        async with self._slots.place() as turn:
            async for beat in self._slots.wait(turn, request.deadline_s):
                self._check_alive()
                yield beat
            stream = TokenStream()
            self._heard[stream] = time.monotonic()
            work = asyncio.create_task(self._work(request, stream, arrived_s))
            try:
                async for item in stream:
                    yield item
            finally:
                del self._heard[stream]
                work.cancel()
                await asyncio.wait({work})

    def load(self) -> Load:
        """Report how many requests are at the server, and how many wait here."""
        return self._slots.load()

    def sequences_total(self) -> int:
        """Count the sequences since the start."""
        return self._slots.sequences_total

    async def check_health(self) -> None:
        """Ask the server.

        Raises:
            EngineDead: the engine was stopped.
            ServerUnavailable: the server does not answer.
        """
        self._check_alive()
        await self._server.check()

    async def _work(self, request: GenerationInput, stream: TokenStream, arrived_s: float) -> None:
        """Read one answer into `stream`, whose last word is a completion or an error."""
        left_s = None if request.deadline_s is None else max(0.0, request.deadline_s - time.monotonic())
        try:
            async with asyncio.timeout(left_s):
                stream.feed(await self._read(request, stream, arrived_s))
        except TimeoutError:
            stream.feed(DeadlineExceeded("the deadline passed before the answer was complete"))
        except EngineError as error:
            stream.feed(error)
        except Exception as error:  # the edge of the task: whoever waits for the stream must hear of its end
            _log.error("a request failed: %s", describe_failure(error))
            stream.feed(translate(error))

    async def _read(self, request: GenerationInput, stream: TokenStream, arrived_s: float) -> Completion:
        prompt_tokens = estimate_prompt(request)
        reply = Reply(prompt_tokens, arrived_s, time.monotonic())
        events = await self._server.open(call_body(self._options, request, self._spec.context_window))
        stream.feed(TokenDelta("", 0, prompt_tokens))
        try:
            async with aclosing(events):
                async for event in events:
                    self._heard[stream] = now_s = time.monotonic()
                    if delta := reply.read(event, now_s):
                        stream.feed(delta)
        except EngineError:
            raise
        except Exception as failure:  # whatever a broken stream does to the client
            raise translate(failure) from None
        return reply.complete()

    async def _beat(self) -> None:
        """Tell silent sequences now and then that the server is there, if it is."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            before_s = time.monotonic() - HEARTBEAT_S
            silent = [stream for stream, heard_s in self._heard.items() if heard_s <= before_s]
            if not silent:
                continue
            try:
                await self._server.check()
            except EngineError:
                continue
            for stream in silent:
                stream.feed(HEARTBEAT)

    def _check_alive(self) -> None:
        if self._is_stopped:
            raise EngineDead("the engine was stopped")
