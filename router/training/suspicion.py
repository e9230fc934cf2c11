"""`python -m router.training.suspicion`: fits what the guard's learned rules go by (`router.model.suspicion`).

Three logistic regressions (scikit-learn) over the router's features, and a small one over what they say beside the
system prompt. Benign sources are left out in turns, half of them at a time, so that a threshold's stated rate of
false positives is measured on sources that the head never learned from. Half of each public set of attacks is never
read; the last line tells how many of them are found.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from router.commands.messages import run_command
from router.commands.outputs import claim
from router.features.featurize import BUCKETS, featurize_turn
from router.model.suspicion import DEFAULT_PATH, HEADS, IS_SUSPICION, PASTED_FROM, RATES, Suspicion, chunks, save
from router.training.dataset import digest
from router.training.suspicion_heads import (
    FOLDS,
    PER_SOURCE,
    Doubles,
    Heads,
    Read,
    calibrate,
    context_rows,
    dealt_of,
    fit_context,
    folds_of,
    read_all,
    thin,
    thresholds,
)
from router.training.suspicion_texts import (
    BENIGN,
    BENIGN_DOCUMENT,
    DOCUMENT,
    INJECTION,
    JAILBREAK,
    Parts,
    Sample,
    halves,
    read_samples,
    read_seeds,
)

MOST_JUDGED: Final = 700  # that it is judged by
LEAST_TEXTS: Final = 3  # that hold an n-gram, or it is left out
COMPOSED: Final = 1_500


@dataclass(frozen=True)
class Material:
    """All that is learned from, read.

    Attributes:
        benign: users' turns.
        pieces: pieces of benign documents.
        attacks: by head.
        judged: the halves that are never learned from, by kind.
        beside: attacks beside their system prompt alone, in which no head sees anything.
    """

    benign: Read
    pieces: Read
    attacks: dict[str, Read]
    judged: dict[str, Read]
    beside: Read


def gather(options: argparse.Namespace) -> Material:
    """Read the files.

    Raises:
        DatasetError: one cannot be read.
    """
    seeds, parts = read_seeds(), Parts()
    wild = [one for path in options.jailbreaks for one in read_samples(path, JAILBREAK)]
    injected = [one for path in options.injections for one in read_samples(path, INJECTION)]
    jailbreaks, judged_jailbreaks = halves(wild, _read_by_people(len(wild), options.read_jailbreaks))
    injections, judged_injections = halves(injected, _read_by_people(len(injected), options.read_injections))
    benign = _some([one for path in options.benign for one in read_samples(path, BENIGN)], MOST_JUDGED)
    pieces = [
        replace(one, text=piece)
        for one in benign
        if len(one.text) > PASTED_FROM
        for piece in list(chunks(one.text))[:6]
    ]
    carriers = [piece.text for piece in pieces if "\n" not in piece.text] or ["The report is attached."]
    hand = {kind: [one for one in seeds if one.kind == kind] for kind in (*HEADS, BENIGN, BENIGN_DOCUMENT)}
    alone = [one for one in injections if one.is_attack_alone]
    own, split = _own_pieces(alone)
    return Material(
        read_all([*benign, *hand[BENIGN]]),
        read_all([*_some(pieces), *hand[BENIGN_DOCUMENT]]),
        {
            JAILBREAK: read_all([*jailbreaks, *hand[JAILBREAK]]),
            INJECTION: read_all([*split, *hand[INJECTION], *parts.injections(COMPOSED)]),
            DOCUMENT: read_all([*own, *hand[DOCUMENT], *parts.documents(carriers, COMPOSED)]),
        },
        {JAILBREAK: read_all(judged_jailbreaks), INJECTION: read_all(judged_injections)},
        read_all([one for one in injections if not one.is_attack_alone]),
    )


def _read_by_people(count: int, how: str) -> frozenset[int]:
    """Places of rows that people have read: every so-manieth (`/4`), or so many drawn by seed 1 (`40`)."""
    if how.startswith("/"):
        return frozenset(range(0, count, int(how[1:])))
    return frozenset(random.Random(1).sample(range(count), min(count, int(how))))


def _some(pieces: Sequence[Sample], most: int = PER_SOURCE) -> list[Sample]:
    """At most so many a source, evenly."""
    by_source: dict[str, list[Sample]] = {}
    for piece in pieces:
        by_source.setdefault(piece.source, []).append(piece)
    return [one for found in by_source.values() for one in found[:: max(1, len(found) // most)][:most]]


def _own_pieces(injections: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Find the pieces of long texts that no other has: what was put into a document. The short texts, too."""
    long = [one for one in injections if len(one.text) > PASTED_FROM]
    counts = Counter(piece for one in long for piece in set(chunks(one.text)))
    own = [
        replace(one, text=piece, kind=DOCUMENT) for one in long for piece in set(chunks(one.text)) if counts[piece] == 1
    ]
    return sorted(own, key=lambda one: one.text), [one for one in injections if len(one.text) <= PASTED_FROM]


def known_buckets(material: Material) -> Any:  # noqa: ANN401
    """Buckets of the n-grams that enough texts hold."""
    counts = np.zeros(BUCKETS, dtype=np.int32)
    for read in (thin(material.benign), material.pieces, *material.attacks.values()):
        for features in read.features:
            counts[np.unique(features.indices)] += 1
    return np.flatnonzero(counts >= LEAST_TEXTS)


def train(material: Material) -> Suspicion:
    """Fit everything; thresholds and calibration by what the folds' heads say of what they never saw."""
    known = known_buckets(material)
    thinned = thin(material.benign)
    teaching = {JAILBREAK: thinned, INJECTION: thinned, DOCUMENT: material.pieces}
    fold, taught = folds_of(material.benign), {name: folds_of(read) for name, read in teaching.items()}
    dealt = {name: dealt_of(read) for name, read in material.attacks.items()}
    benign = np.zeros((len(material.benign), len(HEADS)))
    pasted = np.full(len(material.benign), -np.inf)
    pieces = np.zeros(len(material.pieces))
    attacks = {name: np.zeros((len(read), len(HEADS))) for name, read in material.attacks.items()}
    for turn in range(FOLDS):
        heads = Heads(
            {name: read.pick(np.flatnonzero(dealt[name] != turn)) for name, read in material.attacks.items()},
            {name: read.pick(np.flatnonzero(taught[name] != turn)) for name, read in teaching.items()},
            known,
        )
        for places, scores in ((np.flatnonzero(fold == turn), benign),):
            scores[places] = heads.scores(material.benign.pick(places))
            pasted[places] = heads.pasted(material.benign.pick(places))
        places = np.flatnonzero(taught[DOCUMENT] == turn)
        pieces[places] = heads.scores(material.pieces.pick(places))[:, HEADS.index(DOCUMENT)]
        for name, read in material.attacks.items():
            places = np.flatnonzero(dealt[name] == turn)
            attacks[name][places] = heads.scores(read.pick(places))
    final = Heads(material.attacks, teaching, known)
    outside = fold >= 0
    found = {
        JAILBREAK: (attacks[JAILBREAK][:, 0], benign[outside, 0]),
        INJECTION: (attacks[INJECTION][:, 1], benign[outside, 1]),
        "pasted": (attacks[DOCUMENT][:, 2], pasted[outside]),
        DOCUMENT: (attacks[DOCUMENT][:, 2], pieces[taught[DOCUMENT] >= 0]),
    }
    context, found["context"] = _context(material, final, attacks, benign)
    return replace(
        final.model,
        context=context.astype(np.float32),
        calibration={name: calibrate(*pair) for name, pair in found.items()},
        thresholds={name: thresholds(pair[1]) for name, pair in found.items()},
    )


def _context(
    material: Material, heads: Heads, attacks: dict[str, Doubles], benign: Doubles
) -> tuple[Doubles, tuple[Doubles, Doubles]]:
    """Fit the head for turns under a system prompt: its weights, and what halves say of each other."""
    generator = np.random.default_rng(0)
    own = [at for at, one in enumerate(material.attacks[INJECTION].samples) if one.system]
    bad, beside = material.attacks[INJECTION].pick(own), material.beside
    composed = read_all(Parts(1).withheld(400))
    prompts = [one.system for one in [*bad.samples, *beside.samples, *composed.samples]]
    prompted = [at for at, one in enumerate(material.benign.samples) if one.system]
    drawn = np.array([*generator.permutation(len(material.benign))[:4_000], *prompted], dtype=np.int64)
    good = material.benign.pick(drawn)
    under = [one if one.system else replace(one, system=str(generator.choice(prompts))) for one in good.samples]
    good = Read(under, good.features, good.signs)
    said_of = (attacks[INJECTION][own], heads.scores(beside), heads.scores(composed), benign[drawn])
    rows, holds = context_rows(bad + beside + composed + good, np.concatenate(said_of))
    truth = np.array([1] * (len(bad) + len(beside) + len(composed)) + [0] * len(good))[holds]
    rows = rows[holds]
    half = np.arange(len(rows)) % 2 == 0
    said = np.zeros(len(rows))
    for side in (half, ~half):
        said[~side] = rows[~side] @ fit_context(rows[side], truth[side])
    return fit_context(rows, truth), (said[truth == 1], said[truth == 0])


def judge(suspicion: Suspicion, material: Material, rate: float) -> dict[str, Any]:
    """Count how many of the judged halves are found at a rate."""
    return {
        kind: {"n": len(read), "recall": round(sum(found_in(suspicion, read, rate)) / max(1, len(read)), 4)}
        for kind, read in material.judged.items()
    }


def found_in(suspicion: Suspicion, read: Read, rate: float) -> list[bool]:
    """Say of each text whether a question about a user's turn is answered with yes."""
    found = []
    for sample, features, sign in zip(read.samples, read.features, read.signs, strict=True):
        logits = suspicion.logits(features, sign=sign)
        said = {JAILBREAK: float(logits[0]), INJECTION: float(logits[1])}
        if len(sample.text) > PASTED_FROM:
            said["pasted"] = max(float(suspicion.logits(featurize_turn(piece))[2]) for piece in chunks(sample.text))
        if (near := suspicion.context_logit(logits, sample.system, sample.text, features, sign=sign)) is not None:
            said["context"] = near
        found.append(any(logit >= suspicion.threshold(name, rate) for name, logit in said.items()))
    return found


def main() -> int:
    """Run the command; returns the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m router.training.suspicion", description=__doc__)
    parser.add_argument("--benign", type=Path, nargs="+", required=True, metavar="FILE", help="prompts of any kind")
    parser.add_argument(
        "--jailbreaks", type=Path, nargs="*", default=[], metavar="FILE", help="half of them is learned from"
    )
    parser.add_argument("--injections", type=Path, nargs="*", default=[], metavar="FILE", help="likewise")
    parser.add_argument(
        "--read-jailbreaks",
        default="0",
        metavar="N|/N",
        help="rows that people have read: N drawn by seed 1, or every Nth; they are learned from",
    )
    parser.add_argument("--read-injections", default="0", metavar="N|/N", help="likewise")
    parser.add_argument(
        "--rate", type=float, choices=RATES, default=0.002, help="of false positives, for the last line"
    )
    parser.add_argument("--out", type=Path, default=DEFAULT_PATH, help="the artefact")
    return run_command(parser, lambda: _run(parser.parse_args()))


def _run(options: argparse.Namespace) -> int:
    claim(options.out, IS_SUSPICION)
    material = gather(options)
    files = [*options.benign, *options.jailbreaks, *options.injections]
    suspicion = train(material)
    told = {"rate": options.rate, "judged": judge(suspicion, material, options.rate)}
    learned = {name: len(read) for name, read in material.attacks.items()}
    training = {
        "files": {path.name: digest(path) for path in files},
        "benign": len(material.benign),
        "attacks": learned,
    }
    version = save(replace(suspicion, training=training), options.out)
    print(json.dumps({"version": version, **told}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
