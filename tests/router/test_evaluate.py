import json
from pathlib import Path

import pytest

from router import evaluate
from router.evaluate import main
from router.training.readings import digest_of, read_held_out


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_the_json_line_of_labelled_rows(
    data_file: Path, artifact_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(data_file), "--artifact", str(artifact_file), "--train", str(data_file), "--json"]
    assert main(options) == 0
    found = last_line(capsys)
    assert {"n", "macro_accuracy", "micro_accuracy", "ece", "abstained", "per_source", "latency_us"} <= found.keys()
    assert found["n"] == 60
    tools = found["per_source"]["tools"]  # type: ignore[index]
    assert (tools["n"], tools["accuracy"]) == (12, 1.0) and 0.0 <= tools["ece"] <= 1.0
    assert 0.0 < tools["ece_by_chance"] <= 1.0
    assert found["latency_us"].keys() == {"p50", "p99", "max"}  # type: ignore[attr-defined]
    assert found["baselines"]["random"] < found["macro_accuracy"]  # type: ignore[index, operator]


def test_the_json_line_of_outcomes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "outcomes.jsonl"
    texts = ["prove the theorem", "name the capital", "name the river"]
    rows = [
        {"prompt": f"{texts[at % 3]} {at}", "weak": at % 3 > 0, "strong": True, "category": texts[at % 3]}
        for at in range(150)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["--outcomes", str(path), "--json"]) == 0
    found = last_line(capsys)
    assert found.keys() == {"n", "apgr", "cpt50", "cpt80", "baselines"}
    assert found["apgr"].keys() == {"value", "ci95"}  # type: ignore[attr-defined]
    assert found["apgr"]["value"] > 0.75  # type: ignore[index]
    assert found["baselines"]["random"] == 0.5 and found["baselines"]["category mean"] > 0.75  # type: ignore[index]


def test_prompts_that_were_labelled_by_reading_judge_as_a_source_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artifact_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = ["reverse a list in python", "nobody read this one", "write a poem"]
    data, table = tmp_path / "public_prompts.jsonl", tmp_path / "labels.tsv"
    data.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    labels = {prompts[0]: "c", prompts[2]: "ca"}
    table.write_text("".join(f"{digest_of([{'content': prompt}])}\t{letters}\n" for prompt, letters in labels.items()))
    monkeypatch.setattr(evaluate, "read_held_out", lambda paths: read_held_out(paths, table))
    assert main(["--held-out", str(data), "--artifact", str(artifact_file), "--json"]) == 0
    found = last_line(capsys)
    assert found["n"] == 2 and list(found["per_source"]) == ["public_prompts"]  # type: ignore[call-overload]
