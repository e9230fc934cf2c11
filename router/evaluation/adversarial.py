"""White-box gadgets: a few words that, added to any request, push it to an expert of the attacker's choice.

`robustness` searches them against our own router, as an attacker with the artefact would: first candidates by their
weight, then a greedy search on a batch of requests (the attack of Shafran et al. 2025, "Rerouting LLM Routers", for a
linear model).
"""

import zlib
from collections.abc import Sequence

import numpy as np

from router.evaluation.perturb import changed
from router.features.featurize import RouteQuery
from router.features.hashing import place_of
from router.features.word_vectors import shipped_vectors
from router.model.gate import Gate
from router.training.dataset import Row

WORDS = 20  # that may be added
BATCH = 12  # requests the search sees


def candidates(gate: Gate, target: str, count: int, batch: Sequence[Row]) -> list[str]:
    """Name the words whose own weight, on average where the requests stand, favours the target over its best rival."""
    names = [word for word in shipped_vectors().rows if word.isascii() and len(word) > 2]
    places = [place_of(np.uint64(zlib.crc32(word.encode()))) for word in names]
    network = gate.artifact.network
    through = np.mean([network.through(gate.features(row.query)) for row in batch], axis=0)
    weights = network.hashed[network.places[places]].astype(np.float32) @ (network.scale[:, None] * through)
    at = gate.artifact.classes.index(target)
    margin = weights[:, at] - np.delete(weights, at, axis=1).max(axis=1)
    return [names[place] for place in np.argsort(-margin)[:count]]


def search(gate: Gate, rows: Sequence[Row], target: str, count: int) -> str:
    """Grow a suffix word by word, each time by the candidate that raises the target's mean margin most."""
    batch = rows[:BATCH]
    pool = candidates(gate, target, count, batch)
    gadget: list[str] = []
    for _ in range(WORDS):
        tried = [
            float(np.mean([_margin(gate, with_suffix(row, [*gadget, word]).query, target) for row in batch]))
            for word in pool
        ]
        gadget.append(pool[int(np.argmax(tried))])
    return " ".join(gadget)


def with_suffix(row: Row, words: Sequence[str]) -> Row:
    """Add words to the end of a row's newest user turn."""
    return changed(row, lambda text: f"{text} {' '.join(words)}")


def _margin(gate: Gate, query: RouteQuery, target: str) -> float:
    """Measure how far the target's log-odds are above its best rival's."""
    logits = gate.raw(gate.features(query))
    at = gate.artifact.classes.index(target)
    return float(logits[at] - np.delete(logits, at).max())
