"""A turn on one machine is gone on with where it was stopped, and takes no folder that is not its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loadtests.company import reports
from loadtests.flywheel_turn import STAND, Stand, _place
from loadtests.tenants import Tenants


def test_what_is_done_is_known_to_the_next_call(tmp_path: Path) -> None:
    first, tenants = Stand(tmp_path), Tenants("http://127.0.0.1:1")
    first.note(3)
    first.put("before", 0.5)
    tenants.outcomes[200] += 2
    tenants.by["generalist"] += 2
    first.leave(tenants)
    second = Stand(tmp_path)
    assert second.asked == {3}
    assert second.has("before")
    assert not second.has("turn")
    second.leave(tenants)
    third = Stand(tmp_path)
    assert third.found["requests"] == {"by_status": {"200": 4}, "by_expert": {"generalist": 4}}
    assert len(third.minutes) == 2


def test_what_is_corrected_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def correct(self: Tenants, report: object) -> str:
        asked.append(report.words)  # type: ignore[attr-defined]
        return ""

    monkeypatch.setattr(Tenants, "correct", correct)
    made, noted = reports(2, 3, seed=1), list[int]()
    asyncio.run(Tenants("http://127.0.0.1:1").correct_all(made, 2, {0, 4}, noted.append))
    assert sorted(noted) == [1, 2, 3, 5]
    assert sorted(asked) == sorted(made[at].words for at in noted)


def test_a_folder_of_a_turn_is_taken_up_again(tmp_path: Path) -> None:
    with _place(tmp_path / "run") as folder:
        assert (folder / STAND).is_file()
        (folder / "gateway.yaml").write_text("made")
    with _place(tmp_path / "run") as again:
        assert again == folder
