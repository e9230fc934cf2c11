"""A token count that is cheap and never too high, for the context check before routing.

`router.Router` calls it once a request. The expert itself counts exactly and refuses exactly; here a wrong "does not
fit" would cost a good expert, so every rule below is a lower bound for byte-level BPE vocabularies.
"""

from collections.abc import Iterable

import numpy as np

LONGEST_TOKEN = 16  # ASCII bytes; longer tokens exist but are runs of one symbol
WIDE_TOKENS = 0.4  # tokens an East Asian character, on vocabularies that know the script well
MAX_BYTES = 2_000_000  # text beyond this is not counted: no catalogue's context is that long
LONG = 20_000  # bytes from which on arrays count faster than `bytes` does: 1 MB took most of a decision's time


def _kind(byte: int) -> str:
    """Say what a byte of UTF-8 is: space, solid ASCII, the lead of a wide character, or none of them."""
    if byte <= 32:
        return " "
    if byte < 127:
        return "s"
    return "w" if 0xE3 <= byte <= 0xED else "-"


_KINDS = "".join(map(_kind, range(256))).encode()


def estimate_tokens(texts: Iterable[str]) -> int:
    """Return a lower estimate of the tokens in `texts`, of which at most `MAX_BYTES` characters are read.

    Pre-tokenisers never join two words, so words bound the tokens of ASCII text from below; East Asian text has no
    spaces and is counted by character.
    """
    left = MAX_BYTES
    kept = []
    for text in texts:
        kept.append(text[:left])
        left -= len(kept[-1])
        if left <= 0:
            break
    raw = "\n".join(kept).encode("utf-8", "replace")
    if not raw:
        return 0
    words, solid, wide = _counted(raw) if len(raw) < LONG else _counted_at_once(raw)
    return max(words, solid // LONGEST_TOKEN) + int(wide * WIDE_TOKENS)


def _counted(raw: bytes) -> tuple[int, int, int]:
    """Count words, solid ASCII bytes and wide characters of UTF-8."""
    kinds = raw.translate(_KINDS)
    return kinds.count(b" s") + kinds.startswith(b"s"), kinds.count(b"s"), kinds.count(b"w")


def _counted_at_once(raw: bytes) -> tuple[int, int, int]:
    """Count the same of a long text."""
    codes = np.frombuffer(raw, dtype=np.uint8)
    solid = (codes > 32) & (codes < 127)
    words = np.count_nonzero(solid[1:] & (codes[:-1] <= 32)) + int(solid[0])
    wide = np.count_nonzero((codes >= 0xE3) & (codes <= 0xED))
    return int(words), int(np.count_nonzero(solid)), int(wide)
