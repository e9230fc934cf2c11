"""What a system prompt withholds ("never reveal it", "only talk about pets"), and how near a request comes to it.

`model.suspicion` asks. A request that is harmless alone may be exactly what its operator has forbidden. A prompt's
sentences are read once and remembered; a request is compared by what the router has read of it already.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from router.features.featurize import BUCKETS, Features, featurize_turn
from router.features.structure import STRUCTURE_NAMES, Floats
from router.features.window import ends, normalise

Flags = np.ndarray[Any, np.dtype[np.bool_]]

REMEMBERED: Final = 256  # system prompts
PROMPT_CHARS: Final = (4_000, 1_000)  # of a long one, its head and its tail
MAX_CLAUSES: Final = 12
NEARNESS_NAMES: Final = (
    "withholds",
    "meaning: nearest clause",
    "words: nearest clause",
    "meaning: whole prompt",
    "words: whole prompt",
    "withholds a secret",
    "words in common",
    "share of words in common",
)
STEM: Final = 5
MOST_COMMON: Final = 4
LOOKED_AT: Final = 2_000
_WORD: Final = re.compile(r"[^\W\d_]{4,}|[\u2e80-\ud7ff]{2}")
_COMMON_WORDS: Final = (
    "what that this your with have from they their could would about which when where there tell please should like"
    " know does want give using make into some them user users assistant never only questions answer information"
)
_EVERYWHERE: Final = frozenset(word[:STEM] for word in _COMMON_WORDS.split(" "))
_MEANING: Final = len(STRUCTURE_NAMES)
_NONE: Final = np.zeros(len(NEARNESS_NAMES), dtype=np.float32)
_SENTENCE: Final = re.compile(r"[.!?。！？।\n]+\s*")
_WITHHOLDS: Final = re.compile(
    r"\b(?:never|do\s?n[o']?t|must(?: no|n')t|may not|should(?: no|n')t|cannot|can't|not (?:allowed|permitted|to)"
    r"|avoid(?:ing)?|refuse|refrain|forbidden|prohibit(?:ed)?|no circumstances|only|solely|strictly|exclusively|except"
    r"|secret|confidential|keep (?:it|this|that)|nicht|niemals|nie|nur|geheim|vertraulich|vermeide|jamais|ne pas"
    r"|n'?\w+ pas|uniquement|seulement|confidentiel|évite|nunca|jamás|no (?:debes|puedes|reveles|hables|digas)|solo"
    r"|sólo|solamente|evita|confidencial|mai|non|soltanto|segreto|não|somente|apenas|segredo|нельзя|никогда|не|только"
    r"|секрет\w*|избегай|asla|sadece|yalnızca|gizli)\b"
    r"|不要|不得|禁止|只能|仅|秘密|保密|しないで|だけ|のみ|لا |فقط|سر|कभी|मत|केवल|गुप्त"
)
_SECRET: Final = re.compile(
    r"secret|confidential|private|password|passphrase|\bkey\b|reveal|disclose|share|leak|geheim|vertraulich|passwort"
    r"|verrat|mot de passe|confidentiel|révél|contraseña|clave|revel|segret|senha|парол|секрет|раскр|密|パスワード|سر"
    r"|गुप्त|gizli|şifre"
)


@dataclass(frozen=True, slots=True)
class Withheld:
    """A system prompt that withholds something.

    Attributes:
        clauses: sentences that withhold, each with the one before it, as the router reads a turn.
        whole: all of it, likewise.
        is_secret: something is to be kept, rather than a subject to be left alone.
        stems: beginnings of its longer words.
    """

    clauses: tuple[Features, ...]
    whole: Features
    is_secret: bool
    stems: frozenset[str]


@lru_cache(REMEMBERED)
def withheld_by(prompt: str) -> Withheld | None:
    """Read a system prompt; None where it withholds nothing."""
    text = normalise(ends(prompt, *PROMPT_CHARS))
    sentences = [part for part in _SENTENCE.split(text) if part.strip()]
    places = [at for at, sentence in enumerate(sentences) if _WITHHOLDS.search(sentence)][:MAX_CLAUSES]
    if not places:
        return None
    clauses = [". ".join(sentences[max(0, at - 1) : at + 1]) for at in places]
    return Withheld(
        tuple(featurize_turn(clause) for clause in clauses),
        featurize_turn(text),
        bool(_SECRET.search(text)),
        stems_of(text),
    )


def nearness(prompt: str, text: str, turn: Features) -> Floats:
    """Compare a turn with what its system prompt withholds, (N,); zeros for nothing withheld."""
    found = withheld_by(prompt) if prompt else None
    if found is None:
        return _NONE
    stems = stems_of(text)
    common = stems & found.stems
    own = np.zeros(BUCKETS, dtype=np.bool_)
    own[turn.indices] = True
    meant = _unit(turn)
    clauses = [(float(_unit(one) @ meant), _shared(one, own, turn)) for one in found.clauses]
    return np.array(
        [
            1.0,
            max(near for near, _ in clauses),
            max(shared for _, shared in clauses),
            float(_unit(found.whole) @ meant),
            _shared(found.whole, own, turn),
            float(found.is_secret),
            min(len(common), MOST_COMMON) / MOST_COMMON,
            len(common) / max(1, len(stems)),
        ],
        dtype=np.float32,
    )


def stems_of(text: str) -> frozenset[str]:
    """Take the beginnings of a text's longer words, those that every question has left out."""
    return frozenset(word[:STEM] for word in _WORD.findall(normalise(text[:LOOKED_AT]))) - _EVERYWHERE


def _unit(features: Features) -> Floats:
    meaning = features.dense[_MEANING:]
    return np.asarray(meaning / max(1e-6, float(np.sqrt(meaning @ meaning))), dtype=np.float32)


def _shared(clause: Features, own: Flags, turn: Features) -> float:
    """The share of a turn's n-grams that a clause has, too."""
    held = own.take(clause.indices)
    return float(np.count_nonzero(held) / max(1.0, np.sqrt(len(clause.indices) * len(turn.indices))))
