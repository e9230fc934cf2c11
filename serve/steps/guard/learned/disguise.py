"""What a text says when it is dressed up: encoded, in look-alikes, in digits for letters, letter by letter.

`unveiled` gives such readings; a rule weighs each of them beside the text itself. Plain text costs a few searches.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Final

from serve.steps.guard.plain_text import plain

LOOKED_AT: Final = 20_000  # characters
_MOST_RUNS: Final = 4
_LEAST: Final = 12  # characters of what was decoded

_RUN: Final = re.compile(r"\S{16}")  # and `_DIGIT`: without one there is nothing costlier to look for
_DIGIT: Final = re.compile(r"[0-9@$!]")
_BASE64: Final = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{16,8192}={0,2}(?![A-Za-z0-9+/=_-])")
_HEX: Final = re.compile(r"(?<![0-9A-Fa-f])(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ ,:]?){12,4096}(?![0-9A-Fa-f])")
_SPACED: Final = re.compile(r"(?<!\S)(?:[^\W\d_][ .*_-]){7,}[^\W\d_](?!\S)")
_LEET: Final = re.compile(r"[A-Za-z][0134578@$!]|[0134578@$!][A-Za-z]")  # each once: it must stay linear
_LEET_WORD: Final = re.compile(r"(?<!\w)[A-Za-z0134578@$!]{2,40}(?!\w)")
_LONGEST_WORD: Final = 16
_LETTERS: Final = str.maketrans("0134578@$!", "oieastbasi")
_LEAST_LEET: Final = 3  # words of that kind
_LEAST_HEX: Final = 6  # digits: of text in ASCII every byte has one, of Cyrillic in UTF-8 every second one


def unveiled(text: str) -> Iterator[str]:
    """Yield what a text says beside its own words; nothing for most texts."""
    text = text[:LOOKED_AT]
    if not text.isascii():
        shown = plain(text)
        if _hides(text, shown):
            yield shown
    digits = len(_DIGIT.findall(text))
    if _RUN.search(text):
        yield from _decoded(_BASE64, _base64, text)
    if digits >= _LEAST_HEX:
        yield from _decoded(_HEX, _hex, text)
    if _SPACED.search(text):
        yield _SPACED.sub(lambda match: re.sub(r"[ .*_-]", "", match[0]), text)
    if digits >= _LEAST_LEET and len(_some(_LEET, text, _LEAST_LEET)) == _LEAST_LEET and _speaks_leet(text):
        yield _LEET_WORD.sub(lambda match: match[0].translate(_LETTERS), text)


def _decoded(find: re.Pattern[str], decode: Callable[[str], str], text: str) -> Iterator[str]:
    for match in _some(find, text):
        if said := decode(match[0]):
            yield said


def _speaks_leet(text: str) -> bool:
    """Tell whether several words of a usual length have digits for letters, and no other digits."""
    mixed = 0
    for word in _LEET_WORD.findall(text):
        letters = sum(character.isalpha() for character in word)
        mixed += len(word) <= _LONGEST_WORD and 0 < letters < len(word.rstrip("!"))
    return mixed >= _LEAST_LEET


def _hides(text: str, shown: str) -> bool:
    """Tell whether characters that nobody sees, or that look like others, hide words: accents alone do not."""
    return any(_is_odd(character) for character in text if not character.isascii()) and shown.strip() != ""


def _is_odd(character: str) -> bool:
    code = ord(character)
    if plain(character) == "":
        return True
    return plain(character).isascii() and code > 0x17F and not 0x1E00 <= code <= 0x1EFF and not 0x2000 <= code <= 0x206F


def _some(pattern: re.Pattern[str], text: str, most: int = _MOST_RUNS) -> list[re.Match[str]]:
    found = []
    for match in pattern.finditer(text):
        found.append(match)
        if len(found) == most:
            break
    return found


def _base64(run: str) -> str:
    bare = run.rstrip("=").replace("-", "+").replace("_", "/")
    return _read(lambda: base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True))


def _hex(run: str) -> str:
    digits = re.sub(r"0x|\\x|[ ,:]", "", run)
    return _read(lambda: bytes.fromhex(digits[: len(digits) & ~1]))


def _read(decode: Callable[[], bytes]) -> str:
    """Return what was encoded, where it is text."""
    try:
        said = decode().decode()
    except (binascii.Error, ValueError):
        return ""
    is_text = len(said) >= _LEAST and sum(one.isalpha() or one.isspace() for one in said) >= 0.8 * len(said)
    return said if is_text and " " in said else ""
