"""The environment that Ray reads once, at its import: every path, port and token private to one run and this machine.

`experts.app` puts these into `os.environ` before it imports Ray. Names are those of `ray/serve/_private/constants.py`
and `ray/_private/ray_constants.py` (Ray 2.60). Two runs on one machine share nothing, whatever Ray's defaults are.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from experts.cluster.loopback import HOOK

_LONGEST_BASE = 12  # a socket path has 107 bytes, HAProxy takes 97; Ray appends 80 to its folder, HAProxy 59
_PORTS_PER_RANGE = 64  # replicas of one run and their successors
_LOWEST, _HIGHEST = 20000, 32000  # below the range that the kernel hands out for outgoing connections


@dataclass(frozen=True, slots=True)
class Ports:
    """One run's ports on 127.0.0.1."""

    grpc: int
    http: int
    haproxy_metrics: int
    haproxy_stats: int
    fallback_http: int  # of the proxy that holds calls to an application without replicas
    fallback_grpc: int
    replicas_http: int  # first of a range
    replicas_grpc: int  # first of a range


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder whose path is short enough for unix sockets; remove it at the end."""
    base = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="moegate-", dir=base if len(base) <= _LONGEST_BASE else "/tmp"))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def choose_ports(grpc: int = 0) -> Ports:
    """Pick free ports; `grpc` is kept unless it is 0.

    Raises:
        OSError: `grpc` is taken, or too few ports are free.
    """
    if grpc and not _is_free(grpc):
        raise OSError(f"port {grpc} is taken by another process")
    ranges = _free_ranges(seed=os.getpid())
    # Below the system's own: a port of those could be somebody's connection by the time Ray listens, seconds later.
    free, http, metrics, stats, fallback_http, fallback_grpc = range(first := next(ranges), first + 6)
    return Ports(grpc or free, http, metrics, stats, fallback_http, fallback_grpc, next(ranges), next(ranges))


def ray_switches(folder: Path, ports: Ports) -> dict[str, str]:
    """Return the environment of one run."""
    return {
        # A node's address is 127.0.0.1 when Ray may not span machines, whatever the system; GCS, raylet, agents and
        # workers then listen there alone. Of `ray.init(_node_ip_address="127.0.0.1")` Ray makes the machine's address.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # What `ray.init(runtime_env={"worker_process_setup_hook": ...})` sets in each worker. Set here it holds for the
        # workers that Ray starts ahead of time as well, which Serve would otherwise not use.
        "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR": HOOK,
        # Other users of this machine reach 127.0.0.1, too: they need a token (RPCs of Ray itself, not of Serve).
        # https://docs.ray.io/en/latest/ray-security/token-auth.html; without one Ray keeps its own in the home folder.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_SERVE_ENABLE_HA_PROXY": "1",  # the Python proxy loses client cancels
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",  # safe because engines step in a process of their own
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "55",  # 5 by default: a busy machine starts no ingress in that time
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "a"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "m"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
        # Two runs with Ray's own ports would share them, and each answer calls that the other holds back.
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "AUTOSCALER_METRIC_PORT": "0",  # any free one, like the next
        "DASHBOARD_METRIC_PORT": "0",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "5",
        "RAY_SERVE_HAPROXY_H2_FE_MAX_CONCURRENT_STREAMS": "4096",  # 100 by default: one gateway's connection
        "RAY_SERVE_HAPROXY_H2_BE_MAX_CONCURRENT_STREAMS": "4096",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas_http),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas_http + _PORTS_PER_RANGE),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(ports.replicas_grpc),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports.replicas_grpc + _PORTS_PER_RANGE),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",  # 10 by default: a burst would be over
        "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
        "RAY_worker_niceness": "0",  # 15 by default: ingress and replicas would wait for the engines' steps
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }


def _free_ranges(seed: int) -> Iterator[int]:
    """Yield the first ports of ranges that are wholly free now, each run beginning elsewhere."""
    starts = range(_LOWEST, _HIGHEST, _PORTS_PER_RANGE)
    for offset in range(len(starts)):
        start = starts[(seed * 7 + offset) % len(starts)]
        if all(_is_free(port) for port in range(start, start + _PORTS_PER_RANGE)):
            yield start
    raise OSError("no free range of ports is left for the replicas")


def _is_free(port: int) -> bool:
    try:
        with _bound(port):
            return True
    except OSError:
        return False


@contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that are closing do not count
        sock.bind(("", port))
        yield sock
