"""Nothing of a user's is ever deleted: every command meets precious files where its output belongs, and leaves them.

The list of commands is derived from the tree: whatever makes an `ArgumentParser`. An option that takes a path must be
told apart below, as an input or as an output with its cases: neither a new command nor a new output can be forgotten.
`test_writers.py` finds modules that write past all this.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experts import finetune
from experts.cluster import manifests
from experts.commands import outputs
from experts.commands.outputs import json_with, text_with
from router.features.word_vectors import DEFAULT_PATH as WORDS
from router.model.artifact import DEFAULT_PATH, IS_ARTIFACT

ROOT = Path(__file__).parents[1]
PACKAGES = ("serve", "router", "experts", "moegate", "loadtests", "deploy")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "_pb2" not in path.name)

INPUTS = {
    "adapters", "add", "artifact", "base", "candidate", "catalog", "config", "curve", "data", "file", "files",
    "gguf", "gold",
    "held_out", "log", "merged", "misfits", "outcomes", "peers", "plans", "policy", "prices", "readings", "request",
    "results", "rows", "rules", "searched", "seeds", "source", "spans", "timings", "train", "transfer", "vectors",
    "words",
    "wrappers",
    "benign", "injections", "jailbreaks",
}  # fmt: skip
"""Options whose files are only read; `router.calibrate --artifact` is read and written, and is below as well."""

PLAN = {
    "engines": {
        "e": {
            "slots": 1,
            "step_ms": {"1": 10},
            "prefill_ms_per_token": 0,
            "instance": "inf2.xlarge",
            "cores": 2,
            "source": "made up",
        }
    },
    "experts": {"only": {"engine": "e", "share": 1}},
    "traffic": {"requests_per_s": 1, "hours": 0.01},
}
LLAMA = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 256, "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}  # fmt: skip
_QA = ["--data", "rows.jsonl"]
_NEURON = ["coder", "--target", "neuron", "--instance", "inf2.8xlarge", "--merged", "merged"]
_EVALUATE = ["coder", "--suite", "code", "--data", "rows.jsonl"]
_MIXTURE = ["--gateway", "http://127.0.0.1:1", "--data", "rows.jsonl"]
_FILE: tuple[str, ...] = ("",)
CASES: dict[tuple[str, str], tuple[list[str], tuple[str, ...]]] = {
    # command and option: its other arguments, and the files it writes there ("" = the path itself is the file)
    ("experts.finetune", "run"): (["coder"], ("thesis.tex", "run.txt", "losses.jsonl", "checkpoint-50/weights.bin")),
    ("experts.finetune", "output"): (["coder", "--run", "run"], finetune.ADAPTER_FILES),
    ("experts.compile", "out"): (_NEURON, ("manifest.json", "model/weights.bin")),
    ("experts.select", "out"): (["--results", "."], ("selection.md", "selection.json", "selection.png")),
    ("experts.evaluate", "out"): (_EVALUATE, _FILE),
    ("experts.evaluate", "answers"): (_EVALUATE, _FILE),
    ("experts.evaluation.suites.make_grounded_qa", "out"): (_QA, _FILE),
    ("experts.evaluation.suites.make_mixture", "out"): (["--part", "chat=chat:rows.jsonl"], _FILE),
    ("experts.evaluation.mixture.__main__", "out"): (_MIXTURE, ("mixture.md", "mixture.json", "answers.jsonl")),
    ("experts.evaluation.mixture.__main__", "write_catalog"): (["--base", "base"], _FILE),
    ("experts.rebase", "out"): (
        ["--base", "base"],
        ("rebase.json", "experts.yaml", "comparison.md", "comparison.json"),
    ),
    ("experts.training.mean_adapter", "out"): (["a"], ("adapter_model.safetensors", "adapter_config.json")),
    ("experts.training.make_forms", "out"): (["--source", "bfcl", "--data", "."], _FILE),
    ("experts.training.make_tool_calls", "out"): (["--source", "bfcl", "--data", "."], _FILE),
    ("loadtests.distractors", "out"): (["--data", "rows.jsonl"], _FILE),
    ("experts.training.make_plans", "out"): (["--source", "seal", "--data", "."], _FILE),
    ("experts.training.trainium_job", "out"): (["coder", "--nodes", "1", "--bucket", "s3://b"], _FILE),
    ("router.train", "out"): (_QA, _FILE),
    ("router.calibrate", "out"): (_QA, _FILE),
    ("router.calibrate", "artifact"): (_QA, _FILE),
    ("router.training.tool_selection", "out"): (_QA, _FILE),
    ("router.training.suspicion", "out"): (["--benign", "rows.jsonl"], _FILE),
    ("router.training.distil", "out"): (["--words", "a", "b", "--vectors", "c", "d"], _FILE),
    ("router.evaluate", "report"): (
        _QA,
        ("reliability.png", "confusion.png", "risk_coverage.png", "cost_quality.png"),
    ),
    ("serve.cli flywheel export", "out"): ([], _FILE),
    ("serve.cli plan", "pictures"): (["plan.yaml"], ("experts.png",)),
    ("loadtests.bench", "out"): ([], ("bench.json", "bench.png", "experts.yaml")),
    ("loadtests.engine_curve", "out"): ([], _FILE),
    ("loadtests.flywheel_turn", "run"): ([], ("stand.json", "thesis.tex")),
    ("loadtests.strict_schemas", "out"): (["--pairs", "1"], _FILE),
}
PRECIOUS = {
    "text": b"years of work\n",
    "JSON": b'{"mine": [1, 2, 3]}',
    "JSON lines": b'{"id": 1, "answer": "mine"}\n',
    "picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"tEXtSoftware\0Matplotlib" + bytes(60),
    "archive": b"PK\x03\x04" + bytes(40),
    "noise": bytes(range(256)),
}


class Captured(Exception):
    """Carries the parser out of a command that is about to parse."""


def command_modules() -> list[str]:
    """Every command that makes a parser of its own, or has one made by `write_sample.run`."""
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in SOURCES
        if "\ndef main(" in (text := path.read_text("utf-8"))
        and ("ArgumentParser(" in text or "write_sample import" in text)
    ]


def parsers(module: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """A command's parser, or those of its subcommands."""

    def capture(self: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise Captured(self)

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", capture)
        with pytest.raises(Captured) as caught:
            importlib.import_module(module).main()
    yield from _leaves(module, caught.value.args[0])


def _leaves(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, inner in action.choices.items():
            yield from _leaves(f"{name} {word}", inner)


@pytest.mark.parametrize("module", command_modules())
def test_every_option_that_takes_a_path_is_known(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, parser in parsers(module, monkeypatch):
        for action in parser._actions:
            if action.type is Path or action.dest in {"out", "output", "report", "run"}:
                is_known = action.dest in INPUTS or (name, action.dest) in CASES
                assert is_known, f"{name}: is --{action.dest} an input or an output? Put it into INPUTS or CASES"


def test_every_case_is_of_a_command_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        (name, action.dest)
        for module in command_modules()
        for name, parser in parsers(module, monkeypatch)
        for action in parser._actions
    }
    assert set(CASES) <= found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with what the commands read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "rows.jsonl").write_text('{"label": "coder", "messages": [{"role": "user", "content": "x"}]}\n')
    (tmp_path / "plan.yaml").write_text(json.dumps(PLAN))
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "config.json").write_text(json.dumps(LLAMA))
    return tmp_path


def call(command: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command as its command line would."""
    module, *words = command.split()
    monkeypatch.setattr(sys, "argv", [module, *words, *arguments])
    try:
        status: int = importlib.import_module(module).main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    return status


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def snapshot(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file): file.read_bytes() for file in files}


def every_case() -> Iterator[Any]:
    for (command, option), (arguments, names) in CASES.items():
        for name in names:
            yield pytest.param(command, option, arguments, name, id=f"{command}-{option}-{name}")


@pytest.mark.parametrize("kind", list(PRECIOUS))
@pytest.mark.parametrize(("command", "option", "arguments", "name"), list(every_case()))
def test_precious_files_survive_every_command(
    command: str,
    option: str,
    arguments: list[str],
    name: str,
    kind: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    precious = here / "precious"
    file = precious / name if name else precious
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(PRECIOUS[kind])
    before = snapshot(precious)
    assert call(command, [*arguments, _flag(option), "precious"], monkeypatch) == 1
    said = capsys.readouterr().err
    assert snapshot(precious) == before
    assert "precious" in said
    assert "not replaced" in said or "nothing in it is touched" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("command", "option"), list(CASES))
def test_a_folder_is_no_file_and_a_file_no_folder(
    command: str, option: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, names = CASES[command, option]
    wrong = here / "wrong"
    if names == _FILE:
        wrong.mkdir()
        (wrong / "mine.txt").write_text("mine")
    else:
        wrong.write_text("mine")
    before = snapshot(wrong)
    assert call(command, [*arguments, _flag(option), "wrong"], monkeypatch) == 1
    assert snapshot(wrong) == before
    assert "wrong: is a " in capsys.readouterr().err


def test_the_report_on_outcomes_is_careful_too(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "report").mkdir()
    (here / "report" / "outcomes.json").write_text('{"mine": 1}')
    assert call("router.evaluate", ["--outcomes", "rows.jsonl", "--report", "report"], monkeypatch) == 1
    assert (here / "report" / "outcomes.json").read_text() == '{"mine": 1}'
    assert "not replaced" in capsys.readouterr().err


@pytest.mark.parametrize("generated", ["serve-config.yaml", "experts.yaml"])
def test_manifests_leave_a_file_that_people_wrote(
    generated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    monkeypatch.setattr(manifests, "DEPLOY", tmp_path / "deploy")
    file = tmp_path / "deploy" / "k8s" / "overlays" / "cpu" / "generated" / generated
    file.unlink()
    assert manifests.main([]) == 0
    assert file.is_file()
    file.write_text("kind: Mine\n")
    assert manifests.main([]) == 1
    assert file.read_text() == "kind: Mine\n"
    assert "not replaced" in capsys.readouterr().err


def test_dashboards_leave_a_file_that_people_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grafana = importlib.import_module("deploy.observe.grafana")
    monkeypatch.setattr(grafana, "FOLDER", tmp_path)
    assert grafana.main([]) == 0
    assert grafana.main([]) == 0
    one = sorted(tmp_path.glob("*.json"))[0]
    one.write_text('{"uid": "mine"}')
    before = snapshot(tmp_path)
    assert grafana.main([]) == 1
    assert snapshot(tmp_path) == before


def test_what_commands_made_is_known_again() -> None:
    assert IS_ARTIFACT(DEFAULT_PATH)
    assert outputs.arrays_with("words", "table", "scale", "weight")(WORDS)
    ledgers = list((ROOT / "experts" / "adapters").glob("*/ledger.json"))
    generated = list((ROOT / "deploy" / "k8s" / "overlays").glob("*/generated/*.yaml"))
    assert ledgers
    assert generated
    for ledger in ledgers:
        assert json_with("run", "tokens", "prices", "tokens_per_s")(ledger)
    for file in generated:
        assert text_with(manifests.HEADER.strip())(file)


def test_the_router_and_the_experts_have_the_same_rules() -> None:
    assert (ROOT / "experts" / "commands" / "outputs.py").read_bytes() == (
        ROOT / "router" / "commands" / "outputs.py"
    ).read_bytes()
