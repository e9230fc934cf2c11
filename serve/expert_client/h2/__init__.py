"""A gRPC client over HTTP/2 on asyncio alone, as small as a stream of messages from an expert allows.

`serve.expert_client.channel` uses it instead of `grpc.aio`, which passes each message from its own thread to the event
loop; that costs more than the message itself. `frames` is the wire format, `call` one stream, `connection` the
protocol, `pool` the connections to one address.
"""
