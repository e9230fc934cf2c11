"""The minimum that a Python gateway between HTTP and gRPC does, without routing, metrics, limits or errors.

`python -m loadtests.skeleton TARGET` serves `/v1/chat/completions` with raw ASGI on uvicorn and one `grpc.aio` call a
request, and prints its address. `loadtests.bench` compares moegate with it: the difference is what the features cost,
whatever else the machine is doing.
"""

import socket
import sys

import grpc.aio
import orjson
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from loadtests.upstream import frame, read_body, whole
from protos import expert_pb2 as pb
from protos.expert_pb2_grpc import ExpertStub


class Skeleton:
    """The ASGI application."""

    def __init__(self, target: str) -> None:
        self._stub = ExpertStub(grpc.aio.insecure_channel(target))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = orjson.loads(await read_body(receive))
        message = pb.GenerateRequest(prompt=body["messages"][0]["content"])
        call = self._stub.Generate(message, metadata=(("application", "any"),), timeout=300)
        if not body.get("stream"):
            texts = [chunk.text async for chunk in call]
            await whole(send, orjson.dumps({"choices": [{"message": {"content": "".join(texts)}}]}))
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for chunk in call:
            if chunk.text:
                await send({"type": "http.response.body", "body": frame({"content": chunk.text}), "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def _serve(target: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        Skeleton(target), loop="none", http="httptools", ws="none", lifespan="off", access_log=False, log_config=None
    )
    print(f"skeleton ready: HTTP http://127.0.0.1:{listener.getsockname()[1]},", flush=True)
    await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
