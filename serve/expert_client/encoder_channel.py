"""The gateway's side of `moegate.encoder.v1`: calls of the encoder, over connections of their own.

A long list of texts would hold back the tokens of answers that share a connection. A status is translated here into
one of our errors; its details stay here.
"""

import re
from collections.abc import Callable
from typing import Final

from google.protobuf.message import Message
from grpc import StatusCode

from experts.catalog.encoders import ENCODER_APPLICATION
from experts.catalog.secret import METADATA_KEY
from protos import encoder_pb2 as pb
from serve.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    EncoderFailed,
    EncoderUnavailable,
    InvalidRequest,
    MoegateError,
    Overloaded,
    StorageUnavailable,
    UnknownCollection,
)
from serve.expert_client.h2.call import CallError
from serve.expert_client.h2.frames import header, request_head, secret_header
from serve.expert_client.h2.pool import Pool
from serve.expert_client.unary import Answer, ask, milliseconds

_SERVICE: Final = "/moegate.encoder.v1.Encoder/"
_CONNECT_S: Final = 1.0
_TOO_LONG: Final = re.compile(r"text_too_long: text (\d+) has (\d+) tokens; at most (\d+)")
_FAILURES: Final = frozenset({StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS})


class EncoderChannel:
    """Asks the encoder."""

    def __init__(self, target: str, *, secret: str | None = None) -> None:
        """`target` is Ray Serve's gRPC ingress, as for the experts."""
        host, _, port = target.rpartition(":")
        self._pool = Pool(host.strip("[]"), int(port), size=1, connect_within_s=_CONNECT_S)
        shown = secret_header(METADATA_KEY.encode(), secret.encode()) if secret else b""
        application = header(b"application", ENCODER_APPLICATION.encode())
        self._embed = request_head(f"{_SERVICE}Embed", target) + shown + application
        self._search = request_head(f"{_SERVICE}Search", target) + shown + application
        self._collections = request_head(f"{_SERVICE}Collections", target) + shown + application

    async def embed(self, message: pb.EmbedRequest, *, timeout_s: float) -> pb.EmbedResponse:
        """Have texts turned into vectors; who cancels ends the work at the encoder, too.

        Raises:
            ContextLengthExceeded: a text is too long; `param` names it.
            Overloaded: too many texts wait.
            DeadlineExceeded: `timeout_s` passed.
            EncoderUnavailable: the encoder cannot be reached.
            EncoderFailed: it broke on these texts.
        """
        return await self._ask(self._embed, message, pb.EmbedResponse.FromString, timeout_s)

    async def search(self, message: pb.SearchRequest, *, timeout_s: float) -> pb.SearchResponse:
        """Have collections searched; who cancels ends the work at the encoder, too.

        Raises:
            UnknownCollection: there is none of that name.
            StorageUnavailable: the collections cannot be read.
            MoegateError: as `embed`.
        """
        return await self._ask(self._search, message, pb.SearchResponse.FromString, timeout_s)

    async def collections(self, message: pb.CollectionsRequest, *, timeout_s: float) -> pb.CollectionsResponse:
        """Have collections listed.

        Raises:
            StorageUnavailable: they cannot be read.
            MoegateError: as `embed`.
        """
        return await self._ask(self._collections, message, pb.CollectionsResponse.FromString, timeout_s)

    async def close(self) -> None:
        """Close the connections; calls still open are cancelled."""
        self._pool.close()

    async def _ask(self, head: bytes, message: Message, parse: Callable[[bytes], Answer], timeout_s: float) -> Answer:
        timeout = milliseconds(timeout_s)
        head = head + header(b"grpc-timeout", timeout + b"m") + header(b"x-request-timeout-ms", timeout)
        try:
            answer = await ask(self._pool, head, message.SerializeToString(), parse, timeout_s=timeout_s)
        except CallError as error:
            raise translate(error) from None
        if answer is None:
            raise EncoderUnavailable("the encoder cannot be reached; retry later")
        return answer


_OTHERS: Final[dict[StatusCode, tuple[type[MoegateError], str]]] = {
    StatusCode.INVALID_ARGUMENT: (InvalidRequest, "the encoder refused the request"),
    StatusCode.RESOURCE_EXHAUSTED: (Overloaded, "too many texts wait for the encoder; retry later"),
    StatusCode.DEADLINE_EXCEEDED: (DeadlineExceeded, "the request's deadline passed"),
    **dict.fromkeys(_FAILURES, (EncoderFailed, "the encoder failed on this request")),
}


def translate(error: CallError) -> MoegateError:
    """Translate a status into one of our errors. Its details are read, never passed on."""
    if found := _TOO_LONG.search(error.details):
        number, tokens, most = found.groups()
        words = f"the encoder reads at most {most} tokens of a text, and this one has {tokens}"
        return ContextLengthExceeded(words, param=f"input[{number}]")
    if error.details.startswith("no_collection"):
        return UnknownCollection("there is no such collection", param="retrieval.collections")
    if error.details.startswith("store_failed"):
        return StorageUnavailable("the collections cannot be read now; retry later")
    kind, message = _OTHERS.get(error.status, (EncoderUnavailable, "the encoder cannot be reached; retry later"))
    return kind(message)
