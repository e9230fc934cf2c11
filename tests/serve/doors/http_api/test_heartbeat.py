"""Comments that keep a waiting stream alive: over a whole gateway, and the beat alone."""

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx2
import openai
import orjson
import pytest

from serve.app import App
from serve.doors.http_api.asgi import Reply
from serve.doors.http_api.heartbeat import Heartbeat
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until
from tests.serve.raw_http import chat, connected, post, receive, send

BODY = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}


class Sent:
    """What an ASGI application sends; each message takes a turn of the loop."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def __call__(self, message: Any) -> None:
        await asyncio.sleep(0)
        self.messages.append(message)

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages if message["type"] == "http.response.body"]


async def test_it_beats_until_it_is_stopped_and_never_after() -> None:
    sent = Sent()
    async with Heartbeat(Reply(sent), 0.005) as heartbeat:
        await until(lambda: len(sent.bodies) >= 3)
        await heartbeat.stop()
        count = len(sent.messages)
        await asyncio.sleep(0.02)
        assert len(sent.messages) == count
    assert [message["type"] for message in sent.messages].count("http.response.start") == 1
    assert set(sent.bodies) == {b": waiting\n\n"}
    assert sent.messages[0]["status"] == 200


async def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    sent = Sent()
    reply = Reply(sent)
    await reply.begin(200, ())
    async with Heartbeat(reply, 0.005):
        await until(lambda: len(sent.bodies) >= 1)
    assert [message["type"] for message in sent.messages].count("http.response.start") == 1


@pytest.mark.parametrize("interval_s", [None, 60.0])
async def test_without_an_interval_or_before_it_has_passed_nothing_is_sent(interval_s: float | None) -> None:
    sent, before = Sent(), asyncio.all_tasks()
    async with Heartbeat(Reply(sent), interval_s) as heartbeat:
        await asyncio.sleep(0.01)
        await heartbeat.stop()
    assert sent.messages == []
    assert asyncio.all_tasks() == before


async def test_an_error_inside_ends_it_too() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(OSError, match="inside"):
        async with Heartbeat(Reply(Sent()), 60.0):
            raise OSError("inside")
    assert asyncio.all_tasks() == before


def data_lines(lines: Iterable[str]) -> list[str]:
    return [line.removeprefix("data: ") for line in lines if line]


class TestHeartbeat:
    @pytest.mark.parametrize("overrides", [{"http": {"heartbeat_s": 0.1}}])
    async def test_comments_until_the_first_token(self, app: App, experts: FakeExperts) -> None:
        experts["coder"].first_s = 0.8
        async with connected(app) as (reader, writer):
            await send(writer, [post(chat(stream=True))])
            answer = await receive(reader)
        comments, _, rest = answer.body.rpartition(b": waiting\n\n")
        assert (comments + b": waiting\n\n").count(b": waiting\n\n") >= 2
        assert set((comments).split(b": waiting\n\n")) == {b""}
        assert rest.endswith(b"data: [DONE]\n\n")
        assert answer.headers["content-type"].startswith("text/event-stream")

    @pytest.mark.parametrize("overrides", [{"http": {"heartbeat_s": 0.1}}])
    async def test_the_sdk_reads_over_them(self, app: App, experts: FakeExperts) -> None:
        experts["coder"].first_s = 0.5
        async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key="x", max_retries=0) as sdk:
            stream = await sdk.chat.completions.create(
                model="coder", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == "Hello there!"

    @pytest.mark.parametrize("overrides", [{"http": {"heartbeat_s": 30}}])
    async def test_a_fast_answer_has_its_headers_and_no_comment(self, http: httpx2.AsyncClient) -> None:
        response = await http.post(CHAT, json={**BODY, "stream": True})
        assert response.headers["x-moegate-expert"] == "coder"
        assert ": waiting" not in response.text

    @pytest.mark.parametrize("overrides", [{"http": {"heartbeat_s": 0.1}}])
    async def test_a_failure_after_one_is_the_last_event(self, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
        experts["coder"].first_s = 5
        headers = {"x-request-timeout-ms": "600"}
        response = await http.post(CHAT, json={**BODY, "stream": True}, headers=headers)
        assert response.status_code == 200
        *_, last = data_lines(response.text.split("\n\n"))
        assert orjson.loads(last)["error"]["code"] == "deadline_exceeded"
        whole = await http.post(CHAT, json=BODY, headers=headers)  # one that is not streamed keeps its status
        assert (whole.status_code, whole.headers["x-should-retry"]) == (408, "false")

    async def test_without_it_a_failure_has_its_status(self, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
        experts["coder"].first_s = 5
        body: dict[str, Any] = {**BODY, "stream": True}
        response = await http.post(CHAT, json=body, headers={"x-request-timeout-ms": "300"})
        assert response.status_code == 408

    @pytest.mark.parametrize("overrides", [{"http": {"heartbeat_s": 0.05}}])
    async def test_who_leaves_between_two_is_noticed(self, app: App, experts: FakeExperts) -> None:
        experts["coder"].first_s = 10
        async with connected(app) as (reader, writer):
            await send(writer, [post(chat(stream=True))])
            await reader.readuntil(b": waiting")
            writer.transport.abort()
        async with asyncio.timeout(10):
            while experts["coder"].live:  # noqa: ASYNC110  # there is nothing to be told by
                await asyncio.sleep(0.02)
        assert experts["coder"].cancelled == 1
