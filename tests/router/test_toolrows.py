import json
from pathlib import Path

import pytest

from router.dataset import Row
from router.toolrows import EXCHANGED, MISFITS, fits, read_misfits, tool_rows, tool_weights


def test_exchanged_tools_make_misfits(rows: list[Row]) -> None:
    found = tool_rows(rows, [], seed=0)
    made = [row for row in found if row.source == EXCHANGED]
    assert len(made) == sum(not row.query.has_tools for row in rows)
    assert all(row.query.tool_names == ("get_weather",) and row.query.has_tools for row in made)
    assert fits(found).sum() == 12
    assert tool_weights(found).mean() == pytest.approx(1.0)
    assert tool_rows(rows, [], seed=0) == found


def test_only_irrelevant_rows_of_a_file_with_categories_are_misfits(tmp_path: Path) -> None:
    tools = [{"name": "f", "description": "d"}]
    raw = [
        {"category": category, "messages": [{"role": "user", "content": category}], "tools": tools}
        for category in ("simple", "irrelevance")
    ]
    path = tmp_path / "bfcl.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in raw))
    (row,) = read_misfits([path])
    assert row.source == MISFITS and row.query.turns[0].text == "irrelevance"
