"""The way to the experts, as dispatch needs it."""

from typing import Protocol

from protos import expert_pb2 as pb
from serve.expert_client.channel import ExpertCall


class Channels(Protocol):
    """Opens calls to experts; `serve.expert_client.channel.ExpertChannels` does over gRPC. `serve.app` closes it."""

    async def generate(
        self,
        expert: str,
        message: pb.GenerateRequest,
        *,
        timeout_s: float,
        accept_within_s: float,
        patience_s: float,
        traceparent: str | None = None,
    ) -> ExpertCall:
        """Open a call; it reads nothing yet.

        Raises:
            ExpertUnavailable: there is no connection.
        """
        ...

    async def describe(self, expert: str, *, timeout_s: float) -> pb.DescribeResponse:
        """Ask an expert how it is.

        Raises:
            MoegateError: it did not say.
        """
        ...
