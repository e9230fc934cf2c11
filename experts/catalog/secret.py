"""The secret that a gateway sends with every call of an expert, and its check in the replica.

Both sides read one environment variable. `moegate up` makes a new secret for each run and gives it to the experts'
process; in a cluster a Kubernetes Secret holds it. Without one, as when `experts.app` is started alone, a replica
checks nothing.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from typing import ClassVar

from experts.engine import EngineError

VARIABLE = "MOEGATE_EXPERTS__SECRET"  # the gateway's setting `experts.secret`, too
METADATA_KEY = "x-moegate-secret"


class Unauthenticated(EngineError):
    """The caller does not know the secret."""

    slug: ClassVar[str] = "unauthenticated"


class Guard:
    """Lets those in who know the secret."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret.encode() if secret else None

    def check(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Let a call in by its metadata.

        Raises:
            Unauthenticated: the secret is missing or wrong.
        """
        if self._secret is None:
            return
        shown = [_as_bytes(value) for key, value in metadata if key.lower() == METADATA_KEY]
        if len(shown) != 1 or not hmac.compare_digest(shown[0], self._secret):
            raise Unauthenticated("the experts' secret is missing or wrong")


def secret_from_environment() -> str | None:
    """Return this process's secret; None where there is none."""
    return os.environ.get(VARIABLE) or None


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()  # `compare_digest` takes no text beyond ASCII
