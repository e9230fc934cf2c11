"""The end of a gateway's service: open requests may finish within the grace period, then a clear error ends the rest.

`serve.gateway` holds every request in a `watch`. `serve.app` calls `happen` when the grace period is over. Both doors
then render `ShuttingDown`: as a status before the first token, as the stream's last event after it.
"""

from serve.admission.interruption import Interruption
from serve.errors import ShuttingDown


class Drain(Interruption):
    """The requests in progress. Once the grace period is over they are interrupted, and no new one is accepted."""

    def __init__(self) -> None:
        super().__init__(_shutting_down)


def _shutting_down(has_begun: bool) -> ShuttingDown:
    if has_begun:
        return ShuttingDown("the gateway shut down before the answer was complete")
    return ShuttingDown("the gateway is shutting down")
