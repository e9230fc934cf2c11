"""A token count that is cheap and never too high, for the context check before routing.

`router.Router` calls it once a request. The expert itself counts exactly and refuses exactly; here a wrong "does not
fit" would cost a good expert, so every rule below is a lower bound for byte-level BPE vocabularies.
"""

from collections.abc import Iterable

import numpy as np

LONGEST_TOKEN = 16  # ASCII bytes; longer tokens exist but are runs of one symbol
WIDE_TOKENS = 0.4  # tokens an East Asian character, on vocabularies that know the script well
MAX_BYTES = 2_000_000  # text beyond this is not counted: no catalogue's context is that long


def estimate_tokens(texts: Iterable[str]) -> int:
    """Return a lower estimate of the tokens in `texts`, one pass of numpy over at most `MAX_BYTES` bytes.

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
    codes = np.frombuffer(raw, dtype=np.uint8)
    solid = (codes > 32) & (codes < 127)
    words = int(np.count_nonzero(solid[1:] & ~solid[:-1] & (codes[:-1] <= 32))) + int(solid[0])
    by_length = int(np.count_nonzero(solid)) // LONGEST_TOKEN
    wide = 0 if raw.isascii() else int(np.count_nonzero((codes >= 0xE3) & (codes <= 0xED)))
    return max(words, by_length) + int(wide * WIDE_TOKENS)
