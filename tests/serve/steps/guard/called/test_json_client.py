"""JSON over HTTP: connections are kept, and what goes wrong is one typed error without the text."""

import asyncio

import pytest

from serve.steps.guard.called.json_client import CallFailed, JsonClient
from tests.serve.steps.guard.called.judge_server import judge_server


async def test_a_connection_is_kept_and_made_anew_where_the_other_side_closed_it() -> None:
    async with judge_server(lambda asked: {"said": asked["text"]}) as judge:
        client = JsonClient(f"{judge.url}/path?x=1", (("authorization", "Bearer k"),))
        for text in ("a", "ü" * 50_000, "c"):
            assert await client.post({"text": text}) == {"said": text}
        assert judge.connections == 1
        assert judge.heads[0].startswith("POST /path?x=1 HTTP/1.1\r\nhost: 127.0.0.1:")
        assert "authorization: Bearer k" in judge.heads[0]
        judge.closes = True
        for text in ("d", "e", "f"):
            assert await client.post({"text": text}) == {"said": text}
        client.close()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "not JSON"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{", "cut off"),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}", "status 503"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 2_000_000, "over"),
        (b"no http at all\r\n\r\n", "Error"),
        (b"", "closed"),
    ],
)
async def test_whatever_goes_wrong_is_one_error(raw: bytes, said: str) -> None:
    async with judge_server(lambda asked: {}, raw=raw) as judge:
        client = JsonClient(judge.url)
        with pytest.raises(CallFailed, match=said) as caught:
            await client.post({"text": "secret words"})
        client.close()
    assert "secret words" not in str(caught.value)


async def test_nobody_is_there() -> None:
    async with judge_server(lambda asked: {}) as judge:
        url = judge.url
    with pytest.raises(CallFailed):
        await JsonClient(url).post({})


async def test_a_cancelled_call_closes_its_connection() -> None:
    async with judge_server(lambda asked: {}, wait_s=30) as judge:
        client = JsonClient(judge.url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.post({})
        assert not client._idle
