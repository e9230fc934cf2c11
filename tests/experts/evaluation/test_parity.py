"""Parity: what counts as the same, what is said of the first difference, and what cannot be compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.engines.openvino import OpenVINOOptions
from experts.evaluation import parity
from experts.evaluation.parity import PROMPTS, Continuation, compare, first_difference, main, parse_options

TOKENS = st.lists(st.integers(0, 3), max_size=6)


@given(TOKENS, TOKENS)
def test_up_to_the_first_difference_both_are_the_same(left: list[int], right: list[int]) -> None:
    place = first_difference(left, right)
    assert place == first_difference(right, left)
    assert (place is None) == (left == right)
    assert left[:place] == right[:place]
    assert place is None or left[place : place + 1] != right[place : place + 1]


def test_options_are_openvinos_own() -> None:
    assert parse_options("") == OpenVINOOptions()
    assert parse_options("inference_precision=f32,threads=2,") == OpenVINOOptions(inference_precision="f32", threads=2)


@pytest.mark.parametrize(
    ("text", "words"),
    [("threads", "NAME=VALUE"), ("threads=2,f32", "NAME=VALUE"), ("threads=0", "threads"), ("colour=red", "colour")],
)
def test_wrong_options_are_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_options(text)


class FakeTokenizer:
    """A token is a letter; 0 ends a turn."""

    def apply_chat_template(self, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        assert add_generation_prompt
        assert turns[0] == {"role": "system", "content": "Be brief."}
        return turns[1]["content"]

    def encode(self, text: str, *, add_special_tokens: bool) -> Any:
        assert not add_special_tokens
        return SimpleNamespace(input_ids=SimpleNamespace(data=np.array([[ord(character) for character in text]])))

    def get_eos_token_id(self) -> int:
        return 0

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))


class LogProbs(list[float]):
    """As much of a tensor of log-probabilities, by token, as is asked."""

    def topk(self, count: int) -> Any:
        best = np.argsort(self)[::-1][:count]
        return SimpleNamespace(indices=best)


class FakeReference:
    """Says "ab" after everything; next comes "b" before "c" before "a"."""

    def __init__(self) -> None:
        self.contexts: list[list[int]] = []

    def continue_(self, prompt: list[int], stop: int) -> list[int]:
        assert stop == 0
        return [97, 98, 0]

    def next_log_probs(self, tokens: list[int]) -> LogProbs:
        self.contexts.append(tokens)
        made = LogProbs([-9.0] * 128)
        made[98], made[99], made[97] = -0.25, -0.75, -2.0
        return made


class FakeCandidate:
    """Says the same as the reference, but for one prompt."""

    def __init__(self, odd: str, says: list[int]) -> None:
        self.tokenizer = FakeTokenizer()
        self._odd, self._says, self._asked = odd, says, 0

    def continue_(self, prompt: Any) -> Continuation:
        text = "".join(map(chr, prompt.data[0]))
        tokens = self._says if text == self._odd else [97, 98, 0]
        self._asked += 1
        return Continuation(tokens, [-0.5, -0.875, -0.125], float(self._asked))


def test_agreement_is_counted_and_the_pace_is_the_mean(capsys: pytest.CaptureFixture[str]) -> None:
    reference = FakeReference()
    found = compare(FakeCandidate(PROMPTS[3], [97, 99, 0]), reference, "Be brief.")  # type: ignore[arg-type]  # fakes
    assert found == (len(PROMPTS) - 1, (1 + len(PROMPTS)) / 2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(PROMPTS)
    assert lines[0].endswith("same 3 tokens")
    assert "differs at 1: reference 'b' -0.250 before 'c' -0.750; OpenVINO 'c' -0.875; gap 0.500" in lines[3]
    assert reference.contexts == [[*map(ord, PROMPTS[3]), 97]], "the reference is asked at the place where they part"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], "no such expert: nobody; there are researcher, "),
        (["--gguf", "/nowhere/model.gguf"], "/nowhere/model.gguf: there is no such file"),
    ],
)
def test_what_cannot_be_compared_is_said(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert f"error: {words}" in capsys.readouterr().err


def test_a_missing_library_is_named_with_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking(gguf: Path) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(parity, "Reference", lacking)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert main(["--gguf", str(tmp_path / "model.gguf")]) == 1
    assert capsys.readouterr().err == "error: torch is missing; the reference needs it: pip install 'moegate[train]'\n"


def test_wrong_options_are_said_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded: list[Path] = []
    monkeypatch.setattr(parity, "Reference", loaded.append)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert main(["--gguf", str(tmp_path / "model.gguf"), "--options", "threads"]) == 1
    assert "NAME=VALUE" in capsys.readouterr().err
    assert loaded == []
