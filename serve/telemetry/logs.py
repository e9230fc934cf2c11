"""Logs as JSON lines on standard error: one object a line, without prompts, answers or tracebacks.

A record's `extra` fields become keys. A fault is named by its class and the place it came from. Its text is left out,
because an exception's text can hold anything that a client sent.
"""

import logging
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, TextIO

import orjson

_OWN: Final = tuple(vars(logging.LogRecord("", 0, "", 0, "", (), None)))  # a record's own attributes come first in it
_STANDARD: Final = frozenset(_OWN) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON. Exceptions attached to a record are reduced to class and place."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, no newline inside."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        told = islice(vars(record).items(), len(_OWN), None)
        line |= {key: value for key, value in told if key not in _STANDARD}
        if record.exc_info and record.exc_info[1] is not None:
            line |= describe_fault(record.exc_info[1])
        return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z).decode()


class Lines(logging.StreamHandler[TextIO]):
    """Writes lines. A line that cannot be written (a full disk) is counted; no request waits or fails because of it.

    Attributes:
        on_loss: called for each line that is lost.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.on_loss: Callable[[], None] = lambda: None

    def handleError(self, record: logging.LogRecord) -> None:
        """Count it."""
        self.on_loss()


def count_losses(on_loss: Callable[[], None]) -> None:
    """Call `on_loss` for every line that is lost from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Lines):
            handler.on_loss = on_loss


def set_up_logging(level: str) -> None:
    """Send every logger of the process through `JsonLines` to standard error."""
    # What no line of ours shows need not be looked up (https://docs.python.org/3/howto/logging.html#optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # the documented switch for file names and line numbers
    handler = Lines(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start and stop are told by serve.app


def tell(log: logging.Logger, event: str, fields: dict[str, Any]) -> None:
    """Log a line of many fields at level INFO: as `log.info` with `extra`, without its look at every field's name."""
    if log.isEnabledFor(logging.INFO):
        own = {"name": log.name, "levelno": logging.INFO, "levelname": "INFO", "msg": event}
        log.handle(logging.makeLogRecord(own | fields))


def log_fault(log: logging.Logger, error: BaseException, request_id: str | None = None) -> None:
    """Log a fault of our own."""
    log.error("fault", extra={"request_id": request_id, **describe_fault(error)})


def describe_fault(error: BaseException) -> dict[str, str]:
    """Name a fault by its class and the innermost place, `module:function:line`."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    place = f"{last.filename.rsplit('/', 1)[-1]}:{last.name}:{last.lineno}" if last else "unknown"
    return {"fault": type(error).__name__, "place": place}
