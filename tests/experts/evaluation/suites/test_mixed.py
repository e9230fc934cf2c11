"""A mixture of rows, each judged by its own suite; and how it is drawn."""

import json
from pathlib import Path

import pytest

from experts.evaluation.suites.known import ONE_TASK, RIGHT, SUITES
from experts.evaluation.suites.make_mixture import main
from experts.evaluation.suites.rows import RowError, read_rows
from experts.evaluation.suites.suite import Reply

SUM = {"suite": "maths", "question": "1 + 1?", "answer": "2"}
GROUNDED = {
    "suite": "grounded_qa",
    "kind": "documents",
    "question": "When?",
    "answers": ["1889"],
    "passages": ["In 1889."],
}


def judge(row: dict[str, object], said: str) -> dict[str, float]:
    suite = SUITES["mixed"]()
    return dict(suite.judge(suite.read(row, 0), Reply(said)))


def test_every_suite_says_what_is_right() -> None:
    assert RIGHT.keys() == ONE_TASK.keys()


def test_each_row_is_judged_by_its_own_rule() -> None:
    assert judge(SUM, "2") == {"quality": 1.0, "maths": 1.0}
    assert judge(SUM, "In 1889 [1].") == {"quality": 0.0, "maths": 0.0}
    assert judge(GROUNDED | {"gold": 1}, "In 1889 [1].") == {"quality": 1.0, "documents": 1.0}


def test_not_knowing_is_right_where_nothing_is_to_be_known() -> None:
    assert judge(GROUNDED | {"gold": None}, "I do not know.")["quality"] == 1.0
    assert judge(GROUNDED | {"gold": 1}, "I do not know.")["quality"] == 0.0


@pytest.mark.parametrize("row", [{"question": "1 + 1?"}, SUM | {"suite": "mixed"}])
def test_a_row_names_its_suite(row: dict[str, object]) -> None:
    with pytest.raises(RowError, match="suite"):
        SUITES["mixed"]().read(row, 0)


def test_as_many_rows_are_drawn_of_each_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, row in (("sums", SUM), ("more", SUM), ("grounded", GROUNDED | {"gold": 1})):
        rows = ({key: value for key, value in row.items() if key not in {"suite", "kind"}} for _ in range(9))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    parts = [f"--part={kind}:{tmp_path / file}.jsonl" for kind, file in (("sum=maths", "sums"), ("sum=maths", "more"))]
    out = tmp_path / "mixed.jsonl"
    assert main([*parts, f"--part=qa=grounded_qa:{tmp_path}/grounded.jsonl", "--per-kind", "5", "--out", str(out)]) == 0
    rows = read_rows(out)
    assert sorted(row["kind"] for row in rows) == ["qa"] * 5 + ["sum"] * 5
    assert len({row["id"].partition("-")[0] for row in rows}) == 3
    assert all(SUITES["mixed"]().read(row, 0) for row in rows)
    assert main([f"--part=sum=code:{tmp_path}/sums.jsonl", "--out", str(tmp_path / "other.jsonl")]) == 1
    assert "error:" in capsys.readouterr().err
