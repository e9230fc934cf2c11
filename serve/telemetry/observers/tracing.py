"""A request's trace: each step on its path ends one span and begins the next."""

from typing import Final

from protos import chat_pb2 as chat
from serve.telemetry.observer import Observer
from serve.telemetry.record import RequestRecord

FINISH_NAMES: Final = {
    chat.FINISH_REASON_STOP: "stop",
    chat.FINISH_REASON_LENGTH: "length",
    chat.FINISH_REASON_TOOL_CALLS: "tool_calls",
}


class TraceObserver(Observer):
    """Tells `record.trace`, which the tracer has made (`serve.telemetry.tracing`)."""

    def admitted(self, record: RequestRecord) -> None:
        """End `admit`, begin `route`."""
        record.trace.admitted(record.waited_s)

    def routed(self, record: RequestRecord) -> None:
        """End `route`, begin `dispatch`."""
        if record.decision is not None:
            record.trace.routed(record.decision)

    def fell_back(self, record: RequestRecord, expert: str, to: str) -> None:
        """End this dispatch, begin the next one."""
        record.trace.fell_back(expert, to)

    def handed_back(self, record: RequestRecord, expert: str) -> None:
        """Likewise; this one has not failed."""
        if record.decision is not None:
            record.trace.handed_back(expert, record.decision)

    def first_token(self, record: RequestRecord) -> None:
        """End `dispatch`, begin `stream`."""
        record.trace.first_token()

    def ended(self, record: RequestRecord) -> None:
        """End everything."""
        finish = FINISH_NAMES.get(record.completion.finish_reason) if record.completion else None
        record.trace.end(record.outcome, record.prompt_tokens, record.completion_tokens, finish, record.cost_usd)
