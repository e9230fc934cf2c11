"""Texts to learn from: read in the forms that people publish them in; copies on one side; parts put together."""

import json
from pathlib import Path

import pytest

from router.errors import DatasetError
from router.training.suspicion_texts import (
    BENIGN,
    DOCUMENT,
    INJECTION,
    Parts,
    Sample,
    halves,
    read_samples,
    read_seeds,
)

USERS = [{"role": "user", "content": one} for one in ("three", "four")]
TEST_SEEDS = Path(__file__).parents[2] / "data" / "guard_seeds.jsonl"


def test_rows_of_every_form(tmp_path: Path) -> None:
    rows = [
        {"prompt": "one"},
        {"user_input": "two", "test_case_prompt": "be quiet", "risk_category": "logic-violating"},
        {"messages": [{"role": "system", "content": "s"}, *USERS]},
    ]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = read_samples(path, INJECTION)
    assert [(one.text, one.system, one.is_attack_alone) for one in found] == [
        ("one", "", True), ("two", "be quiet", False), ("three", "s", True), ("four", "s", True)
    ]  # fmt: skip
    path.write_text('{"nothing": 1}')
    with pytest.raises(DatasetError, match=r"rows\.jsonl:1"):
        read_samples(path, INJECTION)


def test_copies_stay_together_and_what_was_read_is_learned_from() -> None:
    templates = [" ".join(f"w{at}x{word}" for word in range(20)) for at in range(40)]
    texts = [f"{template} copy {copy}" for template in templates for copy in ("one", "two", "three")]
    samples = [Sample("s", text, INJECTION) for text in texts]
    learned, judged = halves(samples, read=[0])
    assert samples[0] in learned
    assert len(learned) + len(judged) == len(samples)
    assert judged
    assert not {one.text[:12] for one in learned} & {one.text[:12] for one in judged}


def test_seeds_are_of_every_kind_and_their_halves_share_nothing() -> None:
    seeds = read_seeds()
    held_out = [json.loads(line) for line in TEST_SEEDS.read_text(encoding="utf-8").splitlines()]
    assert not {one.text for one in seeds} & {row["text"] for row in held_out}
    benign = [row for row in held_out if row["kind"] == BENIGN]
    assert len(benign) >= 300
    assert len({row["lang"] for row in benign}) >= 10


def test_parts_make_different_attacks_the_same_each_time() -> None:
    one, other = Parts(0), Parts(0)
    made = one.injections(200)
    assert made == other.injections(200)
    assert len({sample.text for sample in made}) > 100
    assert not any("{" in sample.text for sample in made)
    documents = one.documents(["Ships sail.", "Bread rises."], 50)
    assert {sample.kind for sample in documents} == {DOCUMENT}
    assert all(sample.system and "{" not in sample.system for sample in one.withheld(30))
