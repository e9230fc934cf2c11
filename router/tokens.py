"""A token count that is cheap and never too high, for the context check before routing.

`router.Router` calls it once a request. The expert itself counts exactly and refuses exactly; here a wrong "does not
fit" would cost a good expert, so every rule below is a lower bound for byte-level BPE vocabularies.
"""

from collections.abc import Iterable

LONGEST_TOKEN = 16  # ASCII bytes; longer tokens exist but are runs of one symbol
WIDE_TOKENS = 0.4  # tokens an East Asian character, on vocabularies that know the script well
MAX_BYTES = 2_000_000  # text beyond this is not counted: no catalogue's context is that long


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
    kinds = raw.translate(_KINDS)
    words = kinds.count(b" s") + kinds.startswith(b"s")
    return max(words, kinds.count(b"s") // LONGEST_TOKEN) + int(kinds.count(b"w") * WIDE_TOKENS)
