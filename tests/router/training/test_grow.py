"""A sixth expert out of twenty examples, with nothing but the checkout."""

from pathlib import Path

import numpy as np
import pytest

from router.model.artifact import DEFAULT_PATH, Artifact, load
from router.model.gate import Gate
from router.policy.decide import ExpertState
from router.router import Router
from router.train import main
from router.training.dataset import read_rows

DATA = Path(__file__).parents[2] / "data"
EXPERT = "translator"
MOST_LOST = 0.005  # of the gold set, by all the others together
REACHED = 16


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grown") / "router.npz"
    assert main(["--add", str(DATA / "expert_examples.jsonl"), "--out", str(out)]) == 0
    return out


def chosen(path: Path, rows_of: Path) -> list[bool]:
    router = Router.load(path)
    states = [ExpertState(name, 1 << 30, True, 0, 1, 0.0) for name in router.gate.experts]
    return [router.route(row.query, states).expert in row.labels for row in read_rows([rows_of])]


def test_it_gets_requests_of_its_kind_that_it_has_not_seen(grown: Path) -> None:
    assert sum(chosen(grown, DATA / "expert_unseen.jsonl")) >= REACHED


def test_the_others_keep_theirs(grown: Path) -> None:
    gold = DATA / "router_gold.jsonl"
    before, after = chosen(DEFAULT_PATH, gold), chosen(grown, gold)
    assert np.mean(after) >= np.mean(before) - MOST_LOST


def test_the_network_of_the_others_stays_bit_for_bit(grown: Path) -> None:
    before, after = load(), load(grown)
    assert after.classes == (*before.classes, EXPERT)
    units = len(before.network.bias)
    rows = 1 + np.searchsorted(after.network.known, before.network.known)
    assert np.array_equal(after.network.hashed[rows, :units], before.network.hashed[1:])
    assert np.array_equal(after.network.out[:units, :-1], before.network.out)
    assert after.training["added"] == {EXPERT: 20}


def test_probabilities_of_quiet_requests_do_not_move(grown: Path) -> None:
    def probabilities(artifact: Artifact) -> list[dict[str, float]]:
        gate = Gate(artifact)
        return [gate.by_expert(row.query) for row in read_rows([DATA / "router_gold.jsonl"])[:100]]

    pairs = zip(probabilities(load()), probabilities(load(grown)), strict=True)
    moved = [any(abs(now[name] - was[name]) > 1e-5 for name in was) for was, now in pairs]
    assert np.mean(moved) < 0.05


def test_the_shipped_artefact_is_not_the_default_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_bytes((DATA / "expert_examples.jsonl").read_bytes())
    (tmp_path / "mine.npz").write_text("precious")
    assert main(["--add", str(mine)]) == 1
    assert "not replaced" in capsys.readouterr().err
    assert (tmp_path / "mine.npz").read_text() == "precious"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "no examples"),
        ('{"label": "cook", "messages": [{"role": "user", "content": "soup"}]}\n', "too few"),
        ('{"label": "coder", "messages": [{"role": "user", "content": "soup"}]}\n' * 12, "already"),
        ('{"messages": []}\n', "no label"),
        ("not json\n", "not JSON"),
    ],
)
def test_examples_that_cannot_be_used_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, complaint: str
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(content)
    assert main(["--add", str(path)]) == 1
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1
    assert not (tmp_path / "mine.npz").exists()
