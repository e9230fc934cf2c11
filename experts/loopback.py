"""Keep the servers that Ray's workers open to this machine; `experts.app` has every worker of its cluster run this.

Ray itself listens on 127.0.0.1 once a node's address is that (`experts.ray_switches`). Three kinds of server have no
such switch in Ray 2.60: the gRPC servers of Serve's replicas and proxies, which bind `[::]`, and HAProxy's pages of
metrics and statistics, whose addresses stand in Ray's template. A cluster of several machines needs them open, so
only one machine's own cluster comes here.
"""

from __future__ import annotations

import re

HOOK = "experts.loopback.keep_to_loopback"
LOOPBACK = "127.0.0.1"
_WIDE = re.compile(r"^(\[::\]|0\.0\.0\.0|\*|)(?=:\d+$)")
_WIDE_BIND = re.compile(r"^(\s*bind )\*?(?=:)", re.MULTILINE)


def keep_to_loopback() -> None:
    """Make whatever this process serves from now on listen on the loopback address alone.

    Ray runs it in each worker before anything else (`worker_process_setup_hook` of a runtime environment,
    https://docs.ray.io/en/latest/ray-core/handling-dependencies.html).
    """
    from grpc.aio._server import Server  # noqa: PLC0415  # what every server of grpc.aio is; `aio.Server` is abstract
    from ray.serve._private import haproxy  # noqa: PLC0415

    open_port = Server.add_insecure_port

    def add_insecure_port(server: Server, address: str) -> int:
        return open_port(server, narrow_address(address))

    Server.add_insecure_port = add_insecure_port
    haproxy.HAPROXY_CONFIG_TEMPLATE = narrow_template(haproxy.HAPROXY_CONFIG_TEMPLATE)


def narrow_address(address: str) -> str:
    """Put the loopback address where `host:port` says every interface; leave any other as it is."""
    return _WIDE.sub(LOOPBACK, address)


def narrow_template(template: str) -> str:
    """Put the loopback address into the lines of an HAProxy configuration that bind a port on every interface."""
    return _WIDE_BIND.sub(rf"\g<1>{LOOPBACK}", template)
