"""The evaluation command from end to end, through the echo engine: it says the user's last words."""

import json
from pathlib import Path
from typing import Any

import pytest

from experts.engine import EngineDead
from experts.engines.echo import EchoEngine
from experts.evaluate import main
from experts.evaluation.options import HEADLINE
from tests.experts.evaluation.fake_gateway import fake_gateway, refused, said

CALL = '<tool_call>{"name":"f","arguments":{"a":1}}</tool_call>'
CATALOGUE = """
default: parrot
experts:
  - {name: parrot, description: echoes, base: none, adapter: somewhere, engine: echo, context_window: 60, licence: MIT,
     max_batch_size: 2, max_queue_len: 0, price: {usd_per_million: {prompt: 1, completion: 2}},
     engine_options: {tokens: 1}}
"""


def tool_row(number: int, text: str, *calls: dict[str, Any]) -> dict[str, Any]:
    tool = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
    return {"id": number, "messages": [{"role": "user", "content": text}], "tools": [tool], "calls": list(calls)}


ROWS = [
    tool_row(0, CALL, {"name": "f", "arguments": {"a": 1}}),
    tool_row(1, CALL, {"name": "f", "arguments": {"a": 2}}),
    tool_row(2, "hello"),
    tool_row(3, " ".join(["long"] * 100)),  # refused: silence is not a right "no call"
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "experts.yaml").write_text(CATALOGUE)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def run(files: Path, *more: str, suite: str = "tool_calls", data: str = "rows.jsonl") -> int:
    where = ["--suite", suite, "--data", str(files / data), "--catalog", str(files / "experts.yaml")]
    return main(["parrot", *where, *more])


def test_the_last_line_is_the_contract(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "--json", "--out", str(files / "out.json")) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["expert"], result["suite"], result["n"]) == ("parrot", "tool_calls", 4)
    assert result["scores"]["overall"] == {"value": 0.5, "ci95": [0.15, 0.85], "n": 4}
    assert result["scores"]["irrelevance"]["value"] == 0.5
    assert result["scores"]["broken"]["value"] == 0.25
    assert result["scores"]["exact"] == {"value": 0.5, "ci95": [0.0945, 0.9055], "n": 2}
    assert result["measured"]["finish"] == {"context_length_exceeded": 1, "stop": 3}
    assert result["variant"] == "adapter"
    assert json.loads((files / "out.json").read_text()) == result


def test_the_base_is_asked_the_same_without_the_adapter(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "--json", "--base") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["variant"] == "base"


def test_a_sample_is_stated(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "--json", "--limit", "2", "--seed", "5", "--alone", "1") == 0
    out = capsys.readouterr().out
    assert "2 of 4 rows" in " ".join(out.split())
    result = json.loads(out.splitlines()[-1])
    assert (result["n"], result["data"]) == (2, {"file": "rows.jsonl", "rows": 4, "seed": 5})


def test_answers_and_verdicts_are_written_where_asked(files: Path) -> None:
    assert run(files, "--answers", str(files / "answers.jsonl")) == 0
    lines = [json.loads(line) for line in (files / "answers.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["0", "1", "2", "3"]
    assert lines[0]["answer"] == CALL
    assert [line["verdict"]["overall"] for line in lines] == [True, False, True, False]


@pytest.mark.parametrize(
    ("suite", "row"),
    [
        ("grounded_qa", {"question": "Rollo", "answers": ["Rollo"], "passages": ["Rollo."], "gold": 1}),
        ("code", {"messages": [{"role": "user", "content": "f=int"}], "tests": ["assert f(1) == 1"]}),
        ("chat", {"messages": [{"role": "user", "content": "Hello."}], "answer": "Hello."}),
        ("maths", {"question": "42", "answer": "#### 42"}),
        ("open_qa", {"question": "Rollo", "answer": ["Rollo"]}),
        ("mixed", {"suite": "maths", "question": "42", "answer": "#### 42"}),
    ],
)
def test_every_suite_runs(files: Path, capsys: pytest.CaptureFixture[str], suite: str, row: dict[str, Any]) -> None:
    (files / "one.jsonl").write_text(json.dumps(row))
    assert run(files, "--json", suite=suite, data="one.jsonl") == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])["scores"]
    assert all(score["ci95"][0] <= score["value"] <= score["ci95"][1] for score in scores.values())
    headline = "answered" if suite == "grounded_qa" else HEADLINE[suite]
    assert scores[headline]["value"] == 1.0


def test_an_engine_that_dies_is_said_in_a_line(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(self: EchoEngine, request: object) -> None:
        raise EngineDead("the engine process ended")

    monkeypatch.setattr(EchoEngine, "generate", dead)
    assert run(files) == 1
    assert "error: the engine process ended" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_a_line(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "empty.jsonl").write_text("")
    for arguments in (["--data", str(files / "none.jsonl")], ["--data", str(files / "empty.jsonl")]):
        assert run(files, *arguments) == 1
        assert capsys.readouterr().err.startswith("error: ")
    assert run(files, "--catalog", str(files / "none.yaml")) == 1


def test_the_same_rows_go_through_a_gateway(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(body: dict[str, Any]) -> Any:
        is_short = len(body["messages"][0]["content"]) < 100
        return said("hello", expert="parrot", usd=0.002) if is_short else refused(400, "context_length_exceeded")

    rows = ["--suite", "tool_calls", "--data", str(files / "rows.jsonl"), "--json"]
    with fake_gateway(answer) as url:
        assert main(["--gateway", url, "--model", "auto", *rows]) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert main(["--gateway", url, "--model", "nobody", *rows]) == 1
        assert "no model 'nobody'" in capsys.readouterr().err
    assert (result["expert"], result["variant"], result["n"]) == ("auto", "gateway", 4)
    assert result["scores"]["overall"]["value"] == 0.25  # the row that wants no call
    assert result["experts"] == {"parrot": 0.75, "nobody": 0.25}
    assert result["usd_per_1000"] == 1.5
    assert (result["ttft_ms"]["n"], result["measured"]["finish"]) == (3, {"context_length_exceeded": 1, "stop": 3})


@pytest.mark.parametrize("whom", [[], ["parrot", "--gateway", "http://127.0.0.1:9"]])
def test_one_is_asked_an_expert_or_a_gateway(whom: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*whom, "--suite", "chat", "--data", "rows.jsonl"])
    assert "name an EXPERT, or a --gateway" in capsys.readouterr().err
