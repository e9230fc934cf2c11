"""gRPC's client side over HTTP/2, as little of it as a stream of messages from an expert needs, on asyncio alone.

`serve.expert_client.channel` uses it in place of `grpc.aio`, which hands each message from a thread of its own to the
event loop: more work than the message itself. `frames` is the wire, `call` one stream, `connection` the protocol,
`pool` the connections to one address.
"""
