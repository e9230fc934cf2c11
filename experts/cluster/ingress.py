"""Checks that Ray Serve's gRPC ingress reaches the experts, over new connections, as a gateway will make them.

`experts.app` asks before it reports that it is ready; nothing here knows Ray.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc

from experts.catalog.encoders import ENCODER_APPLICATION
from experts.catalog.secret import METADATA_KEY
from experts.engine import ServerUnavailable
from protos import encoder_pb2, encoder_pb2_grpc, expert_pb2, expert_pb2_grpc

_ONE_INGRESS_S = 10.0  # Serve ends an ingress that has been replaced within 5 s
_ROUNDS_IN_A_ROW = 5  # each of a new connection to every expert


@dataclass(frozen=True, slots=True)
class Ingress:
    """Where the experts are called, and with which secret, if any."""

    target: str
    secret: str | None = field(default=None, repr=False)

    def await_one(self, names: Sequence[str]) -> None:
        """Return once every connection reaches every expert.

        Each application that is added makes Serve start HAProxy anew, and for a while the one before, which does not
        know that application, takes connections at the same port.
        """
        deadline_s = time.monotonic() + _ONE_INGRESS_S
        in_a_row = 0
        while in_a_row < _ROUNDS_IN_A_ROW and time.monotonic() < deadline_s:
            in_a_row = in_a_row + 1 if all(self.answers_for(name) for name in names) else 0
            time.sleep(0.05)

    def answers_for(self, name: str) -> bool:
        """Say whether a new connection's calls for this application reach it, and not yet another or nobody."""
        own_pool = [("grpc.use_local_subchannel_pool", 1)]  # else the connection would be shared
        secret = ((METADATA_KEY, self.secret),) if self.secret else ()
        metadata = (("application", name), *secret)
        with grpc.insecure_channel(self.target, own_pool) as channel:
            try:
                if name == ENCODER_APPLICATION:
                    stub = encoder_pb2_grpc.EncoderStub(channel)
                    return bool(stub.Describe(encoder_pb2.DescribeRequest(), timeout=2, metadata=metadata).model)
                describe = expert_pb2_grpc.ExpertStub(channel).Describe
                described = describe(expert_pb2.DescribeRequest(), timeout=2, metadata=metadata)
            except grpc.RpcError as error:
                # A replica that says that its own server is away has been reached.
                details = getattr(error, "details", str)  # the stub's errors are calls, which their type does not say
                return str(details()).startswith(ServerUnavailable.slug)
        return described.expert == name
