"""One run of fine-tuning."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from experts.artifacts.store import hash_content
from experts.catalog.spec import ExpertSpec
from experts.training.recipe import Hyperparameters
from experts.training.recipes.sample import Sample


@dataclass(frozen=True, slots=True)
class Run:
    """One fine-tuning: whose, of what, how, and where it keeps its checkpoints, adapter and ledger."""

    spec: ExpertSpec
    samples: Sequence[Sample]
    hyperparameters: Hyperparameters
    folder: Path
    start: Path | None = None  # the adapter that training begins with; None: a fresh one

    @property
    def digest(self) -> str:
        """Return a hash of all that decides the outcome: a run may only go on from checkpoints of the same one."""
        start = hash_content(self.start / "adapter_model.safetensors") if self.start else ""
        prompts = [self.spec.system_prompt, self.spec.documents_prompt, self.spec.max_documents]
        asked = [self.spec.base, *prompts, asdict(self.hyperparameters), start]
        digest = hashlib.sha256(json.dumps(asked).encode())
        for sample in self.samples:
            digest.update(sample.conversation.SerializeToString(deterministic=True))
            digest.update(f"\0{sample.answer}\0{sample.rejected}\0".encode())
        return digest.hexdigest()
