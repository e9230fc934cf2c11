"""The trained router as one file: weights, calibration, thresholds and where they came from.

`train` saves it, `router.Router` loads it and follows the file when it is replaced. The version is a hash of the
content; a file of another format or feature version is refused, never guessed at.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from router.commands.outputs import arrays_with, write
from router.errors import ArtifactError
from router.features.featurize import BUCKETS, DENSE_NAMES, FEATURE_VERSION
from router.features.int4 import halves, pack, unpack, whole
from router.features.tool_fit import FIT_NAMES
from router.features.word_vectors import SIZE
from router.model.network import Network
from router.model.system_prompt import SystemHead

FORMAT_VERSION = 4
WIDE_VERSION = 5  # the same, and some n-grams' weights have eight bits: `router.training.grow` adds such units
MAX_BYTES = 4_000_000
MAX_RIVAL = 100.0  # more is no calibration
DEFAULT_PATH = Path(__file__).parents[1] / "artifacts" / "router.npz"

IS_ARTIFACT = arrays_with("header", "hashed", "slope")
"""Recognises a file that `save` wrote, of whatever version."""

_NETWORK = ("known", "hashed", "scale", "dense", "bias", "out", "out_bias")

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Side:
    """One more head beside the classes: hashed (BUCKETS,) float32, dense (D,) float32, bias."""

    hashed: Floats
    dense: Floats
    bias: float


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained gate.

    Attributes:
        classes: the experts that words alone may choose, C of them.
        network: what the words say.
        slope: calibration of the raw logit, (C,) float32: raw * slope + rival * strongest other's raw + intercept.
        intercept: (C,) float32.
        tool_probability: share of fitting tools among training rows with tools, in (0, 1); used without `fits`.
        default_expert: who answers when the gate abstains.
        abstain_below: the highest probability under which it abstains, in [0, 1].
        leans: tells follow-ups, D = S; without it only the last user turn is read.
        fits: says whether offered tools fit, D = S, `FIT_NAMES` and what each class says of the words.
        system: reads system prompts; without it they say nothing.
        training: data digests, command, figures: for people and the model card.
        policy: settings of the decision beside the threshold, as `policy_file` writes them; {} = its defaults.
        rival: what the strongest other class's logit adds to each class's, 0 or less.
        version: short content hash; set by `save` and `load`.
    """

    classes: tuple[str, ...]
    network: Network
    slope: Floats
    intercept: Floats
    tool_probability: float
    default_expert: str
    abstain_below: float
    training: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    leans: Side | None = None
    fits: Side | None = None
    system: SystemHead | None = None
    rival: float = 0.0
    version: str = "unsaved"


def save(artifact: Artifact, path: Path) -> str:
    """Write the file in one step (a reader never sees half of it) and return its version.

    The n-gram weights of the heads beside the network are rounded to int8, with one scale a head: a quarter of the
    size for a rounding error below half a percent of the largest weight.
    """
    sides = {name: side for name, side in (("leans", artifact.leans), ("fits", artifact.fits)) if side}
    low, high = halves(artifact.network.hashed)
    header = {
        "format_version": WIDE_VERSION if high.any() else FORMAT_VERSION,
        "feature_version": FEATURE_VERSION,
        "dense_names": list(DENSE_NAMES),
        "fit_names": list(FIT_NAMES),
        "classes": list(artifact.classes),
        "tool_probability": artifact.tool_probability,
        "default_expert": artifact.default_expert,
        "abstain_below": artifact.abstain_below,
        "training": artifact.training,
        "policy": artifact.policy,
        "sides": {name: side.bias for name, side in sides.items()},
        "reads_system": artifact.system is not None,
        "rival": artifact.rival,
    }
    arrays: dict[str, Any] = {
        "header": np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8),
        **{name: getattr(artifact.network, name) for name in _NETWORK},
        "hashed": pack(low),
        **({"hashed_high": pack(high)} if high.any() else {}),
        **{name: getattr(artifact, name).astype(np.float32) for name in ("slope", "intercept")},
    }
    for name, side in sides.items():
        arrays |= _packed(name, side.hashed) | {f"{name}_dense": side.dense.astype(np.float32)}
    if artifact.system is not None:
        arrays |= _packed_system(artifact.system)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    raw = buffer.getvalue()
    if len(raw) > MAX_BYTES:
        raise ArtifactError(f"artefact of {len(raw)} bytes is over {MAX_BYTES}")
    write(path, raw)
    return _version(raw)


def _packed(name: str, weights: Floats) -> dict[str, Any]:
    """Round weights to int8 with one scale a column."""
    scale = np.maximum(np.abs(weights).max(axis=0), 1e-9) / 127.0
    return {name: np.rint(weights / scale).astype(np.int8), f"{name}_scale": np.asarray(scale, dtype=np.float32)}


def _packed_system(head: SystemHead) -> dict[str, Any]:
    """Round the weights of n-grams to int8, with one scale a column."""
    packed = (
        _packed("system_hashed", head.hashed)
        if len(head.known)
        else {
            "system_hashed": head.hashed.astype(np.int8),
            "system_hashed_scale": np.ones(head.hashed.shape[1], dtype=np.float32),
        }
    )
    return packed | {"system_known": head.known, "system_dense": head.dense.astype(np.float32)}


def load(path: Path = DEFAULT_PATH) -> Artifact:
    """Read and check the file.

    Raises:
        ArtifactError: it is missing, torn, too large, or made for another format, feature set or shape.
    """
    try:
        raw = _read(path)
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            _check_header(header)
            return _assemble(header, {name: arrays[name] for name in arrays.files}, _version(raw))
    except OSError as error:
        raise ArtifactError(f"{path}: artefact cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path}: artefact is damaged ({type(error).__name__})") from error


def _read(path: Path) -> bytes:
    """Read no more than an artefact may hold: a device or a pipe may have no end."""
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{path}: an artefact is a file")
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ArtifactError(f"{path}: artefact is over {MAX_BYTES} bytes")
    return raw


def _check_header(header: dict[str, Any]) -> None:
    """Refuse another format or another feature set."""
    if header.get("format_version") not in {FORMAT_VERSION, WIDE_VERSION}:
        raise ArtifactError("artefact's format_version does not match this code's")
    expected = {
        "feature_version": FEATURE_VERSION,
        "dense_names": list(DENSE_NAMES),
        "fit_names": list(FIT_NAMES),
    }
    for name, value in expected.items():
        if header.get(name) != value:
            raise ArtifactError(f"artefact's {name} does not match this code's")


def _assemble(header: dict[str, Any], arrays: dict[str, Any], version: str) -> Artifact:
    """Put the parts together, refusing wrong shapes."""
    classes = tuple(str(name) for name in header["classes"])
    known, units = len(arrays["known"]), len(arrays["bias"])
    arrays["hashed"] = unpack(arrays["hashed"])
    if header["format_version"] == WIDE_VERSION:
        arrays["hashed"] = whole(arrays["hashed"], unpack(arrays["hashed_high"]))
    shapes: dict[str, tuple[int, ...]] = {
        "known": (known,),
        "hashed": (known + 1, units),
        "scale": (units,),
        "dense": (len(DENSE_NAMES), units),
        "bias": (units,),
        "out": (units, len(classes)),
    }
    shapes |= {name: (len(classes),) for name in ("out_bias", "slope", "intercept")}
    sides = {str(name): float(bias) for name, bias in header["sides"].items()}
    for name in sides:
        extra = len(FIT_NAMES) + len(classes) if name == "fits" else 0
        shapes |= {name: (BUCKETS,), f"{name}_scale": (), f"{name}_dense": (len(DENSE_NAMES) + extra,)}
    if header["reads_system"]:
        says, read = len(classes) + 1, len(arrays["system_known"])
        shapes |= {"system_known": (read,), "system_hashed": (read, says), "system_hashed_scale": (says,)}
        shapes["system_dense"] = (SIZE + len(classes), says)
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise ArtifactError(f"artefact's {name} is not finite numbers of shape {shape}")
    for name in ("known", "system_known"):
        found = arrays.get(name, ())
        if len(found) and not 0 <= found.min() <= found.max() < BUCKETS:
            raise ArtifactError(f"artefact's {name} n-grams are no buckets")
    return Artifact(
        classes=classes,
        network=Network.of(**{name: arrays[name] for name in _NETWORK}),
        slope=arrays["slope"],
        intercept=arrays["intercept"],
        tool_probability=float(header["tool_probability"]),
        default_expert=str(header["default_expert"]),
        abstain_below=float(header["abstain_below"]),
        training=dict(header["training"]),
        policy=dict(header.get("policy") or {}),  # files from before the knob have none
        leans=_side("leans", arrays, sides),
        fits=_side("fits", arrays, sides),
        system=_system(arrays) if header["reads_system"] else None,
        rival=_rival(header),
        version=version,
    )


def _side(name: str, arrays: dict[str, Any], biases: dict[str, float]) -> Side | None:
    """Read a head beside the classes, if the file has it."""
    if name not in biases:
        return None
    return Side(arrays[name].astype(np.float32) * arrays[f"{name}_scale"], arrays[f"{name}_dense"], biases[name])


def _rival(header: dict[str, Any]) -> float:
    """Read the rival's weight; files from before it have none."""
    rival = float(header.get("rival") or 0.0)
    if not -MAX_RIVAL <= rival <= 0.0:
        raise ArtifactError(f"artefact's rival {rival} is not from -{MAX_RIVAL:g} to 0")
    return rival


def _system(arrays: dict[str, Any]) -> SystemHead:
    """Read the weights of system prompts."""
    hashed = arrays["system_hashed"].astype(np.float32) * arrays["system_hashed_scale"]
    return SystemHead(arrays["system_known"], hashed, arrays["system_dense"])


def _version(raw: bytes) -> str:
    """Shorten the content's SHA-256 to twelve hex digits."""
    return hashlib.sha256(raw).hexdigest()[:12]
