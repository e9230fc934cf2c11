"""Keeps a client's text from being read as the model's own control tokens.

A tokeniser turns the characters `<|im_end|>` in a user's message into the token that ends a turn. So whoever can write
a message could open a turn in another role. Engines call `neutralise` on every turn before the chat template; only they
know their model's control tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence


def neutralise(text: str, control_tokens: Sequence[str]) -> str:
    """Break every control token spelt out in `text`, so that no client can end a turn or open another role's.

    A space after its first character is enough: tokenisers match control tokens exactly.
    """
    if not control_tokens:
        return text
    spelt_out = "|".join(re.escape(token) for token in control_tokens)
    return re.sub(rf"(?=(?:{spelt_out}))(.)", r"\1 ", text, flags=re.DOTALL)
