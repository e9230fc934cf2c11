"""A gRPC client on hyper-h2, Python's usual HTTP/2 library, to compare `serve.expert_client.h2` with.

Only `loadtests.h2_clients` uses it; `pip install h2` installs the library. It is as plain as possible: one connection,
calls that stream messages in, flow control left to the library.
"""

import asyncio
from typing import Final, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, StreamEnded, StreamReset

METHOD: Final = "/echo.Echo/Stream"
_WINDOW: Final = 2**30


class _Call:
    """One stream: messages come in, until it ends."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.messages = 0
        self._data = b""

    def take(self, data: bytes) -> None:
        """Cut the bytes into messages."""
        self._data += data
        while len(self._data) >= 5 and len(self._data) >= (end := 5 + int.from_bytes(self._data[1:5], "big")):
            self._data = self._data[end:]
            self.messages += 1


class _Protocol(asyncio.Protocol):
    """The connection."""

    def __init__(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.calls: dict[int, _Call] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast(asyncio.Transport, transport)
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(_WINDOW)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Take in what has come."""
        for event in self.h2.receive_data(data):
            self._on(event)
        self.flush()

    def _on(self, event: Event) -> None:
        match event:
            case DataReceived():
                self.calls[event.stream_id].take(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded() | StreamReset():
                self.calls.pop(event.stream_id).ended.set_result(None)

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def flush(self) -> None:
        """Send what the library has to say."""
        if data := self.h2.data_to_send():
            self._transport.write(data)


class HyperH2:
    """Implements `loadtests.h2_clients.Client`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connecting: asyncio.Task[_Protocol] | None = None
        self._headers = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", METHOD.encode()),
            (b":authority", f"127.0.0.1:{port}".encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"application", b"echo"),
            (b"grpc-timeout", b"60000m"),
        ]

    async def call(self, request: bytes) -> int:
        """Make one call and read it to its end; return how many messages came."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
        protocol = await self._connecting
        stream = protocol.h2.get_next_available_stream_id()
        call = protocol.calls[stream] = _Call()
        protocol.h2.send_headers(stream, self._headers)
        protocol.h2.send_data(stream, b"\x00" + len(request).to_bytes(4, "big") + request, end_stream=True)
        protocol.flush()
        await call.ended
        return call.messages

    async def close(self) -> None:
        """Close the connection."""
        if self._connecting is not None:
            (await self._connecting).close()

    async def _connect(self) -> _Protocol:
        _, protocol = await asyncio.get_running_loop().create_connection(_Protocol, "127.0.0.1", self._port)
        return protocol
