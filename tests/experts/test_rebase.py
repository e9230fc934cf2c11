"""Another base: the steps, how a stopped run goes on, and what is refused. Training and evaluation are played."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from experts import compile as compiling
from experts import evaluate, finetune, rebase
from experts.catalog.spec import load_catalog
from experts.commands.messages import INTERRUPTED
from tests.experts.tiny_model import lora, write_adapter, write_folder

QUALITY = {"old": 0.1, "new": 0.6}


class Played:
    """The commands of the steps: what they were asked, and the files that they would have left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[list[str]] = []
        self.status = 0
        for module, play in ((finetune, self.train), (compiling, self.compile), (evaluate, self.evaluate)):
            monkeypatch.setattr(module, "main", play)

    def train(self, arguments: Sequence[str]) -> int:
        self.asked.append(["finetune", *arguments])
        if not self.status:
            folder = write_adapter(self._made(arguments, "--output"), lora())
            (folder / "ledger.json").write_text("{}")
        return self.status

    def compile(self, arguments: Sequence[str]) -> int:
        self.asked.append(["compile", *arguments])
        return 0

    def evaluate(self, arguments: Sequence[str]) -> int:
        self.asked.append(["evaluate", *arguments])
        variant = arguments[list(arguments).index("--variant") + 1]
        value = QUALITY[variant]
        score = {"value": value, "ci95": [value - 0.1, value + 0.1], "n": 40}
        result = {
            "expert": arguments[0],
            "suite": "maths",
            "n": 40,
            "scores": {"right": score},
            "variant": variant,
            "data": {"file": "sums.jsonl", "rows": 40, "seed": 0},
            "artifact": {"sha256": "0", "bytes": 10_000_000},
            "measured": {"prompt_tokens": 9, "completion_tokens": 9, "alone": {"ttft_ms": None, "tokens_per_s": None}},
        }
        self._made(arguments, "--out").write_text(json.dumps(result))
        return 0

    @staticmethod
    def _made(arguments: Sequence[str], name: str) -> Path:
        path = Path(arguments[list(arguments).index(name) + 1])
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def steps(self) -> list[str]:
        steps = [" ".join(asked[:2]) for asked in self.asked]
        self.asked.clear()
        return steps


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(rebase, "depth", lambda base: 10 if "base" in base else 30)
    return Played(monkeypatch)


def run(tmp_path: Path, *more: str) -> int:
    base = write_folder(tmp_path / "base")
    return rebase.main(["--base", str(base), "--out", str(tmp_path / "out"), "--experts", "coder,generalist", *more])


def test_every_expert_is_trained_compiled_evaluated_and_compared(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["--rows", f"generalist=maths:{tmp_path}/sums.jsonl", "--compare", "--json"]
    assert run(tmp_path, *rows) == 0
    trained = played.asked[1]
    assert trained[:4] == ["finetune", "generalist", "--base", str(tmp_path / "base")]
    assert trained[trained.index("--frozen-layers") + 1] == "4"  # 12 of 30 in the recipe
    assert played.steps() == ["finetune coder", "finetune generalist", "compile coder", *["evaluate generalist"] * 2]
    [line] = json.loads(capsys.readouterr().out.splitlines()[-1])["rebased"][-1:]
    assert line["variant"] == "new"
    table = (tmp_path / "out" / "comparison.md").read_text()
    assert "| 0.100 (0.000 to 0.200) | 0.600 (0.500 to 0.700) | +0.500, apart |" in table
    catalog = load_catalog(tmp_path / "out" / "experts.yaml")
    coder, advisor = catalog.get("coder"), catalog.get("advisor")
    assert coder is not None and advisor is not None
    assert (coder.base, coder.adapter) == (str(tmp_path / "base"), str((tmp_path / "out/adapters/coder").resolve()))
    assert advisor.adapter == "moegate:advisor"


def test_a_stopped_run_goes_on_with_what_is_left(played: Played, tmp_path: Path, capsys: Any) -> None:
    played.status = INTERRUPTED
    assert run(tmp_path) == INTERRUPTED
    assert "goes on from here" in capsys.readouterr().err
    assert played.steps() == ["finetune coder"]
    played.status = 0
    assert run(tmp_path, "--rows", f"coder=maths:{tmp_path}/sums.jsonl") == 0
    assert played.steps() == ["finetune coder", "finetune generalist", "compile coder", "evaluate coder"]
    assert run(tmp_path, "--rows", f"coder=maths:{tmp_path}/sums.jsonl") == 0
    assert played.steps() == ["compile coder"]


def test_a_folder_of_another_run_is_left_alone(played: Played, tmp_path: Path, capsys: Any) -> None:
    assert run(tmp_path) == 0
    assert run(tmp_path, "--epochs", "2") == 1
    assert "another base, data or hyper-parameters" in capsys.readouterr().err


def test_what_cannot_be_a_base_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    played = Played(monkeypatch)
    scaled = write_folder(tmp_path / "scaled", rope_scaling={"rope_type": "llama3"})
    (tmp_path / "text.txt").write_text("no model")
    for base, words in ((scaled, "'llama3'"), (tmp_path / "none", "no such file"), (tmp_path / "text.txt", "no GGUF")):
        assert rebase.main(["--base", str(base), "--out", str(tmp_path / f"out-{base.name}")]) == 1
        assert words in capsys.readouterr().err
    assert rebase.main(["--base", str(scaled), "--out", str(tmp_path / "out"), "--experts", "poet"]) == 1
    assert "no recipe trains an expert 'poet'" in capsys.readouterr().err
    assert played.asked == []


@pytest.mark.parametrize("more", [[], ["--plan", "--nodes", "0"], ["--out", "x", "--rows", "coder:file"]])
def test_a_command_line_that_says_too_little(more: list[str]) -> None:
    with pytest.raises(SystemExit):
        rebase.main(["--base", "hf:a/b", *more])


@pytest.mark.parametrize(("base", "billions"), [("3.2-1B", 1.24), ("3.1-8B", 8.03)])
def test_the_plan_for_trainium_needs_no_hardware(
    base: str, billions: float, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"hf:meta-llama/Llama-{base}-Instruct"
    asked = ["--base", name, "--plan", "--nodes", "2", "--experts", "coder,advisor"]
    assert rebase.main([*asked, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["parameters"] / 1e9 == pytest.approx(billions, abs=0.01)
    [coder, advisor] = sorted(plan["trainings"], key=lambda one: one["expert"], reverse=True)
    assert coder["usd"] == pytest.approx(coder["hours"] * 2 * plan["usd_per_node_hour"])
    assert coder["hours"] == pytest.approx(0.5 + coder["tokens"] / plan["tokens_per_s"] / 3600, rel=1e-3)
    assert plan["usd"] == pytest.approx(coder["usd"] + advisor["usd"])
    assert f"--base {name}" in coder["command"]
    assert rebase.main([*asked, "--tokens-per-s", "1000"]) == 0
    assert "1,000 tokens/s (given)" in capsys.readouterr().out
    assert rebase.main(["--base", "hf:some/Other", "--plan", "--experts", "coder"]) == 1
    assert "shape of 'hf:some/Other' is not known" in capsys.readouterr().err
