"""Silence is noticed; our own slowness is not taken for it."""

import asyncio
import time

from serve.expert_client.idle_timeout import IdleTimeout


async def test_silence_is_noticed() -> None:
    called: list[int] = []
    patience = IdleTimeout(0.05, lambda: called.append(1))
    patience.wait()
    await asyncio.sleep(0.4)
    assert (called, patience.is_over) == ([1], True)


async def test_time_between_waits_does_not_count() -> None:
    patience = IdleTimeout(0.05, lambda: None)
    patience.wait()
    patience.heard()
    await asyncio.sleep(0.4)
    assert not patience.is_over
    patience.stop()


async def test_a_loop_that_was_late_is_not_silence() -> None:
    server = await _echo()
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    patience = IdleTimeout(0.05, lambda: None)
    for _ in range(3):
        writer.write(b"x")
        await asyncio.sleep(0.02)
        patience.wait()
        time.sleep(0.3)  # noqa: ASYNC251  # the loop does nothing, and the answer lies unread
        await reader.readexactly(1)
        patience.heard()
    assert not patience.is_over
    patience.stop()
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def _echo() -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(10):
            writer.write(data)
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)
