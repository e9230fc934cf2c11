"""Listening sockets, alone and shared, on both families of addresses."""

import socket

import pytest

from serve.workers.sockets import address, listen, reserve


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize(
    ("host", "port", "written"),
    [("127.0.0.1", 1, "127.0.0.1:1"), ("::1", 80, "[::1]:80"), ("::", 0, "[::]:0"), ("localhost", 8, "localhost:8")],
)
def test_how_an_address_is_written(host: str, port: int, written: str) -> None:
    assert address(host, port) == written


@needs_ipv6
@pytest.mark.parametrize("host", ["::", "::1", "127.0.0.1"])
def test_a_reserved_port_is_shared(host: str) -> None:
    with reserve(host, 0) as held:
        port = held.getsockname()[1]
        with listen(host, port, is_shared=True), listen(host, port, is_shared=True):
            pass
        with pytest.raises(OSError, match=r"."):
            listen(host, port, is_shared=False)


def test_a_port_that_listens_alone_is_nobody_elses() -> None:
    with listen("127.0.0.1", 0, is_shared=False) as held:
        port = held.getsockname()[1]
        for is_shared in (True, False):
            with pytest.raises(OSError, match="in use"):
                listen("127.0.0.1", port, is_shared=is_shared)
        with pytest.raises(OSError, match="in use"):
            reserve("127.0.0.1", port)


def test_a_port_in_use_is_not_reserved_even_where_it_is_shared() -> None:
    """Sharing would succeed, and connections would go to the stranger."""
    with listen("127.0.0.1", 0, is_shared=True) as strangers, pytest.raises(OSError, match="in use"):
        reserve("127.0.0.1", strangers.getsockname()[1])


def test_no_connection_goes_to_who_only_reserves() -> None:
    with reserve("127.0.0.1", 0) as held:
        where = held.getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where, timeout=60)
        with listen(*where, is_shared=True) as server, socket.create_connection(where, timeout=60):
            server.accept()[0].close()


@needs_ipv6
def test_every_address_takes_both_families() -> None:
    with listen("::", 0, is_shared=False) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=60).close()


@needs_ipv6
def test_loopback_alone_takes_its_own_family() -> None:
    with listen("::1", 0, is_shared=False) as server, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.getsockname()[1]), timeout=60)
