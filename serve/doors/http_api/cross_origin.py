"""Browsers at the HTTP door: which web pages may call it, and how they learn that (the Fetch standard's CORS protocol).

Without keys, any page that somebody on this machine has open could otherwise use the gateway: a "no-cors" POST needs no
permission, only its answer is hidden from the page. Browsers say where a request comes from (`Origin`,
`Sec-Fetch-Site`), and no page can forge that. Programs do not send it. Where a key is needed, the key is the
permission.
"""

import ipaddress
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Scope

from serve.access.exposure import is_loopback
from serve.doors.http_api.asgi import HeaderLookup
from serve.errors import ForeignOrigin
from serve.settings.doors import CorsSettings, HttpSettings

_METHODS: Final = ("DELETE", "GET", "POST")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FOREIGN_SITES: Final = frozenset({"cross-site", "same-site"})
_TELLING: Final = frozenset({b"origin", b"sec-fetch-site"})  # browsers send at least one of them
_REFUSAL: Final = "this web page may not call the gateway; 'http.cors.allow_origins' lists those that may"
_SHOWN_HEADERS: Final = (
    "retry-after",
    "request-id",
    "x-request-id",
    "x-should-retry",
    *(f"x-moegate-{name}" for name in ("expert", "reason", "confidence", "ranking", "overhead-ms", "router")),
    *(f"x-moegate-{name}" for name in ("cost-usd", "error-code")),
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")),
)
"""What a page's script may read of a response, beyond its body."""


def with_cors(app: ASGIApp, settings: CorsSettings) -> ASGIApp:
    """Answer preflights and add CORS headers for allowed pages; if none is allowed, return the application as it is."""
    if not settings.allow_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=settings.allow_origins,
        allow_methods=_METHODS,
        allow_headers=("*",),  # SDKs send some ten of their own
        expose_headers=_SHOWN_HEADERS,
        allow_private_network=True,  # Chrome asks before a public page reaches a private address; who is listed may
        max_age=settings.max_age_s,
    )


class OriginGuard:
    """Refuses requests from web pages of other origins."""

    def __init__(self, settings: HttpSettings, *, has_keys: bool) -> None:
        self._allowed = frozenset(settings.cors.allow_origins)
        self._lets_all_in = has_keys or "*" in self._allowed
        self._is_local = is_loopback(settings.host)
        self._named = frozenset(origin.partition("://")[2].lower() for origin in self._allowed)

    def check(self, scope: Scope) -> None:
        """Check where a request comes from.

        Raises:
            ForeignOrigin: from a page that is neither the gateway's own nor listed in `http.cors.allow_origins`.
        """
        if self._lets_all_in:
            return
        if self._is_local and scope["method"] in _SAFE_METHODS:
            self._check_host(HeaderLookup(scope)("host") or "")
        if _TELLING.isdisjoint([name for name, _ in scope["headers"]]):
            return
        headers = HeaderLookup(scope)
        origin, site = headers("origin"), headers("sec-fetch-site")
        if origin is not None:
            is_foreign = origin not in self._allowed and not self._is_own(origin, headers("host") or "")
        else:  # a link to a page of ours brings no origin, and does nothing
            is_foreign = site in _FOREIGN_SITES and scope["method"] not in _SAFE_METHODS
        if is_foreign:
            raise ForeignOrigin(_REFUSAL)

    def _check_host(self, host: str) -> None:
        """Check the name by which a gateway on loopback is read.

        A page that came from a name which now points here reads without saying where it is from: to its browser it is
        at home.
        """
        if host and not (_is_local_name(host.lower()) or host.lower() in self._named):
            raise ForeignOrigin(_REFUSAL)

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether a page came from the gateway itself.

        A page may give its own name the address 127.0.0.1 after it was loaded ("DNS rebinding"); then its origin is the
        host that it asks for. A gateway on loopback has no such name.
        """
        return origin.partition("://")[2].lower() == host.lower() and (not self._is_local or _is_local_name(host))


def _is_local_name(host: str) -> bool:
    """Whether a `Host` header names this machine without a name server: an address, or localhost."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
