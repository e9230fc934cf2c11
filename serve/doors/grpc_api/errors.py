"""An error as a gRPC client sees it: a status, our code in a trailer, and Google's error model.

The trailer `grpc-status-details-bin` holds a `google.rpc.Status` with `ErrorInfo` (our code), and with `RetryInfo`
where a retry makes sense (https://google.aip.dev/193). `retry-after` and `grpc-retry-pushback-ms` say the same to
clients that read those.
"""

from typing import Any, Final, NoReturn

import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from serve.errors import MoegateError

_DOMAIN: Final = "moegate"

Trailers = tuple[tuple[str, str | bytes], ...]


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: MoegateError, request_id: str) -> NoReturn:
    """End a call with an error."""
    await context.abort(error.grpc_status, error.message, (("x-request-id", request_id), *trailers(error)))


def trailers(error: MoegateError) -> Trailers:
    """The metadata that ends a failed call."""
    pairs: list[tuple[str, str | bytes]] = [("x-moegate-error-code", error.code)]
    if error.param is not None:
        pairs.append(("x-moegate-error-param", error.param))
    if error.retry_after_s is not None:
        pairs.append(("retry-after", str(max(1, round(error.retry_after_s)))))
        pairs.append(("grpc-retry-pushback-ms", str(int(error.retry_after_s * 1000))))
    pairs += error.headers
    pairs.append(("grpc-status-details-bin", _details(error).SerializeToString()))
    return tuple(pairs)


def _details(error: MoegateError) -> Status:
    status = Status(code=error.grpc_status.value[0], message=error.message)
    info = ErrorInfo(reason=error.code.upper(), domain=_DOMAIN)
    if error.param is not None:
        info.metadata["param"] = error.param
    status.details.append(_packed(info))
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after_s * 1000))
        status.details.append(_packed(RetryInfo(retry_delay=delay)))
    return status


def _packed(message: ErrorInfo | RetryInfo) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
