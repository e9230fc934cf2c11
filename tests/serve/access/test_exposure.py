"""What a gateway without keys may listen on."""

from pathlib import Path
from typing import Any

import pytest

from serve.access.exposure import check_exposure, is_loopback
from serve.settings.tree import Settings, SettingsError, load_settings


def settings(**sections: Any) -> Settings:
    return load_settings(overrides=sections)


def test_open_to_a_network_only_when_told() -> None:
    for door in ("http", "grpc"):
        exposed = settings(**{door: {"host": "0.0.0.0"}})
        with pytest.raises(SettingsError, match="moegate key"):
            check_exposure(exposed, has_keys=False)
        check_exposure(exposed, has_keys=True)
        check_exposure(settings(**{door: {"host": "0.0.0.0"}}, access={"allow_open": True}), has_keys=False)
    check_exposure(settings(), has_keys=False)


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        *((host, True) for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", "")),
    ],
)
def test_loopback(host: str, is_ours: bool) -> None:
    assert is_loopback(host) is is_ours


@pytest.mark.parametrize("host", ["192.168.1.5", "203.0.113.7", "fe80::1", "gateway.example.org", "::"])
@pytest.mark.parametrize("door", ["http", "grpc"])
def test_the_complaint_names_door_and_host_and_what_to_do(door: str, host: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_exposure(settings(**{door: {"host": host}}), has_keys=False)
    assert f"{door}.host {host}" in str(refused.value)
    assert "access.allow_open: true" in str(refused.value)


def test_a_certificate_that_clients_must_show_is_a_key_and_one_of_our_own_is_none(tmp_path: Path) -> None:
    for name in ("a.pem", "a.key", "ca.pem"):
        (tmp_path / name).touch()
    ours = {"certificate": tmp_path / "a.pem", "key": tmp_path / "a.key"}
    open_doors = {"http": {"host": "0.0.0.0"}, "grpc": {"host": "0.0.0.0"}}
    check_exposure(settings(**open_doors, tls={**ours, "client_ca": tmp_path / "ca.pem"}), has_keys=False)
    with pytest.raises(SettingsError):
        check_exposure(settings(**open_doors, tls=ours), has_keys=False)


@pytest.mark.parametrize("host", ["127.0.0.2", "0:0:0:0:0:0:0:1", "LOCALHOST", "127.0.0.1.example.org"])
def test_other_ways_to_write_this_machine(host: str) -> None:
    """What is not certain to be this machine counts as the network."""
    assert is_loopback(host) is (host in {"127.0.0.2", "0:0:0:0:0:0:0:1"})
