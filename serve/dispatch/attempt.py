"""The ways in which an attempt at an expert can fail before its first token. The dispatcher decides by them."""

from enum import StrEnum

from serve.errors import DeadlineExceeded, ExpertUnavailable, MoegateError


class Why(StrEnum):
    """Why an attempt gave no first token."""

    NOT_ASKED = "not_asked"  # the circuit is open, it is being woken, or it holds as many requests as it can
    SILENT = "silent"  # nobody took the request on
    BROKE = "broke"  # it was lost on the way
    FAILED = "failed"  # a replica said that it failed on the request
    REFUSED = "refused"  # the expert said so


class FailedAttempt(Exception):
    """An attempt gave no first token; `error` is what the client sees if no other attempt succeeds."""

    def __init__(self, why: Why, error: MoegateError) -> None:
        super().__init__(why)
        self.why = why
        self.error = error


def may_be_asleep(error: BaseException) -> bool:
    """Whether no replica took the attempt on, perhaps because the expert has none: Ray Serve then sends nothing."""
    return isinstance(error, ExpertUnavailable | DeadlineExceeded) or not isinstance(error, MoegateError)
