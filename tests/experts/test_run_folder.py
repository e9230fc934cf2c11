"""Whose a run's folder is: nothing that runs did not write is ever touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from experts.commands.outputs import NotOurs
from experts.finetune import main
from experts.training.run_folder import OtherRun, claim_run, last_checkpoint

ONE, TWO = "1" * 64, "2" * 64


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def checkpoint(folder: Path, step: int, *, is_whole: bool = True) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "adapter_model.safetensors").write_text("weights")
    if is_whole:
        (made / "trainer_state.json").write_text("{}")
    return made


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(
    "files",
    [
        {"thesis.tex": "years of work"},
        {"run.txt": "Monday: 5 km"},
        {"run.txt": ""},
        {"run.txt": "\0" * 10},
        {"losses.jsonl": "{}"},
        {"adapter/adapter_config.json": "{}"},
        {"checkpoint-5/model.bin": "weights"},
        {".hidden": "secret"},
        {"deep/down/there.txt": "x"},
        {"run.txt": "1" * 63},
        {"run.txt.bak": "1" * 64},
    ],
)
def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path, files: dict[str, str], fresh: bool) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = snapshot(tmp_path)
    with pytest.raises(NotOurs, match="nothing in it is touched"):
        claim_run(tmp_path, ONE, fresh=fresh)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_the_command_says_so_on_one_line(tmp_path: Path, fresh: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for more in (["--run", str(tmp_path)], ["--run", str(tmp_path / "thesis.tex")]):
        assert main(["coder", *more, *fresh]) == 1
        said = capsys.readouterr().err
        assert str(tmp_path) in said
        assert said.count("\n") == 1
    assert snapshot(tmp_path) == {"thesis.tex": b"years of work"}


@pytest.mark.parametrize(
    "nonsense",
    ["--epochs=0", "--epochs=nan", "--batch-size=0", "--batch-size=-4", "--learning-rate=-1", "--learning-rate=inf",
     "--rank=0", "--instances=0", "--usd-per-hour=-1", "--usd-per-hour=nan"],
)  # fmt: skip
def test_nonsense_is_refused_before_a_folder_is_touched(
    tmp_path: Path, nonsense: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["coder", "--run", str(tmp_path / "run"), nonsense])
    assert caught.value.code == 2
    assert nonsense.partition("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_same_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    claim_run(folder, ONE, fresh=False)
    kept = checkpoint(folder, 50)
    claim_run(folder, ONE, fresh=False)
    assert last_checkpoint(folder) == kept


def test_another_run_stops_where_there_is_something_to_lose(tmp_path: Path) -> None:
    claim_run(tmp_path, ONE, fresh=False)
    claim_run(tmp_path, TWO, fresh=False)  # nothing was done yet
    checkpoint(tmp_path, 50)
    with pytest.raises(OtherRun, match="--fresh"):
        claim_run(tmp_path, ONE, fresh=False)
    assert last_checkpoint(tmp_path) is not None


def test_fresh_removes_what_runs_write_and_nothing_else(tmp_path: Path) -> None:
    claim_run(tmp_path, ONE, fresh=False)
    checkpoint(tmp_path, 50)
    (checkpoint(tmp_path, 100) / "mine.txt").write_text("mine")
    (tmp_path / "checkpoint-photos").mkdir()
    (tmp_path / "checkpoint-photos" / "cat.png").write_text("cat")
    (tmp_path / "checkpoint-photos" / "README.md").write_text("cats")
    (tmp_path / "checkpoint-50" / "README.md").write_text("---\nlibrary_name: peft\n---\n")
    (tmp_path / "checkpoint-100" / "README.md").write_text("mine")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter" / "mine.md").write_text("mine")
    (tmp_path / "losses.jsonl").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    elsewhere = tmp_path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-7").symlink_to(elsewhere)
    claim_run(tmp_path, TWO, fresh=True)
    assert {name for name in snapshot(tmp_path) if "checkpoint-7" not in name} == {
        "run.txt",
        "notes.txt",
        "adapter/mine.md",
        "checkpoint-100/mine.txt",
        "checkpoint-100/README.md",
        "checkpoint-photos/README.md",
        "checkpoint-photos/cat.png",
    }
    assert (elsewhere / "trainer_state.json").exists()


def test_the_last_checkpoint_is_the_last_whole_one(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    nine = checkpoint(tmp_path, 9)
    checkpoint(tmp_path, 10, is_whole=False)
    assert last_checkpoint(tmp_path) == nine
    assert last_checkpoint(tmp_path) != checkpoint(tmp_path, 100)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-100"
