"""The `moegate` command, short of starting anything."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import yaml

from serve import __version__
from serve.access.keys import load_keys, make_ring
from serve.cli import main
from serve.commands import up
from serve.settings.access import AccessSettings


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_route_says_where_a_text_would_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "Who wrote War and Peace?", "--json"]) == 0
    answer = orjson.loads(capsys.readouterr().out)
    assert answer["expert"] in {"researcher", "coder", "advisor", "generalist"}
    assert answer["reason"] in {"classified", "abstained"}
    assert {expert["expert"] for expert in answer["experts"]} >= {"researcher", "tool-caller"}
    assert answer["microseconds"] > 0


def test_route_prints_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "Who wrote War and Peace?"]) == 0
    assert "researcher" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["gateway", "--config", "/nowhere/gateway.yaml"], "does not exist"),
        (["gateway", "--port", "99999"], "http.port"),
        (["route", "x", "--config", "/nowhere/gateway.yaml"], "does not exist"),
        (["up", "--config", "/nowhere/gateway.yaml"], "does not exist"),
        (["route", "x", "--config", "/"], "directory"),
        (["up", "--catalog", "/nowhere/experts.yaml"], "/nowhere/experts.yaml"),
        (["gateway", "--catalog", "/nowhere/experts.yaml"], "/nowhere/experts.yaml"),
        (["gateway", "--target", "foo"], "experts.target: 'foo' is not HOST:PORT"),
        (["gateway", "--target", "localhost"], "experts.target: 'localhost' is not HOST:PORT"),
        (["gateway", "--workers", "0"], "--workers"),
        (["up", "--workers", "0"], "--workers"),
        (["gateway", "--workers", "-3"], "--workers"),
        (["gateway", "--workers", "1000000"], "--workers"),
        (["up", "--port", "-1"], "--port"),
        (["up", "--grpc-port", "70000"], "--grpc-port"),
        (["up", "--port", "1234", "--grpc-port", "1234"], "http.port and grpc.port are both 1234"),
        (["gateway", "--host", "no such host"], "give --host another"),
        (["up", "--host", "203.0.113.7"], "no API key"),
        (["plan", "/nowhere/plan.yaml"], "/nowhere/plan.yaml"),
        (["plan", "/"], "directory"),
        (["key", "add", "two words"], "a key's name"),
        (["key", "add", "alice", "--rpm", "0"], "--rpm: Input should be greater than or equal to 1"),
        (["key", "revoke", "alice"], "say in which file"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_an_unusable_catalogue_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("experts: {catalog: /nowhere/experts.yaml}")
    assert main(["route", "x", "--config", str(config)]) == 1
    assert "/nowhere/experts.yaml" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("command", ["up", "gateway"])
@pytest.mark.parametrize("flag", ["--port", "--grpc-port"])
def test_a_port_in_use_is_noticed_before_anything_starts(
    command: str, flag: str, taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(up, "_Experts", None)  # whoever started the experts first would fail over this
    other = "--grpc-port" if flag == "--port" else "--port"
    assert main([command, flag, str(taken), other, "0"]) == 1
    said = capsys.readouterr().err
    assert f"port {taken} of 127.0.0.1 is in use" in said
    assert f"give {flag} another" in said
    assert said.count("\n") == 1


def test_a_taken_port_of_the_file_is_named_too(tmp_path: Path, taken: int, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gateway.yaml").write_text(f"http: {{port: {taken}}}\ngrpc: {{port: 0}}\n")
    assert main(["gateway", "--config", str(tmp_path / "gateway.yaml")]) == 1
    assert f"http: port {taken}" in capsys.readouterr().err


def test_keys_as_the_readme_makes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, config = tmp_path / "keys.yaml", tmp_path / "gateway.yaml"
    config.write_text("access: {keys_file: keys.yaml}\nhttp: {host: 0.0.0.0}\n")
    assert main(["key", "add", "alice", "--file", str(file), "--rpm", "60"]) == 0
    assert main(["key", "add", "bob", "--config", str(config), "--usd", "5", "--usd-per", "month"]) == 0
    said = capsys.readouterr()
    [alice, _] = [line.split(": ")[1] for line in said.err.splitlines() if "not shown again" in line]
    assert alice.startswith("mg-")
    assert alice not in file.read_text()
    assert main(["config", "check", str(config)]) == 0
    assert main(["key", "list", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("alice", "bob", "60", "5 a month"))
    assert main(["key", "revoke", "alice", "--config", str(config)]) == 0
    assert "alice" not in file.read_text()


def test_an_entry_can_be_written_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "add", "alice", "--tpm", "9"]) == 0
    [entry] = yaml.safe_load(capsys.readouterr().out)
    assert (entry["name"], entry["tpm"], len(entry["sha256"])) == ("alice", 9, 64)


def test_a_key_names_the_collections_that_it_may_search(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    assert main(["key", "add", "alice", "--file", str(file), "--collection", "pets", "--collection", "plants"]) == 0
    [caller] = make_ring(AccessSettings(keys_file=file), load_keys(AccessSettings(keys_file=file)), hold_s=1).callers
    assert caller.may_search("plants")
    assert not caller.may_search("cars")


def test_a_key_names_the_sets_of_tools_that_it_may_name(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    assert main(["key", "add", "alice", "--file", str(file), "--toolset", "crm"]) == 0
    assert main(["key", "add", "bob", "--file", str(file), "--toolset", "*"]) == 0
    keys = load_keys(AccessSettings(keys_file=file))
    alice, bob = make_ring(AccessSettings(keys_file=file), keys, hold_s=1).callers
    assert (alice.may_offer("crm"), alice.may_offer("erp"), bob.may_offer("erp")) == (True, False, True)


@pytest.mark.parametrize(
    "text", ["keys: [", "- a", "42", "keys: 3", "keys: [{name: a}]", "key: []", "\0", "- {name: a, sha256: short}"]
)
def test_a_file_of_keys_that_cannot_be_used_is_named(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    (tmp_path / "gateway.yaml").write_text("access: {keys_file: keys.yaml}\nhttp: {port: 0}\ngrpc: {port: 0}\n")
    assert main(["gateway", "--config", str(tmp_path / "gateway.yaml")]) == 1
    said = capsys.readouterr().err
    assert all(str(file) in line and "access.keys_file" in line for line in said.splitlines()), said


@pytest.mark.parametrize("name", ["auto", "moegate"])
def test_no_expert_has_a_name_that_means_the_router(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = (Path(__file__).parents[2] / "deploy" / "experts.yaml").read_text()
    (tmp_path / "experts.yaml").write_text(shipped.replace("name: coder", f"name: {name}"))
    (tmp_path / "gateway.yaml").write_text("experts: {catalog: experts.yaml}")
    assert main(["route", "x", "--config", str(tmp_path / "gateway.yaml")]) == 1
    assert f"expert '{name}': name: no expert can be named '{name}'" in capsys.readouterr().err


def test_the_command_needs_nothing_that_training_needs() -> None:
    unwanted = ("jsonschema", "experts.training", "ray")
    code = f"import sys, serve.cli; sys.exit(any(one in sys.modules for one in {unwanted}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
