"""What the commands that make rows share: a sample by seed, out of a folder, into a file that was not there."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from experts.evaluation.suites.rows import Row, read_rows
from experts.training.write_sample import run


def numbers(folder: Path, rng: random.Random) -> Iterator[Row]:
    for row in read_rows(folder / "numbers.jsonl"):
        yield {"id": row["id"], "draw": rng.random()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "numbers.jsonl").write_text("".join(f'{{"id": {number}}}\n' for number in range(20)))
    return tmp_path


def made(data: Path, name: str, *options: str, what: str = "rows") -> list[Row]:
    out = data / name
    arguments = ["--source", "numbers", "--data", str(data), "--out", str(out), *options]
    assert run("experts.training.make_numbers", {"numbers": numbers}, arguments, what=what, folder="below") == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_the_seed_decides_and_each_kind_of_rows_has_one_of_its_own(data: Path) -> None:
    first = made(data, "a.jsonl")
    assert [row["id"] for row in first] == list(range(20))
    assert made(data, "b.jsonl") == first
    assert [row["draw"] for row in made(data, "c.jsonl", "--seed", "1")] != [row["draw"] for row in first]
    assert [row["draw"] for row in made(data, "d.jsonl", what="forms")] != [row["draw"] for row in first]


def test_a_limit_leaves_a_sample_of_the_same_rows(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = {row["id"]: row for row in made(data, "a.jsonl")}
    some = made(data, "b.jsonl", "--limit", "5")
    assert len(some) == 5
    assert all(whole[row["id"]] == row for row in some)
    assert "5 of 20 rows" in capsys.readouterr().out


def test_nothing_is_replaced_and_a_missing_source_is_one_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "mine.jsonl"
    out.write_text("mine\n")
    arguments = ["--source", "numbers", "--data", str(data), "--out", str(out)]
    assert run("experts.training.make_numbers", {"numbers": numbers}, arguments, folder="below") == 1
    assert out.read_text() == "mine\n"
    arguments[-1] = str(data / "new.jsonl")
    assert run("experts.training.make_numbers", {"numbers": numbers}, arguments, folder="nowhere") == 1
    assert not (data / "new.jsonl").exists()
    assert "Traceback" not in capsys.readouterr().err
