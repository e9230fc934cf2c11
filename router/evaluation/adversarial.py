"""White-box gadgets: a few words that, added to any request, push it to an expert of the attacker's choice.

`robustness` searches them against our own router, as an attacker with the artefact would: first candidates by their
weight, then a greedy search on a batch of requests (the attack of Shafran et al. 2025, "Rerouting LLM Routers", for a
linear model). A whole sentence that people might write needs less: of many the one that moves the batch furthest.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from router.evaluation.perturb import changed
from router.features.featurize import RouteQuery, Turn
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
        gadget = [strongest(gate, batch, target, [" ".join([*gadget, word]) for word in pool])]
    return gadget[0]


def sentences(gate: Gate, rows: Sequence[Row], target: str, count: int) -> list[str]:
    """Name the requests of one turn and at most `WORDS` words that are the target's alone and say so most clearly."""
    texts = [
        text
        for row in rows
        if row.labels == (target,) and len(row.query.turns) == 1 and not row.query.has_tools
        for text in (row.query.turns[0].text,)
        if len(text.split()) <= WORDS
    ]
    clear = {text: _margin(gate, RouteQuery((Turn("user", text),)), target) for text in texts}
    return sorted(clear, key=lambda text: -clear[text])[:count]


def strongest(gate: Gate, rows: Sequence[Row], target: str, pool: Sequence[str]) -> str:
    """Choose the suffix of a pool that raises the target's mean margin most on a batch of rows."""
    tried = [
        float(np.mean([_margin(gate, with_suffix(row, [text]).query, target) for row in rows[:BATCH]])) for text in pool
    ]
    return pool[int(np.argmax(tried))]


def with_suffix(row: Row, words: Sequence[str]) -> Row:
    """Add words to the end of a row's newest user turn."""
    return changed(row, lambda text: f"{text} {' '.join(words)}")


def _margin(gate: Gate, query: RouteQuery, target: str) -> float:
    """Measure how far the target's log-odds are above its best rival's."""
    logits = gate.raw(gate.features(query))
    at = gate.artifact.classes.index(target)
    return float(logits[at] - np.delete(logits, at).max())
