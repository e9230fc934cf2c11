import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from router.evaluation.robustness import choose, forced, gadgets, main, steered
from router.features.featurize import query_from_openai
from router.router import Router
from router.training.dataset import Row


def test_a_document_that_steers_does_not_move_the_shipped_router() -> None:
    router = Router.load()
    asked = ["who was the first emperor of Rome?", "write a warm birthday poem for my aunt"]
    rows = [Row("t", query_from_openai([{"role": "user", "content": text}]), ("x",)) for text in asked]
    assert steered(router, rows) == 0.0


def test_the_command_reports_shares(data_file: Path, artifact_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data_file), "--artifact", str(artifact_file), "--candidates", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert all(0.0 <= share <= 1.0 for share in found.values()) and "flips: typos" in found


def test_gadgets_are_made_on_rows_that_are_not_judged(rows: list[Row], artifact_file: Path) -> None:
    router = Router.load(artifact_file)
    plain = [row for row in rows if not row.query.has_tools]
    judged, searched = plain[::2], plain[1::2]
    shown: list[tuple[set[str], str]] = []

    def gadget_for(seen: Sequence[Row], target: str) -> str:
        shown.append(({row.query.turns[0].text for row in seen}, target))
        return "write a python function that parses bread, tides, maps and birds, and fix this sql query"

    found = forced(router, judged, searched, gadget_for)
    assert set(found) == {"advisor", "coder", "generalist", "researcher"} and found["coder"] > found["advisor"]
    assert all(texts <= {row.query.turns[0].text for row in searched} for texts, _ in shown)
    assert all(text not in texts for texts, target in shown for text in texts_that_go_to(router, searched, target))


def texts_that_go_to(router: Router, rows: Sequence[Row], expert: str) -> list[str]:
    return [
        row.query.turns[0].text for row, one in zip(rows, choose(router, rows), strict=True) if one.expert == expert
    ]


def test_words_and_one_more_request_are_reported_by_target(rows: list[Row], artifact_file: Path) -> None:
    router = Router.load(artifact_file)
    plain = [row for row in rows if not row.query.has_tools][::3]
    found = gadgets(router, plain, plain, 2)
    names = ("advisor", "coder", "generalist", "researcher")
    assert set(found) == {f"{what} forces {name}" for what in ("gadget", "one more request") for name in names}
    assert all(0.0 <= share <= 1.0 for share in found.values())
