"""How an output is claimed and written: what is ours is known by its content, everything else stays."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experts.commands import outputs
from experts.commands.outputs import NotOurs, claim, claim_folder, json_with, nothing, signed_picture, text_with, write


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_new_file_makes_its_folders_and_has_a_new_files_mode(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b.txt"
    claim(file, nothing)
    write(file, "x")
    (tmp_path / "plain").write_text("x")
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert [path.name for path in file.parent.iterdir()] == ["b.txt"]


def test_an_empty_file_and_a_device_are_nobodys(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    claim(tmp_path / "empty", nothing)
    claim(Path("/dev/null"), nothing)
    write(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()


def test_a_link_stays_a_link_and_what_it_leads_to_is_judged(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(NotOurs):
        claim(tmp_path / "link", json_with("ours"))
    (tmp_path / "real").write_text('{"ours": 1}')
    claim(tmp_path / "link", json_with("ours"))
    write(tmp_path / "link", '{"ours": 2}')
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == '{"ours": 2}'


def test_what_is_replaced_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out.json").write_text('{"ours": 1}')
    claim(tmp_path / "out.json", json_with("ours"))
    assert capsys.readouterr().err == f"replacing {tmp_path / 'out.json'}\n"


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").write_text("before")

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path / "out", "after")
    assert snapshot(tmp_path) == {str(tmp_path / "out"): b"before"}


def test_a_file_on_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotOurs, match=r"file: is a file; name a folder"):
        claim_folder(tmp_path / "file" / "below" / "it")


@pytest.mark.parametrize(
    "is_ours",
    [
        json_with("a"),
        outputs.json_lines_with("a"),
        text_with("# Ours"),
        outputs.arrays_with("a"),
        signed_picture,
        nothing,
    ],
)
@given(content=st.binary(min_size=1, max_size=300))
@settings(max_examples=60, deadline=None)
def test_noise_is_never_ours(
    is_ours: Callable[[Path], bool], content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("noise") / "file"
    file.write_bytes(content)
    with pytest.raises(NotOurs):
        claim(file, is_ours)
    assert file.read_bytes() == content
