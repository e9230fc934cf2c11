"""The mixture against the one, end to end: a gateway whose experts each know one thing."""

import json
from pathlib import Path
from typing import Any

import pytest

from experts.catalog.spec import load_catalog
from experts.evaluation.mixture.__main__ import main
from tests.experts.evaluation.fake_gateway import Answer, Body, fake_gateway, refused, said

MODELS = ("auto", "adder", "poet", "base")
ROWS = [
    *({"id": f"sum-{n}", "suite": "maths", "question": f"{n} + 1?", "answer": str(n + 1)} for n in range(6)),
    *({"id": f"poem-{n}", "suite": "open_qa", "question": f"A word {n}?", "answers": ["rose"]} for n in range(6)),
]


def answer(body: Body) -> Answer:
    text = body["messages"][0]["content"]
    is_sum = "+" in text
    expert = body["model"]
    if expert == "auto":
        expert = "adder" if is_sum else "poet"
    knows = {"adder": is_sum, "poet": not is_sum}.get(expert, False)
    right = str(int(text.split()[0]) + 1) if is_sum else "a rose"
    return said(right if knows else "well", expert=expert, usd=0.002 if expert == "poet" else 0.001)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def compare(url: str, data: Path, *more: str) -> int:
    return main(["--gateway", url, "--data", str(data), "--out", str(data.parent / "out"), *more])


def test_auto_stands_beside_each_expert_the_base_and_the_oracle(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fake_gateway(answer, MODELS) as url:
        assert compare(url, data, "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    lines: dict[str, Any] = {line["model"]: line for line in result["mixture"]}
    assert list(lines) == ["auto", "adder", "poet", "base", "oracle"]
    assert [lines[name]["quality"]["value"] for name in lines] == [1.0, 0.5, 0.5, 0.0, 1.0]
    assert lines["adder"]["kinds"]["maths"]["value"] == 1.0
    assert lines["poet"]["auto_gain"]["ci95"][0] > 0
    assert lines["auto"]["experts"] == {"adder": 0.5, "poet": 0.5}
    assert (lines["auto"]["usd_per_1000"], lines["base"]["usd_per_1000"]) == (1.5, 1.0)
    assert result["of_oracle"] == 1.0
    table = (data.parent / "out" / "mixture.md").read_text()
    assert "| **auto** | 1.000 (0.758 to 1.000) | - | 1.5000 |" in table
    assert "+0.500 (" in table and ", better" in table


def test_a_stopped_run_goes_on_where_it_was(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def counted(body: Body) -> Answer:
        asked.append(body["model"])
        return answer(body)

    with fake_gateway(counted, MODELS) as url:
        assert compare(url, data, "--models", "auto,adder") == 0
        answers = data.parent / "out" / "answers.jsonl"
        lines = answers.read_text().splitlines(keepends=True)
        answers.write_text("".join(lines[:20]) + lines[20][:9])  # killed in the middle of a line
        del asked[:]
        assert compare(url, data, "--models", "auto,adder") == 0
        assert len(asked) == 4
        del asked[:]
        assert compare(url, data, "--models", "auto,adder", "--fresh") == 0
        assert len(asked) == 24
    assert "replacing" in capsys.readouterr().err


def test_an_answer_that_was_lost_is_no_wrong_answer_and_is_asked_again(data: Path, capsys: Any) -> None:
    def failing(body: Body) -> Answer:
        return refused(500, "expert_failed") if body["messages"][0]["content"].startswith("3") else answer(body)

    with fake_gateway(failing, MODELS) as url:
        assert compare(url, data, "--models", "auto,adder") == 1
    assert "2 answers were lost" in capsys.readouterr().err
    assert len((data.parent / "out" / "answers.jsonl").read_text().splitlines()) == 22
    with fake_gateway(answer, MODELS) as url:
        assert compare(url, data, "--models", "auto,adder") == 0


def test_the_oracle_takes_the_cheaper_of_two_that_are_right(data: Path) -> None:
    def all_right(body: Body) -> Answer:
        return answer(body | {"model": "auto"})[0], said("2", usd={"adder": 0.5}.get(body["model"], 0.1))[1]

    data.write_text(json.dumps({"suite": "maths", "question": "1 + 1?", "answer": "2"}))
    with fake_gateway(all_right, MODELS) as url:
        assert compare(url, data) == 0
    lines = json.loads((data.parent / "out" / "mixture.json").read_text())["mixture"]
    assert lines[-1]["usd_per_1000"] == 100.0


def test_a_refused_row_is_wrong_and_nobodys(data: Path) -> None:
    with fake_gateway(lambda _: refused(400, "context_length_exceeded"), MODELS) as url:
        assert compare(url, data, "--models", "auto") == 0
    [line] = json.loads((data.parent / "out" / "mixture.json").read_text())["mixture"]
    assert (line["quality"]["value"], line["experts"]) == (0.0, {"nobody": 1.0})


def test_the_catalogue_with_the_base_has_one_entry_more(tmp_path: Path) -> None:
    path = tmp_path / "experts.yaml"
    assert main(["--write-catalog", str(path)]) == 0
    catalog, shipped = load_catalog(path), load_catalog()
    base, default = catalog.get("base"), catalog.get(shipped.default)
    assert base is not None and default is not None
    assert catalog.names == (*shipped.names, "base")
    assert (base.adapter, base.system_prompt, base.base) == (None, default.system_prompt, default.base)
    assert main(["--write-catalog", str(path), "--catalog", str(path)]) == 1  # it has a base already


def test_what_is_wrong_is_said_in_a_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fake_gateway(answer, MODELS) as url:
        assert compare(url, data, "--models", "auto,nobody") == 1
        assert "no model 'nobody'" in capsys.readouterr().err
        (data.parent / "out").mkdir()
        (data.parent / "out" / "answers.jsonl").write_text('{"mine": 1}\n')
        assert compare(url, data) == 1
    assert "was not made by this command" in capsys.readouterr().err
