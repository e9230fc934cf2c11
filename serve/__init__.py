"""The gateway: two front doors (HTTP and gRPC), one core that admits, routes, dispatches, streams and meters."""
