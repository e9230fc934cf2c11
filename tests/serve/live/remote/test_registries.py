"""The registry in a bucket reaches the folders that experts load from, and stays there while the bucket is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from experts.flywheel.object_registry import ObjectRegistry
from experts.flywheel.registry import Registry
from serve.live.remote.mirrors import bring
from serve.live.remote.registries import EXPERTS, ROUTER, RegistryMirror, open_registry
from serve.settings.flywheel import FlywheelSettings
from serve.settings.tree import Settings
from tests.experts.flywheel.test_registry import adapter

pytest.importorskip("moto", reason="needs moto")
from tests.fakes.s3 import BUCKET, Bucket, s3_bucket  # only where moto is


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # neither it nor botocore waits for a store that is away
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with s3_bucket(monkeypatch, tmp_path) as made:
        yield made


def at(folder: Path) -> FlywheelSettings:
    return FlywheelSettings(folder=folder, registry=f"s3://{BUCKET}/registry/")


async def test_what_is_promoted_elsewhere_comes_here(
    bucket: Bucket, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = at(tmp_path / "here"), at(tmp_path / "there")
    settings, mirrors = bring(settings.model_copy(update={"flywheel": here}))
    [mirror] = mirrors
    assert isinstance(mirror, RegistryMirror)
    for name, kind in (("coder", EXPERTS), ("router", ROUTER)):
        registry = open_registry(there, name, kind)
        assert isinstance(registry, ObjectRegistry)
        registry.promote(registry.add(adapter(tmp_path / name, name), {}), by="jo", why="")
    await mirror.look()
    for name, kind in (("coder", EXPERTS), ("router", ROUTER)):
        assert (here.place / kind / name / "current" / "weights.bin").read_text() == name
    bucket.go_away()
    with caplog.at_level("WARNING", "moegate.remote"):
        await mirror.look()
        await mirror.look()
    ours = [record.message for record in caplog.records if record.name == "moegate.remote"]
    assert ours == ["the last good copy stays"]
    assert bucket.endpoint not in caplog.text
    assert (here.place / EXPERTS / "coder" / "current" / "weights.bin").read_text() == "coder"
    bucket.come_back()
    registry = open_registry(there, "coder")
    registry.roll_back(by="jo", why="")
    await mirror.look()
    assert not (here.place / EXPERTS / "coder" / "current").is_symlink()


def test_without_a_store_it_is_the_folder(tmp_path: Path, settings: Settings) -> None:
    assert isinstance(open_registry(FlywheelSettings(folder=tmp_path), "coder"), Registry)
    assert bring(settings)[1] == ()


def test_a_gateway_starts_while_the_store_is_away(bucket: Bucket, settings: Settings, tmp_path: Path) -> None:
    bucket.go_away()
    mirror = RegistryMirror(at(tmp_path / "here"), [])
    mirror.begin()
    assert not list((tmp_path / "here").rglob("current"))
