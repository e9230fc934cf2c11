"""Reading data files, and samples of them."""

import gzip
from pathlib import Path

import pytest

from experts.evaluation.suites.rows import RowError, read_rows, sample


def test_plain_and_gzipped(tmp_path: Path) -> None:
    text = '{"a": "line\u2028separator"}\n\n{"a": 2}\n'
    (tmp_path / "plain.jsonl").write_text(text, "utf-8")
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("plain.jsonl", "packed.jsonl.gz"):
        assert read_rows(tmp_path / name) == [{"a": "line\u2028separator"}, {"a": 2}]


@pytest.mark.parametrize("content", [b'{"a": 1}\n{secret', b"[1]\n", b"\xff", b"\x1f\x8bbroken"])
def test_a_wrong_file_is_named_and_its_text_is_not(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(RowError, match=r"rows\.jsonl") as caught:
        read_rows(path)
    assert "secret" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RowError, match="cannot be read"):
        read_rows(tmp_path / "none")


def test_a_sample_keeps_the_order_and_repeats_by_seed() -> None:
    rows = list(range(100))
    drawn = sample(rows, 10, 3)
    assert drawn == sorted(drawn) == sample(rows, 10, 3)
    assert len(set(drawn)) == 10
    assert drawn != sample(rows, 10, 4)
    assert sample(rows, None, 0) == sample(rows, 1000, 0) == rows
