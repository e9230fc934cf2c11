import gzip
from pathlib import Path

import numpy as np
import pytest

from router.errors import DatasetError
from router.features.featurize import query_from_openai
from router.training.dataset import READ_SHARE, Row, at_most, read_rows, read_seeds, taught, weights, without_duplicates

GOOD = '{"source":"s","messages":[{"role":"user","content":"hi"}],"label":"generalist"}\n'


def row(source: str, text: str, label: str = "coder") -> Row:
    return Row(source, query_from_openai([{"role": "user", "content": text}]), (label,))


def test_plain_and_gzipped_files_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD)
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(GOOD)
    assert [r.query for r in read_rows([tmp_path / "a.jsonl"])] == [
        r.query for r in read_rows([tmp_path / "a.jsonl.gz"])
    ]


@pytest.mark.parametrize(
    "bad", ["secret words", "[1]", '{"messages":[{"role":"user","content":"x"}]}', '{"label":"coder","messages":[]}']
)
def test_a_bad_line_is_named_without_its_text(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(GOOD + bad + "\n")
    with pytest.raises(DatasetError, match=r"bad\.jsonl:2") as caught:
        read_rows([path])
    assert "secret" not in str(caught.value)


def test_a_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_rows([tmp_path / "none.jsonl.gz"])


def test_seed_rows_take_their_files_name(tmp_path: Path) -> None:
    (tmp_path / "everyday.jsonl").write_text(
        '{"messages":[{"role":"user","content":"hi"}],"labels":["coder","advisor"]}\n'
    )
    (found,) = read_seeds(tmp_path)
    assert found.is_seed and found.source == "seed:everyday" and found.labels == ("coder", "advisor")
    assert read_seeds(tmp_path / "none") == []


def test_duplicates_differ_by_more_than_case_and_spaces() -> None:
    assert len(without_duplicates([row("a", "Hello  there"), row("b", "hello there"), row("b", "hello you")])) == 2


def test_large_sources_are_cut_the_same_way_every_time_and_seeds_never() -> None:
    rows = [row("big", f"q {at}") for at in range(50)] + [row("seed:x", f"s {at}") for at in range(50)]
    kept = at_most(rows, 10, seed=1)
    assert [one.source for one in kept].count("big") == 10
    assert [one.source for one in kept].count("seed:x") == 50
    assert kept == at_most(rows, 10, seed=1) != at_most(rows, 10, seed=2)


def test_classes_weigh_the_same_whatever_their_size() -> None:
    rows = [row("big", f"q {at}", "coder") for at in range(90)] + [
        row("small", f"s {at}", "advisor") for at in range(10)
    ]
    found = weights(rows)
    assert np.isclose(found[:90].sum(), found[90:].sum()) and np.isclose(found.mean(), 1.0)


def test_beside_seeds_no_source_is_learned_from() -> None:
    rows = [row("bench", "a"), row("seed:x", "b"), row("seed:read:y", "c")]
    assert taught(rows) == rows[1:]
    assert taught(rows[:1]) == rows[:1]


def test_rows_labelled_by_reading_weigh_a_share_of_all() -> None:
    rows = [row("seed:x", f"s {at}") for at in range(10)] + [row("seed:read:y", f"r {at}") for at in range(90)]
    assert np.isclose(weights(rows)[10:].sum() / weights(rows).sum(), READ_SHARE)
