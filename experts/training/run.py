"""One run of fine-tuning."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from experts.artifacts.store import hash_content
from experts.catalog.spec import ExpertSpec
from experts.training.budget import Budget
from experts.training.recipe import Hyperparameters
from experts.training.recipes.sample import Sample


@dataclass(frozen=True, slots=True)
class Run:
    """One fine-tuning: whose, of what, how, and where it keeps its checkpoints, adapter and ledger.

    Attributes:
        samples: the recipe's own, and with them, where nothing is bounded, rows that were given.
        start: the adapter that training begins with; None = a fresh one.
        rows: with a budget, rows that were given.
        budget: how many tokens it may compute; None = all samples.
    """

    spec: ExpertSpec
    samples: Sequence[Sample]
    hyperparameters: Hyperparameters
    folder: Path
    start: Path | None = None
    rows: Sequence[Sample] = ()
    budget: Budget | None = None

    @property
    def digest(self) -> str:
        """Return a hash of all that decides the outcome: a run may only go on from checkpoints of the same one."""
        start = hash_content(self.start / "adapter_model.safetensors") if self.start else ""
        prompts = [self.spec.system_prompt, self.spec.documents_prompt, self.spec.max_documents]
        bound = [asdict(self.budget), len(self.rows)] if self.budget else []  # without one, as it always was
        asked = [self.spec.base, *prompts, asdict(self.hyperparameters), start, *bound]
        digest = hashlib.sha256(json.dumps(asked).encode())
        for sample in (*self.samples, *self.rows):
            digest.update(sample.conversation.SerializeToString(deterministic=True))
            digest.update(f"\0{sample.answer}\0{sample.rejected}\0".encode())
        return digest.hexdigest()
