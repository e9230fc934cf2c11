"""The gateway: two front doors (HTTP and gRPC), one core that admits, routes, dispatches, streams and meters."""

from importlib.metadata import version

__version__ = version("moegate")
