"""Promotions and rollbacks happen or they do not, also where the process is killed at any step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from experts.flywheel.registry import Registry, RegistryError, digest_of

ROOT = Path(__file__).parents[3]


def adapter(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bin").write_text(text)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry", "coder")


def test_promotions_and_their_undoing(registry: Registry, tmp_path: Path) -> None:
    assert (registry.current, registry.history()) == (None, [])
    one, two = (registry.add(adapter(tmp_path / text, text), {"curated": "d"}) for text in ("one", "two"))
    registry.promote(one, by="jo", why="better")
    assert registry.candidates()[two]["parent"] is None
    registry.promote(two, by="jo", why="better")
    assert (registry.link / "weights.bin").read_text() == "two"
    with pytest.raises(RegistryError, match="serves already"):
        registry.promote(two, by="jo", why="")
    assert registry.roll_back(by="jo", why="bad").digest == one
    assert (registry.link / "weights.bin").read_text() == "one"
    assert registry.roll_back(by="jo", why="bad").digest is None
    assert not registry.link.is_symlink()
    with pytest.raises(RegistryError, match="could be undone"):
        registry.roll_back(by="jo", why="")
    assert [change.event for change in registry.history()] == ["promoted", "promoted", "rolled back", "rolled back"]
    registry.promote(two, by="jo", why="again")
    assert registry.current == two


def test_what_is_no_candidate(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="there are none"):
        registry.promote("x", by="jo", why="")
    with pytest.raises(RegistryError, match="is no folder"):
        registry.add(tmp_path / "nothing", {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(RegistryError, match="is empty"):
        registry.add(tmp_path / "empty", {})


def test_a_candidate_stays_as_it_was_added(registry: Registry, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "one", "one")
    digest = registry.add(folder, {})
    adapter(folder, "changed")
    assert digest_of(folder) != digest
    registry.promote(digest, by="jo", why="")
    assert (registry.link / "weights.bin").read_text() == "one"


def test_a_line_that_was_cut_short_has_not_happened(registry: Registry, tmp_path: Path) -> None:
    digest = registry.add(adapter(tmp_path / "one", "one"), {})
    registry.promote(digest, by="jo", why="")
    history = tmp_path / "registry" / "coder" / "history.jsonl"
    with history.open("a") as file:
        file.write('{"event": "promoted", "dig')
    again = Registry(tmp_path / "registry", "coder")
    assert again.current == digest
    again.roll_back(by="jo", why="")
    assert [json.loads(line)["event"] for line in history.read_text().splitlines()] == ["promoted", "rolled back"]


KILLED = """
    import os, signal, sys
    from pathlib import Path
    left = int(sys.argv[1])
    def dying(real):
        def call(*arguments, **options):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)
        return call
    for name in ("write", "fsync", "replace", "rename", "symlink", "unlink", "open", "truncate", "mkdir"):
        setattr(os, name, dying(getattr(os, name)))
    from experts.flywheel.registry import Registry
    registry = Registry(Path(sys.argv[2]), "coder")
    if sys.argv[3] == "rollback":
        registry.roll_back(by="jo", why="")
    else:
        registry.promote(registry.add(Path(sys.argv[4]), {"n": 1}), by="jo", why="")
"""


@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_killed_at_every_step(tmp_path: Path, action: str) -> None:
    """Whatever is interrupted, the history and the link agree afterwards, and doing it again does it."""
    first, second = adapter(tmp_path / "one", "one"), adapter(tmp_path / "two", "two")
    states: list[str | None] = []
    for step in range(60):
        folder = tmp_path / f"registry-{step}"
        registry = Registry(folder, "coder")
        old = registry.add(first, {})
        registry.promote(old, by="jo", why="")
        new = None if action == "rollback" else digest_of(second)
        program = [sys.executable, "-c", textwrap.dedent(KILLED), str(step), str(folder), action, str(second)]
        ended = subprocess.run(program, check=False, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
        after = Registry(folder, "coder")
        states.append(after.current)
        assert after.current in (old, new)
        _agrees(after)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
        if after.current == old and action == "rollback":
            after.roll_back(by="jo", why="")
        elif after.current == old:
            after.promote(after.add(second, {}), by="jo", why="")
        assert after.current == new
        _agrees(after)
    assert ended.returncode == 0, "it never got through"
    assert states.count(old) >= 3
    assert states.index(new) > 0, "first nothing has happened, and from one step on everything has"
    assert set(states[states.index(new) :]) == {new}


def _agrees(registry: Registry) -> None:
    if registry.current is None:
        assert not registry.link.is_symlink()
    else:
        assert digest_of(registry.link) == registry.current


def test_a_trial_from_adoption_to_promotion(registry: Registry, tmp_path: Path) -> None:
    shipped, new = adapter(tmp_path / "shipped", "shipped"), adapter(tmp_path / "new", "new")
    assert registry.adopt(shipped, by="jo") is not None
    assert registry.adopt(new, by="jo") is None, "something serves already"
    assert (registry.link / "weights.bin").read_text() == (registry.next_link / "weights.bin").read_text() == "shipped"
    digest = registry.add(new, {})
    with pytest.raises(RegistryError, match="no candidate x"):
        registry.try_out("x", 0.1, is_shadow=True, by="jo", why="")
    registry.try_out(digest, 0.1, is_shadow=True, by="jo", why="")
    assert (registry.next_link / "weights.bin").read_text() == "new"
    assert (registry.link / "weights.bin").read_text() == "shipped"
    registry.try_out(digest, 0.05, is_shadow=False, by="jo", why="")
    assert registry.trial is not None and (registry.trial.event, registry.trial.share) == ("canary", 0.05)
    registry.end_trial(by="jo", why="worse")
    assert registry.trial is None
    with pytest.raises(RegistryError, match="nobody is on trial"):
        registry.end_trial(by="jo", why="")
    registry.promote(digest, by="jo", why="")
    with pytest.raises(RegistryError, match="serves already"):
        registry.try_out(digest, 0.05, is_shadow=False, by="jo", why="")
    assert registry.roll_back(by="jo", why="").digest == digest_of(shipped)
    with pytest.raises(RegistryError, match="could be undone"):
        registry.roll_back(by="jo", why="")
