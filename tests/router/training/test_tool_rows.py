import json
from pathlib import Path

import pytest

from router.features.featurize import query_from_openai
from router.model.gate import TOOL_CALLER
from router.training.dataset import Row
from router.training.tool_rows import (
    EXCHANGED,
    FOLDS,
    MISFITS,
    SWAPPED,
    fits,
    fold_of_requests,
    read_misfits,
    tool_rows,
    tool_weights,
)


def test_exchanged_tools_make_misfits(rows: list[Row]) -> None:
    found = tool_rows(rows, [], seed=0)
    made = [row for row in found if row.source == EXCHANGED]
    assert len(made) == sum(not row.query.has_tools for row in rows)
    assert all(row.query.tool_names == ("get_weather",) and row.query.has_tools for row in made)
    assert fits(found).sum() == 12
    assert tool_weights(found).mean() == pytest.approx(1.0)
    assert tool_rows(rows, [], seed=0) == found


def called(text: str, tool: str) -> Row:
    query = query_from_openai([{"role": "user", "content": text}], [{"name": tool, "description": tool}])
    return Row("tools", query, (TOOL_CALLER,))


def test_requests_swap_their_tools_for_others_and_stay_in_one_fold() -> None:
    offered = [called(f"request {at}", f"tool_{at % 7}") for at in range(40)]
    found = tool_rows(offered, [], seed=0)
    swapped = [row for row in found if row.source == SWAPPED]
    own = {row.query.turns: row.query.tool_names for row in offered}
    assert len(swapped) > 20 and not fits(swapped).any()
    assert all(row.query.tool_names != own[row.query.turns] for row in swapped)
    fold = dict(zip([row.query.turns for row in offered], fold_of_requests(found, 0)[:40], strict=True))
    assert all(fold[row.query.turns] == at for row, at in zip(found, fold_of_requests(found, 0), strict=True))
    assert len(set(fold.values())) == FOLDS


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
