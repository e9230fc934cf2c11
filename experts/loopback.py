"""Keep the servers that Ray's workers open to this machine; `experts.app` has every worker of its cluster run this.

Ray itself listens on 127.0.0.1 once a node's address is that (`experts.ray_switches`). Three kinds of server have no
such switch in Ray 2.60: the gRPC servers of Serve's replicas and proxies, which bind `[::]`, and HAProxy's pages of
metrics and statistics, whose addresses stand in Ray's template. A cluster of several machines needs them open, so
only one machine's own cluster comes here.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

HOOK = "experts.loopback.keep_to_loopback"
LOOPBACK = "127.0.0.1"
_WIDE = re.compile(r"^(\[::\]|0\.0\.0\.0|\*|)(?=:\d+$)")
_WIDE_BIND = re.compile(r"^(\s*bind )\*?(?=:)", re.MULTILINE)


def keep_to_loopback() -> None:
    """Make whatever this process serves from now on listen on the loopback address alone.

    Ray runs it in each worker before anything else (`worker_process_setup_hook` of a runtime environment,
    https://docs.ray.io/en/latest/ray-core/handling-dependencies.html).
    """
    server: Any = import_module("grpc.aio._server").Server  # what every one of them is; `grpc.aio.Server` is abstract
    haproxy: Any = import_module("ray.serve._private.haproxy")
    open_port = server.add_insecure_port
    server.add_insecure_port = lambda self, address: open_port(self, narrow_address(address))
    haproxy.HAPROXY_CONFIG_TEMPLATE = narrow_template(haproxy.HAPROXY_CONFIG_TEMPLATE)


def narrow_address(address: str) -> str:
    """Put the loopback address where `host:port` says every interface; leave any other as it is."""
    return _WIDE.sub(LOOPBACK, address)


def narrow_template(template: str) -> str:
    """Put the loopback address into the lines of an HAProxy configuration that bind a port on every interface."""
    return _WIDE_BIND.sub(rf"\g<1>{LOOPBACK}", template)
