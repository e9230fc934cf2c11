"""The doors' ports before anything slow starts: each complaint names the address, the setting and the flag."""

import socket
from typing import Any

import pytest

from serve.settings.tree import Settings, load_settings
from serve.workers.ports import PortUnavailable, check
from serve.workers.sockets import listen


def doors(http: dict[str, Any], grpc: dict[str, Any]) -> Settings:
    return load_settings(overrides={"http": http, "grpc": grpc})


@pytest.fixture
def taken() -> Any:
    with listen("127.0.0.1", 0, is_shared=False) as held:
        yield held.getsockname()[1]


def test_free_ports_are_free_afterwards_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    for _ in range(2):
        check(doors({"port": port}, {"port": 0}))


def test_any_free_port_is_no_clash_with_itself() -> None:
    check(doors({"port": 0}, {"port": 0}))


def test_one_port_for_both_doors_is_refused_unasked(taken: int) -> None:
    with pytest.raises(PortUnavailable, match=f"both {taken}: give --port or --grpc-port"):
        check(doors({"port": taken}, {"port": taken}))


@pytest.mark.parametrize(("door", "flag"), [("http", "--port"), ("grpc", "--grpc-port")])
def test_a_port_in_use_names_its_door_and_its_flag(taken: int, door: str, flag: str) -> None:
    settings = load_settings(overrides={"http": {"port": 0}, "grpc": {"port": 0}, door: {"port": taken}})
    with pytest.raises(PortUnavailable, match=rf"^{door}: port {taken} of 127\.0\.0\.1 is in use .* give {flag} "):
        check(settings)


@pytest.mark.parametrize(
    ("host", "complaint"),
    [
        ("192.0.2.1", "no address of this machine: give --host"),  # RFC 5737: for examples alone
        ("no-such-host.invalid", "no host that can be found: give --host"),  # RFC 6761: never found
    ],
)
def test_a_host_that_is_not_here_is_told_apart(host: str, complaint: str) -> None:
    with pytest.raises(PortUnavailable, match=complaint) as caught:
        check(doors({"host": host, "port": 0}, {"port": 0}))
    assert host in str(caught.value)
    assert "http.host" in str(caught.value)


def test_a_clash_at_the_second_door_leaves_the_first_one_free(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(PortUnavailable):
        check(doors({"port": port}, {"port": taken}))
    listen("127.0.0.1", port, is_shared=False).close()
