"""Reading what is kept, a crash in mid-write included, and forgetting."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serve import cli
from serve.interactions import segments
from serve.interactions.stores import FolderStore, segment_name


def row(client: str, response: str) -> dict[str, Any]:
    return {"client_id": client, "response": {"id": response}}


def member(*rows: dict[str, Any]) -> bytes:
    return gzip.compress(b"".join(json.dumps(one).encode() + b"\n" for one in rows))


def ids(folder: Path) -> list[str]:
    return [one["response"]["id"] for one in segments.rows(FolderStore(folder))]


def test_a_member_that_a_crash_has_cut_short_costs_itself_alone(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    cut = member(row("a", "lost"))[:-9]
    store.write("20260101T000000-h-1-00000000.jsonl.gz", member(row("a", "1")) + member(row("a", "2")) + cut)
    store.write("20260101T000001-h-2-00000000.jsonl.gz", b"garbage")
    store.write("20260101T000002-h-3-00000000.jsonl.gz", member(row("b", "3")))
    assert ids(tmp_path) == ["1", "2", "3"]


def test_forgetting_leaves_the_others(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("20260101T000000-h-1-00000000.jsonl.gz", member(row("a", "1"), row("b", "2")) + member(row("a", "3")))
    store.write("20260101T000001-h-1-00000000.jsonl.gz", member(row("a", "4")))
    (tmp_path / "20260101T000002.txt").write_text("not ours: a")
    gone = segments.forget(store, segments.of_client("a"))
    assert (gone.records, gone.segments) == (3, 2)
    assert ids(tmp_path) == ["2"]
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"not ours" in everything
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        ".lock",
        "20260101T000000-h-1-00000000.jsonl.gz",
        "20260101T000002.txt",
    ]
    assert segments.forget(store, segments.of_response("2")).records == 1
    assert segments.forget(store, segments.of_response("2")).records == 0


def _write(folder: str, client: str, count: int) -> None:
    store, name = FolderStore(Path(folder)), segment_name()
    for number in range(count):
        store.write(name, member(row(client, f"{client}-{number}")))


def test_gateways_write_side_by_side_while_somebody_is_forgotten(tmp_path: Path) -> None:
    """No record of others is lost, and none of the forgotten one's that was there comes back."""
    store = FolderStore(tmp_path)
    _write(str(tmp_path), "old", 20)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(str(tmp_path), client, 60)) for client in ("x", "y")]
    for writer in writers:
        writer.start()
    forgotten = 0
    while any(writer.is_alive() for writer in writers):
        forgotten += segments.forget(store, segments.of_client("old")).records
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert forgotten == 20
    assert sorted(ids(tmp_path)) == sorted(f"{client}-{n}" for client in ("x", "y") for n in range(60))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOEGATE_INTERACTIONS__TARGET", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    FolderStore(tmp_path).write(segment_name(), member(row("a", "1"), row("b", "2")))
    assert cli.main(["flywheel", "forget", "--response", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"records": 1, "segments": 1, "ratings": 0}
    assert cli.main(["flywheel", "forget", "--client", "b"]) == 0
    assert ids(tmp_path) == []
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MOEGATE_INTERACTIONS__TARGET", str(tmp_path / "file"))
    assert cli.main(["flywheel", "forget", "--client", "b"]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_gateway_that_keeps_nothing_does_not_import_it() -> None:
    program = "import sys, serve.app; print([name for name in sys.modules if name.startswith('serve.interactions')])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
