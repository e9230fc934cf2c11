"""The mock upstream: an expert that says `tok ` at a set pace, over moegate's gRPC and over OpenAI's HTTP.

`python -m loadtests.upstream --tokens 50 --burst 5 --first-ms 20 --gap-ms 10` prints `grpc=ADDRESS http=ADDRESS` and
serves until it is ended. So every gateway under comparison gets the same answers at the same speed, each in the
protocol that it speaks.
"""

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc.aio
import orjson
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from protos.expert_pb2_grpc import ExpertServicer, add_ExpertServicer_to_server


@dataclass(frozen=True, slots=True)
class Pace:
    """How the answers come: `tokens` in all, `burst` at a time, seconds to the first and between bursts."""

    tokens: int
    burst: int
    first_s: float
    gap_s: float

    async def bursts(self) -> AsyncIterator[int]:
        """Yield how many tokens are ready, when they are."""
        loop = asyncio.get_running_loop()
        due_at = loop.time() + self.first_s
        for made in range(0, self.tokens, self.burst):
            if (left_s := due_at - loop.time()) > 0:
                await asyncio.sleep(left_s)
            yield min(self.burst, self.tokens - made)
            due_at += self.gap_s


class MockExpert(ExpertServicer):
    """`moegate.expert.v1.Expert`, whatever expert is asked for."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    async def Generate(
        self, request: pb.GenerateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.GenerateChunk]:
        """Stream the answer; the first message is empty, as an expert's is."""
        yield pb.GenerateChunk()
        prompt_tokens = 9
        async for count in self._pace.bursts():
            yield pb.GenerateChunk(text="tok " * count, token_count=count, prompt_tokens=prompt_tokens)
            prompt_tokens = 0
        usage = chat.Usage(prompt_tokens=9, completion_tokens=self._pace.tokens)
        load = pb.Load(running=1, max_batch_size=64)
        completion = pb.Completion(finish_reason=chat.FINISH_REASON_STOP, usage=usage, load=load)
        yield pb.GenerateChunk(completion=completion)

    async def Describe(
        self, request: pb.DescribeRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.DescribeResponse:
        """Say that all is well."""
        return pb.DescribeResponse(load=pb.Load(max_batch_size=64))


class MockOpenAI:
    """POST /v1/chat/completions, and the GETs a router asks before it lets a worker in; raw ASGI."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] == "GET":
            await whole(send, orjson.dumps({"object": "list", "data": [{"id": "mock", "object": "model"}]}))
            return
        body = orjson.loads(await read_body(receive))
        if body.get("stream"):
            await self._stream(send)
            return
        async for _ in self._pace.bursts():
            pass
        message = {"role": "assistant", "content": "tok " * self._pace.tokens}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        await whole(
            send, orjson.dumps(_HEAD | {"object": "chat.completion", "choices": [choice], "usage": _usage(self._pace)})
        )

    async def _stream(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        delta: dict[str, Any] = {"role": "assistant", "content": ""}
        await _write(send, frame(delta))
        async for count in self._pace.bursts():
            await _write(send, frame({"content": "tok "}) * count)  # one event a token, as vLLM and sglang send them
        await _write(send, frame({}, "stop") + b"data: [DONE]\n\n")
        await send({"type": "http.response.body", "body": b""})


_HEAD: dict[str, Any] = {"id": "chatcmpl-0123456789abcdef0123456789abcdef", "created": 1750000000, "model": "mock"}


def _usage(pace: Pace) -> dict[str, int]:
    return {"prompt_tokens": 9, "completion_tokens": pace.tokens, "total_tokens": 9 + pace.tokens}


def frame(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """One server-sent event of a chat stream."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return b"data: " + orjson.dumps(_HEAD | {"object": "chat.completion.chunk", "choices": [choice]}) + b"\n\n"


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


async def _write(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def whole(send: Send, data: bytes) -> None:
    """Send a whole answer of JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def _serve(pace: Pace, grpc_port: int) -> None:
    experts = grpc.aio.server()
    add_ExpertServicer_to_server(MockExpert(pace), experts)
    port = experts.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await experts.start()
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        MockOpenAI(pace), loop="none", http="httptools", ws="none", lifespan="off", access_log=False, log_config=None
    )
    print(f"grpc=127.0.0.1:{port} http=127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([listener])
    await experts.stop(0)


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--first-ms", type=float, default=0.0)
    parser.add_argument("--gap-ms", type=float, default=0.0, help="between bursts")
    parser.add_argument("--grpc-port", type=int, default=0, help="0 = any free one")
    arguments = parser.parse_args()
    pace = Pace(arguments.tokens, arguments.burst, arguments.first_ms / 1e3, arguments.gap_ms / 1e3)
    uvloop.run(_serve(pace, arguments.grpc_port))


if __name__ == "__main__":
    main()
