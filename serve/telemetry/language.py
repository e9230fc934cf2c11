"""Guesses the language of a text from a closed set: by script, and for Latin script by the most common small words.

It is for the mix of traffic on a dashboard, not for decisions. It reads only the first words, and answers `latin` if it
cannot tell. Its result is safe as a metric label.
"""

from collections import Counter
from itertools import chain
from typing import Final

_LOOK_AT: Final = 400  # characters
_WORDS: Final = 30
_EDGES: Final = ".,;:!?¿¡\"'()"
_SCRIPTS: Final = (
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x077F, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0980, 0x0DFF, "indic"),
    (0x0E00, 0x0E7F, "thai"),
    (0x1100, 0x11FF, "korean"),
    (0x3040, 0x30FF, "japanese"),
    (0x3400, 0x9FFF, "chinese"),
    (0xAC00, 0xD7AF, "korean"),
    (0x20000, 0x3FFFF, "chinese"),
)
_SMALL_WORDS: Final = {
    "english": "the and is are what how of to in a that you for with write my do does can i this please why who",
    "german": "der die das und ist ein eine wie was ich nicht mit für zu auf von den bitte schreibe wer warum kann",
    "spanish": "el la los las que es una cómo como qué por para con en del escribe mi puedo cuál quién más",
    "french": "le les des est une et que quoi comment pour avec dans je écris mon qui pourquoi quel ce du au",
    "italian": "il gli che è una come cosa per con nel della scrivi mio perché chi quale sono di non",
    "portuguese": "o os que é uma como para com não em do da escreva meu por quem qual são você um",
    "dutch": "de het een en is wat hoe ik niet met voor van op mijn schrijf wie waarom kan dat zijn",
    "polish": "jest nie się jak co i w na do z napisz mój dlaczego kto czy jaki to że",
    "turkish": "bir ve bu ne nasıl için ile mi yaz benim neden kim çok da de var",
}
_LANGUAGES_OF: Final = {
    word: tuple(name for name, words in _SMALL_WORDS.items() if word in words.split())
    for words in _SMALL_WORDS.values()
    for word in words.split()
}
LANGUAGES: Final = frozenset(_SMALL_WORDS) | {name for *_, name in _SCRIPTS} | {"latin", "none", "other"}
"""Everything `language_of` may return."""


def language_of(text: str) -> str:
    """Name the language or the script; `none` where there are no letters."""
    text = text[:_LOOK_AT]
    if text.isascii():
        return _latin(text)
    wide = Counter(_script(char) for char in text if ord(char) > 0x036F and char.isalpha())
    latin = sum(char.isalpha() for char in text if ord(char) <= 0x036F)
    # A character of these scripts says more than a Latin letter: code and names stay Latin in any language.
    if wide.total() * 2 <= latin:
        return _latin(text)
    if wide["japanese"]:
        return "japanese"  # kana beside Chinese characters
    return wide.most_common(1)[0][0] if wide else "none"


def _script(char: str) -> str:
    code = ord(char)
    return next((name for low, high, name in _SCRIPTS if low <= code <= high), "other")


def _latin(text: str) -> str:
    words = text.lower().split(None, _WORDS)[:_WORDS]
    votes = [found for word in words if (found := _LANGUAGES_OF.get(word))]
    if not votes:
        votes = [found for word in words if (found := _LANGUAGES_OF.get(word.strip(_EDGES)))]
    if votes:
        counts: dict[str, int] = {}
        for name in chain.from_iterable(votes):
            counts[name] = counts.get(name, 0) + 1
        return max(counts, key=counts.__getitem__)
    return "latin" if any(char.isalpha() for char in text) else "none"
