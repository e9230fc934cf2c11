"""Writes what is kept, on a thread of its own: builds the records, redacts them, and adds them to a segment.

A request never waits for it. What waits here is bounded in bytes; a store that fails or hangs, or a disk that is full,
costs records, and each lost one is counted (`moegate_interactions_total`).
"""

import contextlib
import gzip
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import orjson

from serve.interactions.kept import Ended, as_row
from serve.interactions.redaction import Redaction, Redactor
from serve.interactions.stores import SegmentStore, StoreFailed, segment_name
from serve.settings.interactions import InteractionsSettings
from serve.telemetry.logs import log_fault
from serve.telemetry.metrics.interactions import InteractionMetrics

log = logging.getLogger("moegate.interactions")

_AT_ONCE: Final = 256  # records of a batch
_IN_A_ROW: Final = 16  # records; then requests have the interpreter's lock, which sleeping alone hands over at once
_BREATH_S: Final = 1e-4
_SAY_AGAIN_S: Final = 60.0  # so often a store that fails is told of
_LAST_WORDS_S: Final = 5.0  # for what waits when the gateway stops
_OVERHEAD: Final = 1500  # bytes of a record beside its words
_LEVEL: Final = 1  # zlib's fastest: a record costs microseconds of the gateway's CPU


class Writer:
    """One process's writer."""

    def __init__(
        self,
        store: SegmentStore,
        settings: InteractionsSettings,
        metrics: InteractionMetrics,
        catalog: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`catalog` is the catalogue's digest."""
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._catalog = catalog
        self._clock = clock
        self._redactor = Redactor(settings.redact)
        self._waiting: deque[Ended] = deque()
        self._waiting_bytes = 0
        self._lock = threading.Lock()  # of the two above; held for nothing that takes time
        self._is_stopping = threading.Event()
        self._segment = _Open()
        self._told_at = -_SAY_AGAIN_S
        self._thread = threading.Thread(target=self._run, name="interactions", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def take(self, ended: Ended) -> None:
        """Take a record on, or lose it where too much waits already."""
        size = ended.size + _OVERHEAD
        with self._lock:
            has_room = self._waiting_bytes + size <= self._settings.max_waiting_bytes
            if has_room:
                self._waiting_bytes += size
                self._waiting.append(ended)
        if not has_room:
            self._lost(1, "full")

    def close(self) -> None:
        """Write what waits, for a few seconds at most: a store that hangs does not hold the gateway up."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join(_LAST_WORDS_S)
        if self._thread.is_alive():
            self._lost(len(self._waiting), "failed")

    def _run(self) -> None:
        self._prune()
        while not self._is_stopping.wait(self._settings.flush_s):
            self._turn()
        self._turn()
        self._finish_segment()

    def _turn(self) -> None:
        """Write all that waits."""
        while batch := self._next_batch():
            lines = list(self._lines(batch))
            if lines:
                self._add(lines)
        self._finish_segment_if_due()

    def _next_batch(self) -> list[Ended]:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
            self._waiting_bytes -= sum(ended.size + _OVERHEAD for ended in batch)
        return batch

    def _lines(self, batch: Sequence[Ended]) -> Iterator[bytes]:
        for number, ended in enumerate(batch, start=1):
            line = self._line(ended)
            if line is not None:
                yield line
            if number % _IN_A_ROW == 0:
                time.sleep(_BREATH_S)

    def _line(self, ended: Ended) -> bytes | None:
        """Make a record's line; None, and counted, where that fails: nothing is written that is not redacted."""
        redaction = Redaction(self._redactor)
        try:
            row = as_row(ended, redaction, catalog=self._catalog, sample=self._settings.sample)
            for entity, count in redaction.found.items():
                self._metrics.redactions.labels(entity).inc(count)
            return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        except Exception as error:  # the thread's edge: one record's fault is not the next one's
            log_fault(log, error)
            self._lost(1, "fault")
            return None

    def _add(self, lines: list[bytes]) -> None:
        data = gzip.compress(b"".join(lines), _LEVEL)
        if not self._segment.name:
            self._segment = _Open(segment_name(), self._clock())
        if not self._store.appends:
            self._segment.unwritten += data
        elif not self._write(data, len(lines)):
            self._segment = _Open()  # what was written of it stays readable; go on in another one
            return
        self._segment.size += len(data)
        self._segment.records += len(lines)
        self._finish_segment_if_due()

    def _finish_segment_if_due(self) -> None:
        segment = self._segment
        is_old = self._clock() - segment.begun_at >= self._settings.segment_s
        if segment.name and (is_old or segment.size >= self._settings.segment_bytes):
            self._finish_segment()

    def _finish_segment(self) -> None:
        if self._segment.unwritten:
            self._write(bytes(self._segment.unwritten), self._segment.records)
        was_open = bool(self._segment.name)
        self._segment = _Open()
        if was_open:
            self._prune()

    def _write(self, data: bytes, records: int) -> bool:
        try:
            self._store.write(self._segment.name, data)
        except StoreFailed as error:
            self._lost(records, "failed")
            self._tell(error)
            return False
        self._metrics.records.labels("kept").inc(records)
        self._metrics.bytes.inc(len(data))
        return True

    def _prune(self) -> None:
        """Delete the oldest segments of the whole store, other gateways' too, beyond its bound."""
        with contextlib.suppress(StoreFailed):  # the next segment's end is soon enough
            segments = self._store.segments()
            excess = sum(segment.size for segment in segments) - self._settings.max_bytes
            for segment in segments:
                if excess <= 0:
                    break
                self._store.replace(segment.name, None)
                excess -= segment.size

    def _lost(self, count: int, why: str) -> None:
        if count:
            self._metrics.records.labels(why).inc(count)

    def _tell(self, error: StoreFailed) -> None:
        now = self._clock()
        if now - self._told_at >= _SAY_AGAIN_S:
            self._told_at = now
            log.warning("interactions cannot be kept", extra={"reason": str(error)})


class _Open:
    """The segment that is being written."""

    def __init__(self, name: str = "", begun_at: float = 0.0) -> None:
        self.name = name
        self.begun_at = begun_at
        self.size = self.records = 0
        self.unwritten = bytearray()
