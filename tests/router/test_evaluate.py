import json
from pathlib import Path

import pytest

from router.evaluate import main


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
    assert found["per_source"]["tools"] == {"n": 12, "accuracy": 1.0}  # type: ignore[index]
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
