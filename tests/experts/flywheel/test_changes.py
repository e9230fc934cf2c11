"""A registry keeps one contract wherever it is: in a folder, and in an object store (a real S3 server, and memory)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experts.flywheel.changes import Changes, RegistryError
from experts.flywheel.object_registry import ObjectRegistry
from experts.flywheel.registry import Registry, digest_of
from tests.experts.flywheel.test_registry import adapter

Open = Callable[[str], Changes]
"""Opens the same registry as somebody's: each has a machine of its own, if there are several."""


@pytest.fixture(params=["folder", "s3", "files"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    if request.param == "folder":
        yield lambda who: Registry(tmp_path / "registry", "coder")
    elif request.param == "files":  # fsspec's own: what a mounted share would be
        yield lambda who: ObjectRegistry(f"file://{tmp_path}/store", tmp_path / who, "coder")
    else:
        pytest.importorskip("moto", reason="needs moto")
        from tests.fakes.s3 import BUCKET, s3_bucket

        with s3_bucket(monkeypatch, tmp_path):
            yield lambda who: ObjectRegistry(f"s3://{BUCKET}/flywheel", tmp_path / who, "coder")


def text(registry: Changes) -> str:
    return (registry.link / "weights.bin").read_text()


def test_from_adoption_to_promotion_and_back(opened: Open, tmp_path: Path) -> None:
    jo = opened("jo")
    assert (jo.current, jo.trial, jo.history(), jo.candidates()) == (None, None, [], {})
    shipped, new = adapter(tmp_path / "shipped", "shipped"), adapter(tmp_path / "new", "new")
    assert jo.adopt(shipped, by="jo") is not None
    assert jo.adopt(new, by="jo") is None, "something serves already"
    digest = jo.add(new, {"curated": "d"})
    assert jo.add(new, {"curated": "d"}) == digest == digest_of(new)
    with pytest.raises(RegistryError, match="no candidate x"):
        jo.try_out("x", 0.1, is_shadow=True, by="jo", why="")
    jo.try_out(digest, 0.1, is_shadow=True, by="jo", why="")
    jo.try_out(digest, 0.05, is_shadow=False, by="jo", why="")
    ann = opened("ann")
    assert ann.trial == jo.trial
    assert ann.trial is not None and (ann.trial.event, ann.trial.share) == ("canary", 0.05)
    assert (text(ann), (ann.next_link / "weights.bin").read_text()) == ("shipped", "new")
    ann.end_trial(by="ann", why="worse")
    with pytest.raises(RegistryError, match="nobody is on trial"):
        opened("jo").end_trial(by="jo", why="")
    ann.promote(digest, by="ann", why="better")
    assert (text(ann), ann.current) == ("new", digest)
    with pytest.raises(RegistryError, match="serves already"):
        ann.promote(digest, by="ann", why="")
    assert (opened("jo").current, text(opened("jo"))) == (digest, "new")
    assert ann.roll_back(by="ann", why="bad").digest == digest_of(shipped)
    with pytest.raises(RegistryError, match="could be undone"):
        ann.roll_back(by="ann", why="")
    events = ["adopted", "shadow", "canary", "ended", "promoted", "rolled back"]
    assert [change.event for change in opened("jo").history()] == events
    assert opened("jo").candidates()[digest]["curated"] == "d"
    with pytest.raises(RegistryError, match="there are"):
        ann.promote("x", by="ann", why="")
    with pytest.raises(RegistryError, match="is no folder"):
        ann.add(tmp_path / "nothing", {})
