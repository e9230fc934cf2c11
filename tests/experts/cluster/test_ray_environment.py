"""Every path and port of a run is its own."""

import importlib
import socket
from dataclasses import astuple
from pathlib import Path

import pytest

from experts.cluster.loopback import HOOK
from experts.cluster.ray_environment import choose_ports, private_folder, ray_switches


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


def test_the_switches_that_keep_ray_to_this_machine_are_rays(tmp_path: Path) -> None:
    """A name that Ray does not read would leave its servers open without a word."""
    constants = pytest.importorskip("ray._private.ray_constants")
    setup = pytest.importorskip("ray._private.authentication.authentication_token_setup")
    switches = ray_switches(tmp_path, choose_ports())
    assert switches[constants.ENABLE_RAY_CLUSTERS_ENV_VAR] == "0"
    assert switches[constants.WORKER_PROCESS_SETUP_HOOK_ENV_VAR] == HOOK
    assert switches[setup.AUTH_MODE_ENV_VAR] == "token"
    module, _, function = HOOK.rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))


def test_every_run_has_a_token_of_its_own(tmp_path: Path) -> None:
    tokens = {ray_switches(tmp_path, choose_ports())["RAY_AUTH_TOKEN"] for _ in range(3)}
    assert [len(token) for token in tokens] == [64] * 3


def test_a_wanted_port_is_kept_or_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} is taken"):
            choose_ports(port)
    assert choose_ports(port).grpc == port
