"""The `moegate` command, short of starting anything."""

from pathlib import Path

import orjson
import pytest

from serve import __version__
from serve.cli import main


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
