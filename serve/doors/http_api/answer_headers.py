"""What an answer's headers tell: who answered, why, at what cost."""

from typing import Final

from serve.doors.http_api.asgi import Header
from serve.doors.routing_facts import routing_facts
from serve.steps.answer import Answer

_COST: Final = b"x-moegate-cost-usd"


def routing_headers(answer: Answer) -> list[Header]:
    """Tell who answers and why, and what steps have noted."""
    return [(name.encode(), value.encode()) for name, value in routing_facts(answer)]


def cost_header(usd: float) -> Header:
    """Tell what an answer cost, in USD."""
    return _COST, f"{usd:.12f}".encode()
