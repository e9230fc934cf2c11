import json
from pathlib import Path

import numpy as np
import pytest

from router.evaluation import perturb
from router.evaluation.adversarial import candidates, search, with_suffix
from router.evaluation.robustness import main, steered
from router.features.featurize import query_from_openai
from router.model.artifact import load
from router.model.gate import Gate
from router.router import Router
from router.training.dataset import Row


@pytest.mark.parametrize("name", perturb.CHANGES)
def test_changes_keep_the_request_but_for_letters(name: str) -> None:
    text = "Please explain the causes of the long winter?"
    after = perturb.CHANGES[name](text, np.random.default_rng(1))
    assert after != text and abs(len(after) - len(text)) < 60


def test_a_document_that_steers_does_not_move_the_shipped_router() -> None:
    router = Router.load()
    asked = ["who was the first emperor of Rome?", "write a warm birthday poem for my aunt"]
    rows = [Row("t", query_from_openai([{"role": "user", "content": text}]), ("x",)) for text in asked]
    assert steered(router, rows) == 0.0


def test_a_gadget_raises_its_target(artifact_file: Path, rows: list[Row]) -> None:
    gate = Gate(load(artifact_file))
    asked = [row for row in rows if "coder" not in row.labels and not row.query.has_tools][:6]
    gadget = search(gate, asked, "coder", 5)
    at = gate.artifact.classes.index("coder")
    before = np.mean([gate.raw(gate.features(row.query))[at] for row in asked])
    after = np.mean([gate.raw(gate.features(with_suffix(row, [gadget]).query))[at] for row in asked])
    assert len(candidates(gate, "coder", 5, asked)) == 5 and after > before


def test_the_command_reports_shares(data_file: Path, artifact_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data_file), "--artifact", str(artifact_file), "--candidates", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert all(0.0 <= share <= 1.0 for share in found.values()) and "flips: typos" in found
