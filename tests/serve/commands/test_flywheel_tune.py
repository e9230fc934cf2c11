"""`moegate flywheel tune` starts the recipe of the expert on its latest curated set, in a process of its own."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

import pytest

from experts.flywheel.curation import Wants, curate
from experts.flywheel.frozen import FrozenSet, freeze
from experts.flywheel.near_duplicates import Unseen
from experts.flywheel.registry import Registry
from experts.flywheel.tune import TOKENS
from serve import cli
from tests.experts.flywheel.made import kept


@pytest.fixture(autouse=True)
def place(tmp_path: Path, catalog_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOEGATE_FLYWHEEL__FOLDER", str(tmp_path / "flywheel"))
    monkeypatch.setenv("MOEGATE_EXPERTS__CATALOG", str(catalog_file))
    return tmp_path / "flywheel"


def curated(place: Path, expert: str) -> FrozenSet:
    found = curate((kept(n, expert=expert) for n in range(20)), expert, Unseen(()), Wants(1, 1, 2))
    return freeze(found, place / "curated", expert)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return shlex.split(capsys.readouterr().err.splitlines()[-1])


def test_the_command_that_it_starts(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = curated(place, "coder")
    assert cli.main(["flywheel", "tune", "coder", "--dry-run", "--options=--limit 9"]) == 0
    command = said(capsys)
    assert command[1:4] == ["-m", "experts.finetune", "coder"]
    assert command[command.index("--rows") + 1] == str(made.folder / "train.jsonl")
    assert command[-2:] == ["--limit", "9"]
    assert command[command.index("--tokens") + 1] == str(TOKENS)
    assert "--from" not in command, "the catalogue's entry has no adapter"
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "weights").write_text("w")
    registry = Registry(place / "registry", "coder")
    registry.promote(registry.add(tmp_path / "adapter", {}), by="jo", why="")
    cli.main(["flywheel", "tune", "coder", "--dry-run"])
    assert (command := said(capsys))[command.index("--from") + 1] == str(registry.link.resolve())
    cli.main(["flywheel", "tune", "coder", "--dry-run", "--from-base"])
    assert "--from" not in said(capsys)


def test_an_expert_that_learns_from_pairs_gets_pairs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = curated(place, "advisor")
    assert cli.main(["flywheel", "tune", "advisor", "--dry-run"]) == 0
    assert str(made.folder / "pairs.jsonl") in said(capsys)


def test_what_is_computed_may_be_bounded_otherwise(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curated(place, "coder")
    cli.main(["flywheel", "tune", "coder", "--dry-run", "--tokens", "900"])
    assert "--tokens 900" in " ".join(said(capsys))
    cli.main(["flywheel", "tune", "coder", "--dry-run", "--tokens", "all"])
    assert "--tokens" not in said(capsys)
    with pytest.raises(SystemExit):
        cli.main(["flywheel", "tune", "coder", "--tokens", "0"])
    assert "neither a number of tokens above 0 nor `all`" in capsys.readouterr().err


def test_its_end_is_the_commands_end(place: Path, tmp_path: Path) -> None:
    curated(place, "coder")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\nexit 7\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    assert cli.main(["flywheel", "tune", "coder", "--python", str(python)]) == 7
    assert (tmp_path / "said").read_text().startswith("-m experts.finetune coder --rows")


def test_mistakes_are_told(place: Path, catalog_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["flywheel", "tune", "coder"]) == 1
    assert "nothing is curated yet: moegate flywheel curate coder" in capsys.readouterr().err
    curated(place, "translator")
    assert cli.main(["flywheel", "tune", "translator"]) == 1
    assert "there is no recipe" in capsys.readouterr().err
