"""Changed files are taken up whole, or refused and the last good state kept."""

import logging
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from serve.live.watch import Source, Watch
from serve.settings.tree import SettingsError
from serve.telemetry.metrics import Metrics


class Parts:
    """Reads one file, and notes what it took up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.taken: list[str] = []
        self.waiting: tuple[str, ...] = ()

    def read(self) -> str:
        text = self.path.read_text()
        if text == "bad":
            raise SettingsError(f"{self.path}: it is bad")
        return text

    def take_up(self, text: str) -> tuple[str, ...]:
        self.taken.append(text)
        return self.waiting


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    path = tmp_path / "file"
    path.write_text("one")
    return Parts(path)


async def test_a_change_is_taken_up_once_and_a_bad_one_refused_once(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics(CollectorRegistry())

    def count(outcome: str) -> float | None:
        labels = {"configuration": "keys", "outcome": outcome}
        return metrics.registry.get_sample_value("moegate_configuration_reloads_total", labels)

    watch = Watch([Source("keys", (parts.path,), parts.read, parts.take_up)], metrics.configuration)
    first = metrics.configuration.version("keys")
    await watch.look()
    assert parts.taken == []
    parts.path.write_text("two, longer")
    await watch.look()
    await watch.look()
    assert (parts.taken, count("taken")) == (["two, longer"], 1)
    second = metrics.configuration.version("keys")
    assert second != first
    assert metrics.registry.get_sample_value("moegate_configuration_info", {"configuration": "keys", "version": second})
    assert not metrics.registry.get_sample_value(
        "moegate_configuration_info", {"configuration": "keys", "version": first}
    )
    parts.path.write_text("bad")
    await watch.look()
    await watch.look()
    assert (parts.taken, count("refused")) == (["two, longer"], 1)
    assert metrics.configuration.version("keys") == second
    assert any("the last good one stays" in line.message for line in caplog.records)


async def test_what_waits_for_a_restart_is_named(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    parts.waiting = ("http.port",)
    watch = Watch(
        [Source("settings", (parts.path,), parts.read, parts.take_up)], Metrics(CollectorRegistry()).configuration
    )
    parts.path.write_text("other")
    await watch.look()
    [line] = [line for line in caplog.records if hasattr(line, "needs_restart")]
    assert line.needs_restart == ["http.port"]


async def test_a_link_that_is_swapped_is_a_change(parts: Parts, tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_text("two")
    link.symlink_to(parts.path)
    parts.path = link
    watch = Watch([Source("keys", (link,), parts.read, parts.take_up)], Metrics(CollectorRegistry()).configuration)
    (tmp_path / "new").symlink_to(other)
    (tmp_path / "new").replace(link)
    await watch.look()
    assert parts.taken == ["two"]
