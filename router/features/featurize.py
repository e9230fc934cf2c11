"""What the router sees of a request, and the numbers it makes of it.

The gateway builds a `RouteQuery` from its own request type (or `query_from_openai` does, for data files and the CLI);
`gate.Gate` and the trainer call `featurize`. Every length is capped before any per-character work, so the cost of one
query is bounded whatever is sent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from router.features.conversation import Thread, Turn, shares, thread_of
from router.features.crossed import crossed_families, name_crossed
from router.features.hashing import BUCKETS, bucket, cut, name_buckets, split_words, text_families
from router.features.jailbreak import is_sign
from router.features.lexicon import concept_families, concepts_among, concepts_of, name_concepts
from router.features.structure import ANSWERED_IN_CODE, STRUCTURE_NAMES, Floats, structure
from router.features.tool_fit import REQUEST_CHARS, fit_features
from router.features.window import PREVIOUS_CHARS, Window, normalise, opening_of, own_words, split_window
from router.features.word_vectors import SIZE as MEANING_SIZE
from router.features.word_vectors import shipped_vectors

FEATURE_VERSION = 8  # raise whenever a prompt's features change: artefacts of another version are refused
TOOL_TEXT_CHARS = 2_000
DOCUMENT_WEIGHT = 0.04  # at 0.35 a document with commands moved a third of the decisions, at 0.1 a twentieth
LEANS_FROM = 0.3
ANSWER_WEIGHT = 0.2  # beside the turns a follow-up leans on: the answer says too what was asked
ANSWER_READ_CHARS = 600
DENSE_NAMES: tuple[str, ...] = (*STRUCTURE_NAMES, *(f"meaning {at}" for at in range(MEANING_SIZE)))

__all__ = ["BUCKETS", "DENSE_NAMES", "FEATURE_VERSION", "Features", "RouteQuery", "Turn", "featurize"]


@dataclass(frozen=True, slots=True)
class Documents:
    """What routing may know of the documents beside a conversation: their size. Their words steer nothing."""

    count: int
    chars: int
    tokens: int  # an estimate that may be low, as `tokens.estimate_tokens` makes it


NO_DOCUMENTS = Documents(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Features:
    """One query as numbers: a sparse hashed part and a dense part.

    Attributes:
        indices: buckets, (n,) int64, may repeat.
        values: their weights, (n,) float32.
        dense: in `DENSE_NAMES`' order, (D,) float32: structure, each about 0..1, then meaning, each about -1..1.
        leaning: how much the newest user turn leans on earlier ones, in [0, 1].
        opening: the first words of a long turn that leans on little, read alone; `Gate.raw` hears them beside the
            whole.
    """

    indices: np.ndarray[Any, np.dtype[np.int64]]
    values: Floats
    dense: Floats
    leaning: float = 0.0
    opening: "Features | None" = None


@dataclass(frozen=True, slots=True)
class RouteQuery:
    """Everything routing may look at.

    Attributes:
        turns: the conversation, oldest first.
        tool_names: functions the caller offers, in order.
        tool_text: their names and descriptions, capped at `TOOL_TEXT_CHARS`.
        has_tools: tools are offered and `tool_choice` is not "none", or the newest message is what one has returned:
            who has learned to call tools has learned to read that.
        must_call: `tool_choice` asks for a call, so there is nothing to judge.
        documents: the size of what came beside the conversation for the answer to rest on.
        read: turns that somebody has read already, by their text: they are not read again.
        thread: what matters of `turns`, made of them.
    """

    turns: tuple[Turn, ...]
    tool_names: tuple[str, ...] = ()
    tool_text: str = ""
    has_tools: bool = False
    must_call: bool = False
    documents: Documents = NO_DOCUMENTS
    read: Mapping[str, Features] | None = field(default=None, repr=False, compare=False)
    thread: Thread = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "thread", thread_of(self.turns))


Leans = Callable[["Features"], float]  # how likely a turn, read alone, needs the turns before it


def featurize_turn(text: str, documents: Documents = NO_DOCUMENTS) -> Features:
    """Read one user turn alone."""
    window = split_window(text)
    dense = structure(window, documents.chars)
    found = split_words(window.own)
    words = cut(found)
    concepts = concepts_among(words)
    families = text_families(found, 1.0, lead=True) + concept_families(concepts) + crossed_families(dense, concepts)
    if window.document:
        families += text_families(split_words(window.document), DOCUMENT_WEIGHT)
    hashed = bucket(families)
    return Features(hashed.indices, hashed.values, np.concatenate([dense, shipped_vectors().pool(words)]))


def featurize(query: RouteQuery, leans: Leans | None = None) -> Features:
    """Turn a query into numbers; deterministic across machines and processes.

    Args:
        query: what to read.
        leans: the head that tells follow-ups; without it only the last user turn is read.
    """
    thread = query.thread
    newest = _turn(query, thread.said[0], query.documents)
    if leans is None or len(thread.said) == 1:
        return _opened(query, newest)
    parts = [newest]

    def part(at: int) -> Features:
        if at == len(parts):
            parts.append(_turn(query, thread.said[at]))
        return parts[at]

    split = shares(len(thread.said), lambda at: leans(part(at)))
    read = [part(at) for at in range(len(split))]
    if len(split) > 1 and thread.answer:
        read.append(featurize_turn(thread.answer[:ANSWER_READ_CHARS]))
        split.append(ANSWER_WEIGHT * (1.0 - split[0]))
    blend = _blend(read, split, thread.answered_in_code)
    return blend if blend.leaning > LEANS_FROM else _opened(query, blend)


def _opened(query: RouteQuery, newest: Features) -> Features:
    """Add how a long turn begins."""
    opening = opening_of(query.thread.said[0])
    return newest if opening is None else replace(newest, opening=featurize_turn(opening, query.documents))


def _turn(query: RouteQuery, text: str, documents: Documents = NO_DOCUMENTS) -> Features:
    """Read a turn, unless somebody has: documents beside it change how it looks."""
    known = query.read.get(text) if query.read is not None and documents is NO_DOCUMENTS else None
    return featurize_turn(text, documents) if known is None else known


def _blend(parts: Sequence[Features], split: Sequence[float], answered_in_code: bool) -> Features:
    """Add up what was read by its shares; the last answer counts as far as the newest turn leans on it."""
    dense: Floats = np.array(split, dtype=np.float32) @ np.stack([part.dense for part in parts])
    dense[ANSWERED_IN_CODE] = (1.0 - split[0]) if answered_in_code else 0.0
    return Features(
        np.concatenate([part.indices for part in parts]),
        np.concatenate([part.values * np.float32(share) for part, share in zip(parts, split, strict=True)]),
        dense,
        1.0 - split[0],
    )


def fit_of(query: RouteQuery, features: Features) -> Floats:
    """Compare a query with the tools it offers; a turn that leans on the one before is read together with it."""
    said = query.thread.said[: 2 if features.leaning > LEANS_FROM else 1]
    text = "\n".join(part[:REQUEST_CHARS] for part in said)
    return fit_features(text, query.tool_text, query.thread, features.leaning)


def is_suspected(query: RouteQuery) -> bool:
    """Say whether a user turn is dressed up as a jailbreak; what a document says raises no suspicion."""
    return any(is_sign(text) and is_sign(own_words(text)) for text in query.thread.said)


def name_features(query: RouteQuery) -> dict[int, str]:
    """Map the buckets of a query back to what was hashed, the newest turn's own words first, for explanations."""
    named: dict[int, str] = {}
    thread = query.thread
    for text in (thread.answer[:ANSWER_READ_CHARS], *reversed(thread.said)):
        window = split_window(text)
        concepts = concepts_of(window.own)
        named |= name_crossed(structure(window), concepts) | name_concepts(concepts)
        named |= name_buckets(window.document) | name_buckets(window.own)
    return named


def window_of(query: RouteQuery) -> Window:
    """Cut out the last user turn's words, and the head of the user turn before it."""
    said = query.thread.said
    window = split_window(said[0])
    return window.with_previous(normalise(said[1][:PREVIOUS_CHARS])) if len(said) > 1 else window


def query_from_openai(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: object = None,
) -> RouteQuery:
    """Build a query from OpenAI-form dicts, as data files and the CLI hold them; unknown parts are left out."""
    functions = [cast(Mapping[str, Any], tool.get("function") or tool) for tool in tools or ()]
    is_result = bool(messages) and messages[-1].get("role") == "tool"
    functions = functions or (_called(messages) if is_result else [])
    names = tuple(str(function.get("name", "")) for function in functions)
    return RouteQuery(
        turns=tuple(Turn(str(message.get("role", "user")), _text(message.get("content"))) for message in messages),
        tool_names=names,
        tool_text=tool_text(names, [str(function.get("description") or "") for function in functions]),
        has_tools=bool(names) and (is_result or tool_choice != "none"),
        must_call=bool(names) and tool_choice not in (None, "none", "auto"),
    )


def _called(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """List what the newest calls called, each once, by its name alone."""
    calls = next((message["tool_calls"] for message in reversed(messages) if message.get("tool_calls")), ())
    names = dict.fromkeys(str((call.get("function") or {}).get("name", "")) for call in calls)
    return [{"name": name} for name in names]


def tool_text(names: Sequence[str], descriptions: Sequence[str]) -> str:
    """Join names and descriptions into at most `TOOL_TEXT_CHARS` characters, each tool getting an even share."""
    share = max(40, TOOL_TEXT_CHARS // max(1, len(names)))
    lines = (f"{name}: {text}"[:share] for name, text in zip(names, descriptions, strict=True))
    return "\n".join(lines)[:TOOL_TEXT_CHARS]


def _text(content: object) -> str:
    """Read a message's `content`: a string, or a list of parts of which the text ones count."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "\n".join(part for part in parts if isinstance(part, str))
