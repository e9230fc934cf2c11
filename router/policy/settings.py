"""The decision's settings inside an artefact: its header's optional key `policy`.

`router.Router` reads them on every load, `router.calibrate` writes them. What a file does not hold, or a file from
before the key existed, is `Policy`'s default.
"""

from typing import Any

from router.errors import ArtifactError
from router.model.artifact import Artifact
from router.policy.cost_knob import Knob
from router.policy.decide import Policy
from router.policy.objective import Objective

_WEIGHTS = ("late_weight", "switch_gain")


def policy_of(artifact: Artifact) -> Policy:
    """Read the policy an artefact was calibrated with.

    Raises:
        ArtifactError: a setting is not of its type or out of its range.
    """
    raw = artifact.policy
    try:
        knob = Knob.from_dict(raw["knob"]) if "knob" in raw else Knob()
        weights = {name: float(raw[name]) for name in _WEIGHTS if name in raw}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"artefact's policy cannot be read ({type(error).__name__})") from error
    if any(not 0.0 <= value <= 10.0 for value in weights.values()):
        raise ArtifactError("artefact's policy has a weight out of range")
    default = Policy(artifact.default_expert, artifact.abstain_below)
    objective = Objective(knob, weights.get("late_weight", default.objective.late_weight))
    return Policy(
        artifact.default_expert, artifact.abstain_below, objective, weights.get("switch_gain", default.switch_gain)
    )


def policy_dict(policy: Policy) -> dict[str, Any]:
    """Return what `policy_of` reads; the default expert and the threshold have keys of their own in the header."""
    return {
        "knob": policy.objective.knob.as_dict(),
        "late_weight": policy.objective.late_weight,
        "switch_gain": policy.switch_gain,
    }
