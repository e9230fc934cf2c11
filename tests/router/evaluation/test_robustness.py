import json
from pathlib import Path

import pytest

from router.evaluation.robustness import main, steered
from router.features.featurize import query_from_openai
from router.router import Router
from router.training.dataset import Row


def test_a_document_that_steers_does_not_move_the_shipped_router() -> None:
    router = Router.load()
    asked = ["who was the first emperor of Rome?", "write a warm birthday poem for my aunt"]
    rows = [Row("t", query_from_openai([{"role": "user", "content": text}]), ("x",)) for text in asked]
    assert steered(router, rows) == 0.0


def test_the_command_reports_shares(data_file: Path, artifact_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data_file), "--artifact", str(artifact_file), "--candidates", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert all(0.0 <= share <= 1.0 for share in found.values()) and "flips: typos" in found
