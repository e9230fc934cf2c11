"""`moegate up` without Ray: the experts' process is a script that says what `experts.app` would say."""

import asyncio
import gc
import io
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import orjson
import pytest
from rich.console import Console

from experts.catalog.secret import VARIABLE
from serve.commands.up import ExpertsFailed, UpOptions, up
from serve.settings.encoder import EncoderSettings
from serve.settings.tree import Settings
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until

ECHO = UpOptions(engine="echo")
SCRIPT = """#!{python}
import os, pathlib, signal, sys, time
folder = pathlib.Path({folder!r})
if "experts.compile" in sys.argv:
    sys.exit({prepared})
(folder / "argv").write_text(" ".join(sys.argv[1:]))
(folder / "secret").write_text(os.environ[{variable!r}])
signal.signal(signal.SIGTERM, lambda *_: ((folder / "ended").touch(), sys.exit(0)))
print({said!r}, flush=True)
(folder / "said").touch()
while not (folder / "die").exists() and {stays}:
    time.sleep(0.02)
"""


class Playing:
    """The experts' process, played; and what the command says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "experts"
        self.folder.mkdir()
        self.left = folder / "tmp"
        self.left.mkdir()
        self.written = io.StringIO()
        self.console = Console(file=self.written, width=200)
        self._script = folder / "python"
        monkeypatch.setattr(tempfile, "tempdir", str(self.left))
        self._python = sys.executable
        monkeypatch.setattr(sys, "executable", str(self._script))

    def says(self, *events: dict[str, object], stays: bool = True, prepared: int = 0) -> None:
        said = "\n".join(orjson.dumps(event).decode() for event in events)
        values = {"python": self._python, "folder": str(self.folder), "variable": VARIABLE}
        self._script.write_text(SCRIPT.format(**values, said=said, stays=stays, prepared=prepared))
        self._script.chmod(0o755)

    @property
    def output(self) -> str:
        return self.written.getvalue()

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()


@pytest.fixture
def playing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Playing]:
    threshold = gc.get_threshold()
    yield Playing(tmp_path, monkeypatch)
    gc.unfreeze()
    gc.set_threshold(*threshold)


def ready(target: str) -> tuple[dict[str, object], ...]:
    return (
        {"event": "ray", "port": 4321},
        {"event": "expert", "expert": "coder", "state": "starting"},
        {"event": "expert", "expert": "coder", "state": "ready", "seconds": 1.25},
        {"event": "ready", "target": target},
    )


def is_log_kept(failed: ExpertsFailed) -> bool:
    return Path(str(failed).rpartition(" ")[2]).is_file()


async def test_all_of_it_and_a_clean_end(playing: Playing, settings: Settings, experts: FakeExperts) -> None:
    playing.says(*ready(experts.target))
    running = asyncio.create_task(up(settings, ECHO, playing.console))
    await until(lambda: "moegate ready" in playing.output or running.done())
    assert "Ray is up, its ingress 127.0.0.1:4321" in playing.output
    assert "expert coder is ready (1.2 s)" in playing.output
    address = re.search(r"moegate ready: HTTP (http://\S+), gRPC \S+", playing.output)
    assert address is not None
    async with httpx2.AsyncClient(base_url=address[1]) as http:
        body = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
    secret = (playing.folder / "secret").read_text()
    assert experts["coder"].metadata[0]["x-moegate-secret"] == secret
    assert len(secret) >= 32
    argv = (playing.folder / "argv").read_text()
    assert argv == f"-m experts.app --catalog {settings.experts.catalog} --engine echo"
    assert secret not in argv + playing.output, "other users can read a command line"
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert playing.has("ended")
    assert playing.output.rstrip().endswith("stopping")
    assert list(playing.left.iterdir()) == [], "of a run that ended well nothing is kept"


async def test_experts_that_end_by_themselves_end_it_and_leave_their_log(
    playing: Playing, settings: Settings, experts: FakeExperts
) -> None:
    playing.says(*ready(experts.target))
    running = asyncio.create_task(up(settings, ECHO, playing.console))
    await until(lambda: "moegate ready" in playing.output or running.done())
    (playing.folder / "die").touch()
    with pytest.raises(ExpertsFailed, match="the experts' process ended; its log is ") as failed:
        await running
    assert is_log_kept(failed.value)


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        (({"event": "failed", "message": "no port is free"},), "no port is free; the log is "),
        ((*ready("")[:2], {"event": "failed", "message": "coder: too large"}), "coder: too large; the log is "),
        (ready("")[:3], "ended while starting; its log is "),
    ],
)
async def test_experts_that_do_not_start_are_said(
    playing: Playing, settings: Settings, events: tuple[dict[str, object], ...], complaint: str
) -> None:
    playing.says(*events, stays=False)
    with pytest.raises(ExpertsFailed) as failed:
        await up(settings, ECHO, playing.console)
    assert complaint in str(failed.value)
    assert is_log_kept(failed.value)
    assert "moegate ready" not in playing.output


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_while_they_start_ends_it_without_a_complaint(
    playing: Playing, settings: Settings, signum: signal.Signals
) -> None:
    playing.says({"event": "ray", "port": 1})
    running = asyncio.create_task(up(settings, ECHO, playing.console))
    await until(lambda: playing.has("said") or running.done())
    os.kill(os.getpid(), signum)
    await running
    assert playing.has("ended")
    assert "moegate ready" not in playing.output
    assert list(playing.left.iterdir()) == []


async def test_experts_that_cannot_be_prepared_are_not_started(playing: Playing, settings: Settings) -> None:
    playing.says(prepared=1)
    with pytest.raises(ExpertsFailed, match="could not be prepared"):
        await up(settings, UpOptions(), playing.console)
    assert not playing.has("argv")
    assert list(playing.left.iterdir()) == []


BASE = EncoderSettings().base


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({}, ""),
        ({"retrieval": {"top_k": 3}}, ""),
        ({"encoder": {"enabled": True}}, f" --encoder {BASE}"),
        (
            {"encoder": {"enabled": True}, "retrieval": {"enabled": True, "store": "s3://b/c"}},
            f" --encoder {BASE} --collections s3://b/c",
        ),
    ],
)
async def test_an_encoder_is_started_only_where_one_is_asked_for(
    playing: Playing, settings: Settings, experts: FakeExperts, told: str
) -> None:
    playing.says(*ready(experts.target))
    running = asyncio.create_task(up(settings, ECHO, playing.console))
    await until(lambda: "moegate ready" in playing.output or running.done())
    argv = (playing.folder / "argv").read_text()
    assert argv == f"-m experts.app --catalog {settings.experts.catalog} --engine echo{told}"
    os.kill(os.getpid(), signal.SIGTERM)
    await running
