"""The gateway: two front doors (HTTP and gRPC) and one core that admits, routes, dispatches and streams."""

from importlib.metadata import version

__version__ = version("moegate")
