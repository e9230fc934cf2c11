"""Calls of Ray Serve's ingress that have one answer.

A call is over with its status, not with its message: before a status that is an error, Ray Serve sends an empty
message, which would read like an answer in which nothing is set.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from serve.expert_client.h2.pool import Pool

Answer = TypeVar("Answer", bound=Message)


async def ask(
    pool: Pool, head: bytes, message: bytes, parse: Callable[[bytes], Answer], *, timeout_s: float
) -> Answer | None:
    """Ask, and wait for the answer and its status; who cancels ends the work at the other side, too.

    Returns:
        The answer; None where nobody gave one: there is no connection, or the call ended without a message.

    Raises:
        CallError: the status is an error.
    """
    try:
        connection = await pool.take()
        call = connection.call(head, message, parse, timeout_s=timeout_s)
        try:
            answer = await call.read()
            if answer is not None:
                await call.read()
        except asyncio.CancelledError:
            call.cancel()
            raise
    except OSError:
        return None
    return answer


def milliseconds(seconds: float) -> bytes:
    """A time as gRPC writes it: at most eight digits."""
    return b"%d" % min(99_999_999, max(1, int(seconds * 1000)))
