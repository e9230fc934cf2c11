"""A registry in an object store: of several who change it at once one wins, and a mirror never shows half a thing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experts.flywheel.changes import RegistryError
from experts.flywheel.object_registry import ObjectRegistry, Overtaken
from tests.experts.flywheel.test_registry import adapter

pytest.importorskip("moto", reason="needs moto")
from tests.fakes.s3 import BUCKET, Bucket, s3_bucket  # only where moto is

URL = f"s3://{BUCKET}/flywheel"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # neither it nor botocore waits for a store that is away
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with s3_bucket(monkeypatch, tmp_path) as made:
        yield made


def opened(tmp_path: Path, who: str) -> ObjectRegistry:
    return ObjectRegistry(URL, tmp_path / who, "coder")


def test_of_two_who_promote_at_once_one_wins(bucket: Bucket, tmp_path: Path) -> None:
    """Three rounds; in each, both have looked at the same state before either writes."""
    first = opened(tmp_path, "first")
    both = {who: opened(tmp_path, who) for who in ("ann", "jo")}
    names = [first.add(adapter(tmp_path / f"a{n}", f"{n}"), {}) for n in range(7)]
    first.promote(names[6], by="first", why="")
    for turn in range(3):
        meet, outcomes = threading.Barrier(2), list[str]()

        def promote(who: str, digest: str, meet: threading.Barrier = meet, outcomes: list[str] = outcomes) -> None:
            registry = both[who]
            create = type(registry)._create.__get__(registry)

            def together(*arguments: Any) -> None:
                meet.wait(60)
                create(*arguments)

            registry._create = together  # type: ignore[method-assign]
            try:
                registry.promote(digest, by=who, why="")
                outcomes.append(who)
            except Overtaken:
                outcomes.append("overtaken")

        threads = [
            threading.Thread(target=promote, args=(who, names[2 * turn + place]))
            for place, who in enumerate(("ann", "jo"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert sorted(outcomes).count("overtaken") == 1, outcomes
        history = first.history()
        [winner] = [one for one in outcomes if one != "overtaken"]
        assert len(history) == 2 + turn
        assert history[-1].by == winner
    assert len({change.digest for change in history}) == 4


def test_who_is_overtaken_has_changed_nothing_and_may_look_again(bucket: Bucket, tmp_path: Path) -> None:
    ann, jo = opened(tmp_path, "ann"), opened(tmp_path, "jo")
    one, two = (ann.add(adapter(tmp_path / text, text), {}) for text in ("one", "two"))
    create = ann._create

    def too_late(*arguments: Any) -> None:
        jo.promote(one, by="jo", why="")
        create(*arguments)

    ann._create = too_late  # type: ignore[method-assign]
    with pytest.raises(Overtaken, match="look again"):
        ann.promote(two, by="ann", why="")
    ann._create = create  # type: ignore[method-assign]
    assert ann.current == one
    ann.promote(two, by="ann", why="")
    assert [change.by for change in ann.history()] == ["jo", "ann"]


def test_a_write_that_a_driver_repeats_is_still_ours(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the first attempt is lost, the second one finds what the first has written."""
    registry = opened(tmp_path, "ann")
    digest = registry.add(adapter(tmp_path / "one", "one"), {})
    pipe = registry._files.pipe_file

    def twice(path: str, content: bytes, **options: Any) -> None:
        pipe(path, content, **options)
        pipe(path, content, **options)

    monkeypatch.setattr(registry._files, "pipe_file", twice)
    registry.promote(digest, by="ann", why="")
    assert len(registry.history()) == 1


def test_the_mirror_has_weights_before_it_says_that_they_serve(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, jo = opened(tmp_path, "ann"), opened(tmp_path, "jo")
    digest = ann.add(adapter(tmp_path / "one", "one"), {})
    ann.promote(digest, by="ann", why="")
    with monkeypatch.context() as patch:
        patch.setattr(jo._files, "get_file", lambda path, target: Path(target).write_text("half"))
        with pytest.raises(RegistryError, match="is something else"):
            jo.bring()
    assert (jo.mirror.history(), jo.link.is_symlink()) == ([], False)
    assert not list((tmp_path / "jo" / "coder" / "artifacts").glob("*"))
    assert jo.bring()
    assert not jo.bring(), "there is nothing new"
    assert (jo.link / "weights.bin").read_text() == "one"


def test_a_store_that_is_away_is_told_and_changes_nothing(bucket: Bucket, tmp_path: Path) -> None:
    ann = opened(tmp_path, "ann")
    digest = ann.add(adapter(tmp_path / "one", "one"), {})
    ann.promote(digest, by="ann", why="")
    bucket.go_away()
    for change in (lambda: ann.roll_back(by="ann", why=""), lambda: opened(tmp_path, "jo")):
        with pytest.raises(RegistryError) as caught:
            change()
        assert bucket.endpoint not in str(caught.value)
    assert (ann.link / "weights.bin").read_text() == "one"
    bucket.come_back()
    assert ann.roll_back(by="ann", why="").digest is None
