"""`/metrics` in the form and the coding that its reader prefers (RFC 9110, section 12.5).

Prometheus' own client library looks for a name in `accept` and ignores the weights; its scrapers send both forms with
one. A page is some 50 kB of the same words again and again, a tenth of that as gzip.
"""

import asyncio
import gzip
from collections.abc import Mapping
from typing import Final

from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from serve.telemetry.metrics.page import Page

_OPEN_METRICS: Final = "application/openmetrics-text"
_LEVEL: Final = 5  # of gzip: beyond it a page takes longer and hardly shrinks


async def metrics_response(page: Page, headers: Mapping[str, str]) -> Response:
    """Write a page as its reader asks for it."""
    accept = headers.get("accept", "")
    by_type = weights(accept)
    plain = max(by_type.get("text/plain", 0.0), by_type.get("text/*", 0.0), by_type.get("*/*", 0.0))
    encode, content_type = choose_encoder(accept if by_type.get(_OPEN_METRICS, 0.0) >= max(plain, 0.001) else "")
    body = encode(page)
    answer_headers = {"content-type": content_type, "vary": "accept, accept-encoding"}
    codings = weights(headers.get("accept-encoding", ""))
    if codings.get("gzip", codings.get("*", 0.0)) > 0:
        body = await asyncio.to_thread(gzip.compress, body, _LEVEL)
        answer_headers["content-encoding"] = "gzip"
    return Response(body, headers=answer_headers)


def weights(header: str) -> dict[str, float]:
    """Read a header of preferences: what each name weighs, from 0 (not wanted) to 1; unreadable weights are 0."""
    found: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        values = [value for key, _, value in (one.partition("=") for one in parameters) if key.strip() == "q"]
        try:
            weight = float(values[0]) if values else 1.0
        except ValueError:
            weight = 0.0
        found[name] = max(found.get(name, 0.0), weight)
    return found
