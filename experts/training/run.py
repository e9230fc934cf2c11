"""One run of fine-tuning."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from experts.catalog.spec import ExpertSpec
from experts.training.recipe import Hyperparameters
from experts.training.recipes.sample import Sample


@dataclass(frozen=True, slots=True)
class Run:
    """One fine-tuning: whose, of what, how, and where it keeps its checkpoints, adapter and ledger."""

    spec: ExpertSpec
    samples: Sequence[Sample]
    wishes: Hyperparameters
    folder: Path

    @property
    def digest(self) -> str:
        """Return a hash of all that decides the outcome: a run may only go on from checkpoints of the same one."""
        digest = hashlib.sha256(json.dumps([self.spec.base, self.spec.system_prompt, asdict(self.wishes)]).encode())
        for sample in self.samples:
            digest.update(sample.conversation.SerializeToString(deterministic=True))
            digest.update(f"\0{sample.answer}\0{sample.rejected}\0".encode())
        return digest.hexdigest()
