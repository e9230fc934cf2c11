"""How much a text looks like an attack on the assistant, on the numbers that the router makes of it anyway.

Three linear heads over `featurize.Features`: `jailbreak` (a user who wants the rules gone), `injection` (a user who
wants what the operator withholds, or other instructions in force), `document` (instructions inside what is only to be
read). A fourth, small one, `context`, weighs them together with what the system prompt withholds. Each has thresholds
by a stated rate of false positives, measured on sources that the head never learned from (CARD-GUARD.md).
`router.training.suspicion` makes the artefact; nothing here decides what is done about a suspicion.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from router.commands.outputs import arrays_with, write
from router.errors import ArtifactError
from router.features.featurize import BUCKETS, DENSE_NAMES, FEATURE_VERSION, Features
from router.features.jailbreak import is_sign
from router.features.structure import Floats
from router.features.window import own_words
from router.features.withheld import NEARNESS_NAMES, nearness
from router.features.word_vectors import SIZE
from router.model.topic import Background

FORMAT: Final = 1
MAX_BYTES: Final = 2_000_000
DEFAULT_PATH: Final = Path(__file__).parents[1] / "artifacts" / "guard.npz"
HEADS: Final = ("jailbreak", "injection", "document")
JAILBREAK, INJECTION, DOCUMENT = range(len(HEADS))
RATES: Final = (0.01, 0.005, 0.003, 0.002, 0.001, 0.0005)
"""Shares of benign texts that a threshold may flag."""
QUESTIONS: Final = ("jailbreak", "injection", "pasted", "document", "context")
"""What is asked of a text; `pasted` is `document` for parts of a user's turn, whose own instructions are no attack."""
CONTEXT_NAMES: Final = (*NEARNESS_NAMES, "jailbreak", "injection", "document", "sign")
CHUNK_CHARS: Final = 300
PASTED_FROM: Final = 200  # characters of a turn from which its pieces are looked at, too
MOST_PASTED: Final = 12  # pieces of one turn
CLIP: Final = 6.0  # of a log-odds that `context` weighs

IS_SUSPICION: Final = arrays_with("guard_header", "hashed", "context")
"""Recognises a file that `save` wrote."""

Weights = np.ndarray[Any, np.dtype[np.int8]]
Places = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True)
class Suspicion:
    """The heads.

    Attributes:
        known: buckets of the n-grams they know, (K,) int32, ascending.
        hashed: what each adds, (K, H) int8.
        scale: what 1 in `hashed` is worth, (H,) float32.
        dense: what structure, meaning and a jailbreak's sign add, (D + 1, H) float32.
        bias: (H,) float32.
        context: weights of `CONTEXT_NAMES`, and a constant last, (len(CONTEXT_NAMES) + 1,) float32.
        background: what people ask in general, which a topic stands out from.
        calibration: slope and intercept from a question's log-odds to its calibrated ones, by name.
        thresholds: log-odds by question and rate, as text, of false positives.
        training: data digests, figures: for people and the card.
        version: a short content hash; set by `save` and `load`.
    """

    known: Places
    hashed: Weights
    scale: Floats
    dense: Floats
    bias: Floats
    context: Floats
    background: Background
    calibration: Mapping[str, tuple[float, float]]
    thresholds: Mapping[str, Mapping[str, float]]
    training: Mapping[str, Any] = field(default_factory=dict)
    version: str = "unsaved"

    def __post_init__(self) -> None:
        table = np.zeros((BUCKETS, len(HEADS)), dtype=np.int8)
        table[self.known] = self.hashed
        object.__setattr__(self, "_table", table)

    def logits(self, features: Features, *, sign: bool = False) -> Floats:
        """Return the log-odds of each head, (H,); `sign`: the text holds a jailbreak's sign (`has_sign`)."""
        table: Weights = self._table  # type: ignore[attr-defined]
        hashed = (features.values @ table.take(features.indices, axis=0)) * self.scale
        found = hashed + features.dense @ self.dense[:-1] + self.bias
        return np.asarray(found + self.dense[-1] if sign else found)

    def context_logit(self, logits: Floats, prompt: str, text: str, turn: Features, *, sign: bool) -> float | None:
        """Weigh a turn under its system prompt; None where the prompt withholds nothing."""
        near = nearness(prompt, text, turn)
        return float(context_row(near, logits, sign=sign) @ self.context) if near[0] else None

    def threshold(self, question: str, rate: float) -> float:
        """Return the log-odds from which a question is answered with yes, for a rate out of `RATES`."""
        return self.thresholds[question][str(rate)]

    def probability(self, question: str, logit: float) -> float:
        """Return the calibrated probability."""
        slope, intercept = self.calibration[question]
        return float(1.0 / (1.0 + np.exp(-min(30.0, max(-30.0, slope * logit + intercept)))))


def context_row(near: Floats, logits: Floats, *, sign: bool) -> Floats:
    """Lay out what `context` weighs, (len(CONTEXT_NAMES) + 1,)."""
    return np.concatenate([near, np.clip(logits, -CLIP, CLIP), [float(sign), 1.0]]).astype(np.float32)


def has_sign(text: str) -> bool:
    """Say whether a turn's own words hold a sentence that lifts rules; asked after the router read it, this is free."""
    return is_sign(text) and is_sign(own_words(text))


def chunks(text: str) -> Iterator[str]:
    """Cut a document into pieces of at most about `CHUNK_CHARS`, at ends of lines or sentences where there are any."""
    at = 0
    while at < len(text):
        end = at + CHUNK_CHARS
        if end < len(text):
            cut = max(
                text.rfind("\n", at + 80, end), text.rfind(". ", at + 80, end) + 1, text.rfind("。", at + 80, end) + 1
            )
            end = cut + 1 if cut > at else end
        if part := text[at:end].strip():
            yield part
        at = end


def save(suspicion: Suspicion, path: Path) -> str:
    """Write the file in one step and return its version."""
    header = {
        "format": FORMAT,
        "feature_version": FEATURE_VERSION,
        "dense_names": list(DENSE_NAMES),
        "context_names": list(CONTEXT_NAMES),
        "calibration": {name: list(pair) for name, pair in suspicion.calibration.items()},
        "thresholds": suspicion.thresholds,
        "training": suspicion.training,
    }
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: getattr(suspicion, name) for name in _ARRAYS}
    arrays |= {name: getattr(suspicion.background, name).astype(np.float16) for name in _BACKGROUND}
    np.savez_compressed(
        buffer, guard_header=np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8), **arrays
    )
    write(path, buffer.getvalue())
    return _version(buffer.getvalue())


_ARRAYS: Final = ("known", "hashed", "scale", "dense", "bias", "context")
_BACKGROUND: Final = ("mean", "whitening")


def load(path: Path = DEFAULT_PATH) -> Suspicion:
    """Read and check the file.

    Raises:
        ArtifactError: it is missing, damaged, too large, or made for other features.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ArtifactError(f"{path}: artefact is over {MAX_BYTES} bytes")
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            return _assembled(
                path,
                json.loads(arrays["guard_header"].tobytes()),
                {name: arrays[name] for name in (*_ARRAYS, *_BACKGROUND)},
                raw,
            )
    except OSError as error:
        raise ArtifactError(f"{path}: artefact cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path}: artefact is damaged ({type(error).__name__})") from error


def _assembled(path: Path, header: dict[str, Any], arrays: dict[str, Any], raw: bytes) -> Suspicion:
    wanted = {
        "format": FORMAT,
        "feature_version": FEATURE_VERSION,
        "dense_names": list(DENSE_NAMES),
        "context_names": list(CONTEXT_NAMES),
    }
    for name, value in wanted.items():
        if header.get(name) != value:
            raise ArtifactError(f"{path}: artefact's {name} does not match this code's")
    count, heads = len(arrays["known"]), len(HEADS)
    shapes = {
        "hashed": (count, heads),
        "scale": (heads,),
        "dense": (len(DENSE_NAMES) + 1, heads),
        "bias": (heads,),
        "context": (len(CONTEXT_NAMES) + 1,),
        "mean": (SIZE,),
        "whitening": (SIZE, SIZE),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise ArtifactError(f"{path}: artefact's {name} is not finite numbers of shape {shape}")
    if count and not 0 <= arrays["known"].min() <= arrays["known"].max() < BUCKETS:
        raise ArtifactError(f"{path}: artefact's known n-grams are no buckets")
    calibration = {name: (float(pair[0]), float(pair[1])) for name, pair in header["calibration"].items()}
    thresholds = {
        name: {str(rate): float(header["thresholds"][name][str(rate)]) for rate in RATES} for name in QUESTIONS
    }
    background = Background(*(arrays.pop(name).astype(np.float32) for name in _BACKGROUND))
    return Suspicion(
        **arrays,
        background=background,
        calibration=calibration,
        thresholds=thresholds,
        training=header["training"],
        version=_version(raw),
    )


@lru_cache(maxsize=1)
def shipped() -> Suspicion:
    """Read the artefact that ships with moegate, once."""
    return load()


def _version(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:12]
