"""Every way a request can fail, and what each door's client sees of it.

One file, though it is long: the tree is read as one, and no other module knows a status code. A front door catches
`MoegateError` once and renders it; nothing else translates. Messages reach the client: they never hold a prompt, an
address or a traceback.

    MoegateError
    ├── InvalidRequest            the caller can mend it
    │   ├── MalformedBody         not JSON, not UTF-8, not an object
    │   ├── ContextLengthExceeded the prompt fits no expert it may go to
    │   ├── UnsupportedParameter  understood, not offered
    │   ├── ContentBlocked        a rule of the guard blocks the request, or the rest of its answer
    │   ├── Unanswerable          experts failed on it wherever it was sent
    │   ├── UnsupportedMediaType
    │   ├── PayloadTooLarge
    │   └── HeadersTooLarge
    ├── Unauthorized              no API key, or a wrong one
    ├── ForeignOrigin             a web page that may not call
    ├── OperatorOnly              for operators' keys alone
    ├── NotFound                  no such path
    │   ├── UnknownModel          no such expert
    │   ├── UnknownResponse       no such response is kept
    │   ├── UnknownCollection     no such collection, for this key
    │   └── UnknownToolset        no such set of tools, for this key
    ├── MethodNotAllowed
    ├── Overloaded                no permit, no chance to finish in time, or the expert's queue is full
    │   └── RateLimited           the key's requests or tokens are used up for now
    │       ├── BudgetExhausted   its USD are
    │       └── RequestExceedsLimit   one request asks for more than a whole minute allows
    ├── DeadlineExceeded          the caller's deadline, or the gateway's, passed
    ├── ExpertUnavailable         nobody in the ranking could be reached
    │   └── EncoderUnavailable    the encoder could not be reached
    ├── StorageUnavailable        feedback or a response could not be written or read
    ├── ExpertFailed              an expert broke after its first token, or on this request and nobody else was left
    │   ├── ExpertStalled         it stopped sending
    │   └── EncoderFailed         the encoder broke on this request
    ├── AnswerInvalid             an answer breaks the strict form that was asked for
    ├── ShuttingDown              the gateway is on its way out
    └── InternalError             our fault
"""

from typing import ClassVar

from grpc import StatusCode


class MoegateError(Exception):
    """A failure with a place in both doors' vocabularies.

    Attributes:
        http_status: HTTP status code.
        grpc_status: gRPC status code.
        type: OpenAI's coarse error type.
        code: stable machine-readable slug; also the metric label `outcome`.
        param: the request field at fault, as the caller wrote it, if there is one.
        retry_after_s: seconds after which a retry makes sense, if one does.
        headers: what else the client is told, as HTTP headers or gRPC metadata.
        fixed_headers: those that every error of the class brings along.
    """

    http_status: ClassVar[int] = 500
    grpc_status: ClassVar[StatusCode] = StatusCode.INTERNAL
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    retry_after_s: float | None = None
    fixed_headers: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = self.fixed_headers + headers
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s


class InvalidRequest(MoegateError):
    """A field is missing, of the wrong type or out of range."""

    http_status = 400
    grpc_status = StatusCode.INVALID_ARGUMENT
    type = "invalid_request_error"
    code = "invalid_value"


class MalformedBody(InvalidRequest):
    """The body is not a JSON object."""

    code = "invalid_json"


class ContextLengthExceeded(InvalidRequest):
    """The prompt is longer than the context window of every expert it may go to."""

    code = "context_length_exceeded"


class UnsupportedParameter(InvalidRequest):
    """A parameter of OpenAI's API that moegate understands and does not offer."""

    code = "unsupported_parameter"


class ContentBlocked(InvalidRequest):
    """A rule of the guard blocks the request, or the rest of its answer; the message names the rule, never a text."""

    grpc_status = StatusCode.FAILED_PRECONDITION
    code = "content_blocked"
    fixed_headers = (("x-should-retry", "false"),)


class Unanswerable(InvalidRequest):
    """A second replica or expert failed on it as the first one did, and is well otherwise."""

    http_status = 422
    code = "unanswerable"


class UnsupportedMediaType(InvalidRequest):
    """The body is declared as something other than JSON."""

    http_status = 415
    code = "unsupported_media_type"


class PayloadTooLarge(InvalidRequest):
    """The body is larger than the gateway accepts."""

    http_status = 413
    code = "payload_too_large"


class HeadersTooLarge(InvalidRequest):
    """The request's head is larger than the gateway accepts."""

    http_status = 431
    code = "headers_too_large"


class Unauthorized(MoegateError):
    """No API key, or a wrong one."""

    http_status = 401
    grpc_status = StatusCode.UNAUTHENTICATED
    type = "invalid_request_error"
    code = "invalid_api_key"
    fixed_headers = (("www-authenticate", "Bearer"),)  # RFC 9110, section 11.6.1


class ForeignOrigin(MoegateError):
    """A web page of another origin asks, and nobody has allowed it to."""

    http_status = 403
    grpc_status = StatusCode.PERMISSION_DENIED
    type = "invalid_request_error"
    code = "origin_not_allowed"


class OperatorOnly(MoegateError):
    """The key is good, and not an operator's."""

    http_status = 403
    grpc_status = StatusCode.PERMISSION_DENIED
    type = "invalid_request_error"
    code = "operator_only"


class NotFound(MoegateError):
    """No such path."""

    http_status = 404
    grpc_status = StatusCode.NOT_FOUND
    type = "invalid_request_error"
    code = "not_found"


class UnknownModel(NotFound):
    """`model` is neither `auto` nor an expert of the catalogue."""

    code = "model_not_found"


class UnknownResponse(NotFound):
    """No response of that id is kept for this key: it was not stored, is deleted or has expired."""

    code = "response_not_found"


class UnknownCollection(NotFound):
    """There is no collection of that name, or the key does not name it."""

    code = "collection_not_found"


class UnknownToolset(NotFound):
    """There is no set of tools of that name, or the key does not name it."""

    code = "toolset_not_found"


class MethodNotAllowed(MoegateError):
    """The path exists, the method does not."""

    http_status = 405
    grpc_status = StatusCode.UNIMPLEMENTED
    type = "invalid_request_error"
    code = "method_not_allowed"


class Overloaded(MoegateError):
    """No permit within the bounds of admission, or the experts' queues are full."""

    http_status = 429
    grpc_status = StatusCode.RESOURCE_EXHAUSTED
    type = "rate_limit_error"
    code = "overloaded"
    retry_after_s: float | None = 1.0


class RateLimited(Overloaded):
    """The key has used up its requests or tokens for now."""

    code = "rate_limit_exceeded"


class BudgetExhausted(RateLimited):
    """The key has used up its USD for the period."""

    code = "insufficient_quota"


class RequestExceedsLimit(RateLimited):
    """The request asks for more tokens than its key may use in a minute: it can never be let in as it is."""

    code = "request_exceeds_limit"
    retry_after_s = None


class DeadlineExceeded(MoegateError):
    """The request's deadline passed before its answer was complete."""

    http_status = 408
    grpc_status = StatusCode.DEADLINE_EXCEEDED
    type = "timeout_error"
    code = "deadline_exceeded"
    fixed_headers = (("x-should-retry", "false"),)  # OpenAI's SDKs send a 408 three times otherwise


class ExpertUnavailable(MoegateError):
    """No expert of the ranking could be reached; nothing was generated."""

    http_status = 503
    grpc_status = StatusCode.UNAVAILABLE
    code = "expert_unavailable"
    retry_after_s = 1.0


class EncoderUnavailable(ExpertUnavailable):
    """The encoder could not be reached; nothing was encoded."""

    code = "encoder_unavailable"


class StorageUnavailable(MoegateError):
    """Feedback, or a response that is to be kept, could not be written to disk or read from it."""

    http_status = 503
    grpc_status = StatusCode.UNAVAILABLE
    code = "storage_unavailable"
    retry_after_s = 5.0


class ExpertFailed(MoegateError):
    """The expert broke: after its first token, or on this request before it. What was streamed is incomplete."""

    http_status = 502
    grpc_status = StatusCode.ABORTED
    code = "expert_failed"


class ExpertStalled(ExpertFailed):
    """The expert stopped sending tokens; what was streamed is incomplete."""

    http_status = 504
    code = "expert_stalled"


class EncoderFailed(ExpertFailed):
    """The encoder broke on this request."""

    code = "encoder_failed"


class AnswerInvalid(MoegateError):
    """The whole answer breaks the strict form that was asked for; what was streamed of it is not to be used."""

    http_status = 502
    grpc_status = StatusCode.ABORTED
    code = "answer_invalid"


class ShuttingDown(MoegateError):
    """The gateway is on its way out."""

    http_status = 503
    grpc_status = StatusCode.UNAVAILABLE
    code = "shutting_down"
    retry_after_s = 1.0


class InternalError(MoegateError):
    """A fault of the gateway's own; the log names where."""
