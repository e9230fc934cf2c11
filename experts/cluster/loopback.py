"""Keeps the servers of Ray's workers away from other machines. Every worker of `experts.app`'s cluster runs this.

Ray itself listens on 127.0.0.1 once that is a node's address (`experts.cluster.ray_environment`). Three kinds of server
have no such switch in Ray 2.60: the gRPC servers of Serve's replicas and proxies, which bind `[::]`; each replica's
server for calls between deployments, which also binds `[::]` and unpickles whatever it is sent; and HAProxy's pages of
metrics and statistics, whose addresses are in Ray's template. A cluster of several machines needs them open, so this is
only for the cluster of one machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

HOOK = "experts.cluster.loopback.keep_to_loopback"
FOLDER = "RAY_SERVE_HAPROXY_SERVER_STATE_BASE"  # the variable that names the run's folder, which only its user enters
LOOPBACK = "127.0.0.1"
_WIDE = re.compile(r"^(?:\[::\]|0\.0\.0\.0|\*|):(?P<port>\d+)$")
_WIDE_BIND = re.compile(r"^(\s*bind )\*?(?=:)", re.MULTILINE)


def keep_to_loopback() -> None:
    """Keep whatever this process serves from now on to the loopback address or the run's folder.

    Ray runs it in each worker before anything else (`worker_process_setup_hook` of a runtime environment,
    https://docs.ray.io/en/latest/ray-core/handling-dependencies.html).
    """
    server: Any = import_module("grpc.aio._server").Server  # what every one of them is; `grpc.aio.Server` is abstract
    haproxy: Any = import_module("ray.serve._private.haproxy")
    open_port, narrow = server.add_insecure_port, narrower(Path(os.environ[FOLDER]))
    server.add_insecure_port = lambda self, address: open_port(self, narrow(address))
    haproxy.HAPROXY_CONFIG_TEMPLATE = narrow_template(haproxy.HAPROXY_CONFIG_TEMPLATE)


def narrower(folder: Path) -> Callable[[str], str]:
    """Make the function that narrows addresses which say every interface, and leaves any other as it is.

    A port that others are told in advance moves to the loopback address. One that the kernel is to choose (0) is for
    calls between deployments, of which there are none: a socket in `folder` takes its place, out of others' reach.
    """
    numbers = count()

    def narrow(address: str) -> str:
        wide = _WIDE.match(address)
        if wide is None:
            return address
        return f"{LOOPBACK}:{wide['port']}" if int(wide["port"]) else f"unix:{folder}/{os.getpid()}-{next(numbers)}"

    return narrow


def narrow_template(template: str) -> str:
    """Put the loopback address into the lines of an HAProxy configuration that bind a port on every interface."""
    return _WIDE_BIND.sub(rf"\g<1>{LOOPBACK}", template)
