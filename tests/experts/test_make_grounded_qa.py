"""Grounded questions out of SQuAD-shaped rows: what is shown, what is hidden, and that a seed repeats."""

import json
from pathlib import Path
from typing import Any

import pytest

from experts.evaluation.suites.grounded_qa import GroundedQASuite
from experts.evaluation.suites.make_grounded_qa import Plan, main, make_rows, read_questions
from experts.evaluation.suites.qa_text import matches
from experts.evaluation.suites.rows import RowError, read_rows, sample


def squad(articles: int, paragraphs: int = 2, language: str = "en") -> list[dict[str, Any]]:
    return [
        {
            "id": f"{article}-{paragraph}-{language}",
            "lang": language,
            "article": article,
            "title": f"Article_{article}",
            "context": f"Town {article} has mayor M{article}x{paragraph} in {language}.",
            "question": f"Who is mayor of {article}?",
            "answers": [f"M{article}x{paragraph}"],
        }
        for article in range(articles)
        for paragraph in range(paragraphs)
    ]


def test_rows_hold_what_they_say() -> None:
    questions = read_questions(squad(12) + squad(12, language="de"), longest=1000)
    rows = make_rows(questions, questions, Plan(passages=3, unanswerable=0.25), seed=0)
    assert len(rows) == 48
    assert sum(not row["answerable"] for row in rows) == 12
    for row in rows:
        texts = [passage["text"] for passage in row["passages"]]
        holding = [n for n, text in enumerate(texts, 1) if matches(text, row["answers"])]
        assert len(set(texts)) == 3
        assert holding == ([row["gold"]] if row["answerable"] else [])
        assert all(f"in {row['lang']}." in text for text in texts)
        assert sum(f"Town {row['article']} " in text for text in texts) == row["answerable"]
        GroundedQASuite().read(row, 0)
    assert {row["gold"] for row in rows} == {1, 2, 3, None}


def test_a_seed_repeats_and_another_differs() -> None:
    questions = read_questions(squad(12), longest=1000)
    assert make_rows(questions, questions, Plan(), 1) == make_rows(questions, questions, Plan(), 1)
    assert make_rows(questions, questions, Plan(), 1) != make_rows(questions, questions, Plan(), 2)


def test_a_sample_of_the_rows_by_the_same_seed_is_no_sample_of_the_hidden_ones() -> None:
    """Both draw from range(n) by a seed of 0: bare, they would draw the same numbers."""
    questions = read_questions(squad(50), longest=1000)
    drawn = sample(make_rows(questions, questions, Plan(unanswerable=0.3), 0), 20, 0)
    assert 0 < sum(row["answerable"] for row in drawn) < 20


def test_other_shapes() -> None:
    beer = {"id": 1, "question": "?", "answers": ["x"], "context": [["T", "x y"]]}
    hotpot = beer | {"context": [["T", "x"], ["U", "y"]]}
    columns = {"question": "?", "answers": {"text": ["x", "x"], "answer_start": [0, 0]}, "context": "x", "title": "T"}
    found = read_questions([beer, hotpot, columns], longest=100)
    assert [(question.name, question.answers) for question in found] == [("1", ("x",)), ("2", ("x",))]
    with pytest.raises(RowError, match="row 0"):
        read_questions([beer | {"answers": []}], longest=100)
    with pytest.raises(RowError, match="passages"):
        make_rows(found, found, Plan(passages=5), 0)


def test_the_command_writes_disjoint_halves(tmp_path: Path) -> None:
    data = tmp_path / "squad.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in squad(20)))
    halves = []
    # Leaving rows out by their length must not move an article from one half to the other.
    for name, extra in (("a", ["--articles", "10", "--longest", "28"]), ("b", ["--skip-articles", "10"])):
        out = tmp_path / f"{name}.jsonl.gz"
        assert main(["--data", str(data), "--out", str(out), "--passages", "2", *extra]) == 0
        halves.append({row["article"] for row in read_rows(out)})
    assert 1 < len(halves[0]) < len(halves[1]) == 10
    assert not halves[0] & halves[1]
