from dataclasses import replace
from pathlib import Path

import pytest

from router.errors import ArtifactError
from router.model.artifact import DEFAULT_PATH, load, save
from router.policy.cost_knob import Knob
from router.policy.decide import Policy
from router.policy.objective import Objective
from router.policy.settings import policy_dict, policy_of
from router.train import Trained


def test_an_artefact_without_the_key_has_the_defaults(trained: Trained) -> None:
    artifact = replace(trained.artifact, policy={})
    assert policy_of(artifact) == Policy(artifact.default_expert, artifact.abstain_below)


def test_the_shipped_artefact_still_loads() -> None:
    assert policy_of(load(DEFAULT_PATH)).objective.late_weight == 0.5


def test_what_is_written_comes_back(trained: Trained, tmp_path: Path) -> None:
    policy = Policy("generalist", trained.artifact.abstain_below, Objective(Knob((0.0, 0.3, 2.0)), 0.7), 0.11)
    save(replace(trained.artifact, policy=policy_dict(policy)), tmp_path / "router.npz")
    assert policy_of(load(tmp_path / "router.npz")) == policy


@pytest.mark.parametrize(
    "raw",
    [{"knob": {"table": [1.0, 0.0]}}, {"knob": 3}, {"late_weight": "much"}, {"switch_gain": -1}, {"late_weight": 1e9}],
)
def test_what_cannot_be_meant_is_refused(trained: Trained, raw: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="policy"):
        policy_of(replace(trained.artifact, policy=raw))
