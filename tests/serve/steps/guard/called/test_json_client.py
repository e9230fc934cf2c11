"""JSON over HTTP: connections are kept, and what goes wrong is one typed error without the text."""

import asyncio
import logging

import pytest

from serve.steps.guard.called.forms import CallFailed
from serve.steps.guard.called.json_client import JsonClient
from tests.helpers import until
from tests.serve.steps.guard.called.judge_server import judge_server


async def test_a_connection_is_kept_and_made_anew_where_the_other_side_closed_it() -> None:
    async with judge_server(lambda asked: {"said": asked["text"]}) as judge:
        client = JsonClient(f"{judge.url}/path?x=1", (("authorization", "Bearer k"),))
        for text in ("a", "ü" * 50_000, "c"):
            assert await client.post({"text": text}) == {"said": text}
        assert judge.connections == 1
        head = judge.heads[0].lower()
        assert head.startswith("post /path?x=1 http/1.1\r\nhost: 127.0.0.1:")
        assert "authorization: bearer k\r\n" in head
        assert "accept-encoding: identity\r\n" in head
        judge.closes = True
        for text in ("d", "e", "f"):
            assert await client.post({"text": text}) == {"said": text}
        await client.close()


async def test_one_that_is_closed_as_it_is_used_is_tried_once_more() -> None:
    async with judge_server(lambda asked: {"said": asked["text"]}) as judge:
        judge.drops = 1
        client = JsonClient(judge.url)
        assert await client.post({"text": "a"}) == {"said": "a"}
        judge.drops = 2
        with pytest.raises(CallFailed, match="ServerDisconnectedError"):
            await client.post({"text": "b"})
        await client.close()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "not JSON"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{", "ClientPayloadError"),
        (b"HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}", "status 503"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 2_000_000, "over"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * 2_000_000, "over"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2_000_000, "ClientResponseError"),
        (b"no http at all\r\n\r\n", "ClientResponseError"),
        (b"", "ServerDisconnectedError"),
    ],
)
async def test_whatever_goes_wrong_is_one_error(raw: bytes, said: str) -> None:
    async with judge_server(lambda asked: {}, raw=raw) as judge:
        client = JsonClient(judge.url)
        with pytest.raises(CallFailed, match=said) as caught:
            await client.post({"text": "secret words"})
        await client.close()
    assert "secret words" not in str(caught.value)


async def test_nobody_is_there() -> None:
    async with judge_server(lambda asked: {}) as judge:
        url = judge.url
    client = JsonClient(url)
    with pytest.raises(CallFailed, match="ClientConnectorError"):
        await client.post({})
    await client.close()


@pytest.mark.parametrize("url", ["http://[::", "http://one:port/"])
def test_an_address_that_cannot_be_read(url: str) -> None:
    with pytest.raises(ValueError, match=r"port|IPv6"):
        JsonClient(url)


async def test_a_cancelled_call_closes_its_connection() -> None:
    async with judge_server(lambda asked: {}, wait_s=30) as judge:
        client = JsonClient(judge.url)
        call = asyncio.create_task(client.post({}))
        await until(lambda: judge.asked)
        assert judge.open == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: not judge.open)
        await client.close()


async def test_a_call_goes_on_to_its_end_and_then_nothing_is_open() -> None:
    async with judge_server(lambda asked: {"said": 1}, wait_s=0.2) as judge:
        client = JsonClient(judge.url)
        call = asyncio.create_task(client.post({}))
        await until(lambda: judge.asked)
        await client.close()
        assert await call == {"said": 1}
        await until(lambda: not judge.open)
        assert await client.post({}) == {"said": 1}  # of a request that began with the rules before a change
        await until(lambda: not judge.open)


async def test_nothing_of_a_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with judge_server(lambda asked: {}) as judge:
        client = JsonClient(f"{judge.url}/?token=secret", (("authorization", "Bearer secret"),))
        await client.post({"text": "secret"})
        await client.close()
    assert not caplog.records
