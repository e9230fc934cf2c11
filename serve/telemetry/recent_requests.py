"""Remembers the latest requests of one process for who watches it: names, numbers and outcomes, never a text."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from serve.costs.tariffs import usd
from serve.telemetry.observer import Observer
from serve.telemetry.record import RequestRecord

KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Ended:
    """One request that is over.

    Attributes:
        at: when it ended, seconds since 1970.
        id: the caller's name for it.
        key: the name of its API key; empty without keys.
        door: where it came in.
        expert: who had it, or `none`.
        outcome: `ok`, `cancelled` or an error's code.
        ttft_s: seconds from receipt to the first token; 0 where there was none.
        duration_s: seconds from receipt to the end.
        tokens: of its answer.
        usd: what it cost.
    """

    at: float
    id: str
    key: str
    door: str
    expert: str
    outcome: str
    ttft_s: float
    duration_s: float
    tokens: int
    usd: float


class RecentRequests(Observer):
    """The latest `KEPT`; what is on a request's path is one tuple."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._ended: deque[tuple[float, str, str, str, str, str, float, float, int, int]] = deque(maxlen=KEPT)

    def ended(self, record: RequestRecord) -> None:
        """Keep it; the oldest is forgotten."""
        request = record.request
        self._ended.append(
            (
                self._clock(),
                request.request_id,
                request.caller.name,
                request.door,
                record.expert,
                record.outcome,
                record.ttft_s,
                record.duration_s,
                record.completion_tokens,
                record.cost_pico,
            )
        )

    def latest(self) -> Sequence[Ended]:
        """The requests that are kept, the latest first."""
        return tuple(Ended(*row[:-1], usd(row[-1])) for row in reversed(self._ended))
