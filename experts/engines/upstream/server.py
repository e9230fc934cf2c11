"""The connection to one server: the official `openai` client, what it says of its health, and when it wants peace."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from experts.engine import EngineError, ServerUnavailable
from experts.engines.upstream.errors import pause_of, translate
from experts.engines.upstream.options import UpstreamOptions, UpstreamOptionsError

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream

PROBE_S: Final = 1.5  # a server that takes longer to list its models is not well; gateways wait 2 s
_FRESH_S: Final = 1.0  # so long a probe's result is good for all who ask

_KEPT_S: Final = 4.0  # an idle connection; uvicorn, behind which many servers are, closes it after 5
_ALIVE: Final = frozenset({404, 405, 429, 501})  # no list of models, or not now: it answers
_NO_KEY: Final = "none"  # the client insists on one; it is not sent

_log = logging.getLogger("moegate.upstream")


class Server:
    """One server. Use inside one event loop."""

    def __init__(
        self,
        options: UpstreamOptions,
        key: str | None,
        headers: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._client = _client(options, key, headers)
        self._each = _headers(key)
        self._clock = clock
        self._rest: tuple[float, EngineError] = (0.0, EngineError())  # until when, and what those get who ask before
        self._probed: tuple[float, EngineError | None] = (-_FRESH_S, None)  # when, and what was wrong
        self._probing: asyncio.Task[EngineError | None] | None = None

    async def open(self, body: Mapping[str, Any]) -> AsyncStream[object]:
        """Send a request; return the stream of its answer's events, as JSON.

        The client's own types of an event are passed by: making them takes four times as long as reading it (220 us
        of CPU an event in place of 70), and they check nothing.

        Raises:
            EngineError: it refused, failed, or cannot be reached.
        """
        until_s, error = self._rest
        if self._clock() < until_s:
            raise type(error)(*error.args)
        import openai

        path = "/completions" if "prompt" in body else "/chat/completions"
        try:
            return await self._client.post(
                path,
                body=dict(body),
                cast_to=object,
                stream=True,
                stream_cls=openai.AsyncStream[object],
                options={"headers": self._each},
            )
        except Exception as failure:  # whatever a server can do to the client
            if pause_s := pause_of(failure):
                self._rest = (self._clock() + pause_s, translate(failure))
            raise translate(failure) from None

    async def check(self) -> None:
        """Return if the server answers, as of a second ago at most.

        Raises:
            ServerUnavailable: it does not.
        """
        if self._options.health == "none":
            return
        at_s, error = self._probed
        if self._clock() - at_s >= _FRESH_S:
            self._probing = self._probing or asyncio.create_task(self._probe())
            error = await asyncio.shield(self._probing)
        if error is not None:
            raise type(error)(*error.args)

    async def close(self) -> None:
        """Close every connection."""
        if self._probing is not None:
            self._probing.cancel()
        await self._client.close()

    async def _probe(self) -> EngineError | None:
        """Ask for the list of models; return what is wrong. A server without such a list answers all the same."""
        import openai

        error: EngineError | None = None
        try:
            await self._client.with_raw_response.models.list(timeout=PROBE_S, extra_headers=self._each)
        except openai.APIStatusError as failure:
            error = None if failure.status_code in _ALIVE else ServerUnavailable(str(translate(failure)))
        except Exception:  # likewise
            error = ServerUnavailable("the server cannot be reached")
        if (error is None) != (self._probed[1] is None):
            _log.warning("its server is %s", "well again" if error is None else f"not well: {error}")
        self._probed, self._probing = (self._clock(), error), None
        return error


def _client(options: UpstreamOptions, key: str | None, headers: Mapping[str, str]) -> AsyncOpenAI:
    """Make the client. It tries nothing twice: the gateway has a budget for that, and knows who else could answer."""
    import httpx2
    import openai

    for library in ("openai", "httpx2", "httpcore2"):
        logging.getLogger(library).setLevel(logging.WARNING)  # below it they write requests, and with them prompts
    timeout = openai.Timeout(None, connect=options.connect_timeout_s)
    # As many connections as there are sequences, all of them kept: a first token does not wait for a handshake.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEPT_S)
    transport = openai.DefaultAsyncHttpxClient(
        verify=_trust(options), limits=limits, timeout=timeout, follow_redirects=False, base_url=options.base_url
    )
    return openai.AsyncOpenAI(
        api_key=key or _NO_KEY,
        base_url=options.base_url,
        default_headers={**options.headers, **headers},
        max_retries=0,
        timeout=timeout,
        http_client=transport,
    )


def _headers(key: str | None) -> dict[str, Any]:
    """Return what is said of a key in every request: where there is none, that there is none."""
    import openai

    return {} if key is not None else {"Authorization": openai.Omit()}


def _trust(options: UpstreamOptions) -> ssl.SSLContext:
    """Make the TLS context; ours is shown where the server asks for a certificate.

    Raises:
        UpstreamOptionsError: a file cannot be used.
    """
    tls = options.tls
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise UpstreamOptionsError(f"engine_options.tls: {error.strerror or 'a file is no PEM'}") from None
    return context
