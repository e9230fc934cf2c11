"""Where accounts are kept: what survives a restart, what does not and is said, and which files are left alone."""

import logging
from pathlib import Path

import httpx2
import pytest

from serve.app import App
from serve.settings.tree import Settings, SettingsError
from tests.helpers import CHAT
from tests.serve.test_access import BODY, KEY, OTHER, bearer, entry, keyed

ACCESS = {"keys": [entry(KEY, "alpha", usd=0.00002), entry(OTHER, "beta", usd=1)]}


async def served(settings: Settings, key: str = KEY, *, siblings_folder: Path | None = None) -> int:
    app = App(settings, siblings_folder=siblings_folder)
    await app.start()
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as http:
        status = (await http.post(CHAT, json=BODY, headers=bearer(key))).status_code
    await app.stop()
    return status


@pytest.mark.parametrize("overrides", [{"access": ACCESS}])
@pytest.mark.parametrize("is_worker", [False, True])
async def test_a_budget_survives_a_restart_where_a_file_is_set(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture, is_worker: bool
) -> None:
    access = settings.access.model_copy(update={"accounts": tmp_path / "accounts"})
    kept = settings.model_copy(update={"access": access})
    folders = [tmp_path / str(i) if is_worker else None for i in range(4)]  # a new one each time, as workers have it
    for folder in filter(None, folders):
        folder.mkdir()
    assert [await served(kept, siblings_folder=folder) for folder in folders[:3]] == [200, 200, 429]
    assert await served(kept, OTHER, siblings_folder=folders[3]) == 200
    assert "forgotten" not in caplog.text


@pytest.mark.parametrize("overrides", [{"access": ACCESS}])
async def test_without_one_it_is_forgotten_and_that_is_said(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert [await served(settings) for _ in range(3)] == [200, 200, 200]
    [warned, *_] = [record for record in caplog.records if "forgotten" in record.message]
    assert warned.levelno == logging.WARNING
    assert "access.accounts" in warned.message


@keyed(entry(KEY, "alpha", rpm=5))
async def test_nothing_is_said_where_there_is_no_budget(app: App, caplog: pytest.LogCaptureFixture) -> None:
    assert "forgotten" not in caplog.text


@pytest.mark.parametrize("content", ["precious", "keys: []"])
def test_a_file_that_is_no_accounts_is_refused_and_left(settings: Settings, tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(content)
    access = settings.access.model_copy(update={"accounts": path})
    with pytest.raises(SettingsError, match=r"access\.accounts: .*mine\.txt"):
        App(settings.model_copy(update={"access": access}))
    assert path.read_text() == content
