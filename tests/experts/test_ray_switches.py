"""Every path and port of a run is its own."""

import socket
from dataclasses import astuple
from pathlib import Path

import pytest

from experts.ray_switches import choose_ports, private_folder, ray_switches


def test_paths_fit_and_are_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    with private_folder() as folder:
        switches = ray_switches(folder, choose_ports())
        paths = [value for value in switches.values() if value.startswith("/")]
        assert len(paths) == 5
        assert all(value.startswith(str(folder)) for value in paths)
        # HAProxy puts a node id of 56 characters into each path and allows 97 in all.
        assert all(len(switches[f"RAY_SERVE_HAPROXY_{name}_PATH"]) + 57 <= 97 for name in ("SOCKET", "METRICS_SOCKET"))
    assert not folder.exists()


def test_no_port_is_used_twice() -> None:
    ports = astuple(choose_ports())
    assert len(set(ports)) == len(ports)
    assert abs(ports[-1] - ports[-2]) >= 64


def test_no_port_is_left_to_rays_own_default(tmp_path: Path) -> None:
    """Else two runs share it: each answers calls that are meant for the other."""
    constants = pytest.importorskip("ray.serve._private.constants")
    fixed = {
        name for name, value in vars(constants).items() if name.startswith("RAY_") and name.endswith("_PORT") and value
    }
    assert len(fixed) >= 8
    assert fixed <= ray_switches(tmp_path, choose_ports()).keys()


def test_a_wanted_port_is_kept_or_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} is taken"):
            choose_ports(port)
    assert choose_ports(port).grpc == port
